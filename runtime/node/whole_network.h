#ifndef DDNN_RUNTIME_NODE_WHOLE_NETWORK_H_
#define DDNN_RUNTIME_NODE_WHOLE_NETWORK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "runtime/core/answer.h"
#include "runtime/core/bundle.h"
#include "runtime/core/engine.h"

namespace ddnn {

/// All views of one sample.
struct WholeInput {
  std::string pixels;     ///< [V, C, H, W]; absent views' bytes are ignored
  uint64_t presence = 0;  ///< at least one bit
};

/// What every exit would say.
struct WholeOutput {
  std::vector<std::vector<float>> exit_scores;  ///< [exits][classes], bottom up
  std::vector<std::vector<float>>
      view_scores;                         ///< [V][classes]; empty: absent, or devices have no head
  std::vector<std::string> view_features;  ///< [V], packed; empty: absent
};

/// The network run whole in one process, through the same sections, aggregators and criterion as
/// the tree: what the tree must agree with, sample by sample. Not safe to call from several threads
/// at once.
class WholeNetwork {
 public:
  /// `bundle` must hold all sections.
  static absl::StatusOr<std::unique_ptr<WholeNetwork>> Create(const Bundle& bundle,
                                                              EngineFactory factory);

  absl::StatusOr<std::vector<WholeOutput>> Run(absl::Span<const WholeInput> batch);

  const NetworkPlan& plan() const { return plan_; }

 private:
  WholeNetwork(const NetworkPlan& plan) : plan_(plan) {}

  NetworkPlan plan_;
  std::map<std::pair<int, int>, std::unique_ptr<Engine>> engines_;
};

/// The first exit, bottom up, that is sure; else the root's. Fills class, exit, entropy, presence,
/// hard, scores.
Answer Decide(const NetworkPlan& plan, absl::Span<const ExitThreshold> thresholds,
              const WholeOutput& output, uint64_t presence);

/// Whether devices send the features of a sample that stops at `exit`.
bool DeviceSendsFeatures(const NetworkPlan& plan, int exit);

/// Payload bytes that one view sends for a sample by the paper's formula, 4 |C| + [escalated] f o /
/// 8, generalised to any tree (and scores of fewer bits): what the device tier sends when the
/// sample stops at `exit`. An upper bound: features may travel coded (feature_code.h).
double DevicePayloadBytes(const NetworkPlan& plan, int exit);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NODE_WHOLE_NETWORK_H_

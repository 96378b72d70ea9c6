#ifndef DDNN_RUNTIME_CORE_ENGINE_H_
#define DDNN_RUNTIME_CORE_ENGINE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ddnn/v1/bundle.pb.h"
#include "models/network_plan.h"

namespace ddnn {

/// One sample's input of a section: pixels in the device tier, joined values elsewhere.
struct SectionInput {
  std::string pixels;         ///< kPixel input: [C, H, W], one byte each
  std::vector<float> values;  ///< any other input: [C, H, W]
};

struct SectionOutput {
  std::string features;       ///< packed, see feature_codec.h
  std::vector<float> scores;  ///< [classes]; empty where the section has no head
};

/// Runs one section. Both engines agree: bit for bit on binary layers over pixels and bits, 1e-4
/// relative on float layers. Whatever is wrong with the section is refused on creation.
class Engine {
 public:
  virtual ~Engine() = default;

  /// \param batch  at least one sample. Results in the same order.
  /// INVALID_ARGUMENT for inputs of the wrong size. Not safe to call from several threads at once.
  virtual absl::StatusOr<std::vector<SectionOutput>> Run(absl::Span<const SectionInput> batch) = 0;

  /// The linear layer behind CC of the children's scores: [children * classes] -> [classes].
  /// FAILED_PRECONDITION where the section has none.
  virtual absl::StatusOr<std::vector<float>> RunScores(absl::Span<const float> joined) = 0;
};

/// Makes an engine for one node of a network, checking the section against the plan.
/// runtime/lite/lite_engine.h and runtime/torch/torch_engine.h each have one:
///   absl::StatusOr<std::unique_ptr<Engine>> CreateLiteEngine(const NetworkPlan&, const
///   v1::Section&); absl::StatusOr<std::unique_ptr<Engine>> CreateTorchEngine(const NetworkPlan&,
///   const v1::Section&);
using EngineFactory = absl::StatusOr<std::unique_ptr<Engine>> (*)(const NetworkPlan& plan,
                                                                  const v1::Section& section);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_CORE_ENGINE_H_

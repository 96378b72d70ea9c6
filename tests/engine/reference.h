#ifndef DDNN_TESTS_ENGINE_REFERENCE_H_
#define DDNN_TESTS_ENGINE_REFERENCE_H_

#include <vector>

#include "ddnn/v1/bundle.pb.h"
#include "models/network_plan.h"
#include "runtime/core/engine.h"

namespace ddnn {
namespace testing {

/// A section's values in the network's units, computed one by one in double.
struct ReferenceOutput {
  std::vector<float> features;  ///< [C, H, W]
  std::vector<float> scores;    ///< [classes] or empty
};

/// Runs a section as the comments of the protocol buffers define each layer, sharing no code with
/// the engines. Slow.
ReferenceOutput RunReference(const NetworkPlan& plan, const NodePlan& node,
                             const v1::Section& section, const SectionInput& input);

/// The section's layers over the joined scores.
std::vector<float> RunReferenceScores(const v1::Section& section, const std::vector<float>& joined);

}  // namespace testing
}  // namespace ddnn

#endif  // DDNN_TESTS_ENGINE_REFERENCE_H_

#ifndef DDNN_TESTS_ENGINE_SECTION_VALUES_H_
#define DDNN_TESTS_ENGINE_SECTION_VALUES_H_

#include <random>
#include <string>
#include <vector>

#include "ddnn/v1/bundle.pb.h"
#include "models/network_plan.h"
#include "runtime/core/engine.h"

namespace ddnn {
namespace testing {

/// How float weights are drawn.
enum class Weights {
  kReal,    ///< normal, so that sums stay near 1
  kDyadic,  ///< multiples of 1/8, so that short float sums are exact in any order
};

/// A section with random weights that fits one node of the plan.
v1::Section RandomSection(const NetworkPlan& plan, int tier, int index, Weights weights,
                          std::mt19937* rng);

/// Random input of the planned kind: any byte for pixels; -1, 0 and +1 for bits.
SectionInput RandomInput(const NodePlan& node, std::mt19937* rng);
std::vector<SectionInput> RandomBatch(const NodePlan& node, int count, std::mt19937* rng);

/// Parses and plans a spec, failing the test if that fails.
NetworkPlan PlanOf(const std::string& textproto);

/// '1' and '0' to packed bits.
std::string Bits(const std::string& text);

}  // namespace testing
}  // namespace ddnn

#endif  // DDNN_TESTS_ENGINE_SECTION_VALUES_H_

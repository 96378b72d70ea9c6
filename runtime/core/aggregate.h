#ifndef DDNN_RUNTIME_CORE_AGGREGATE_H_
#define DDNN_RUNTIME_CORE_AGGREGATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/network_plan.h"

namespace ddnn {

/// Joins the children's class scores by MP or AP, or lays them out for CC's linear layer.
///
/// MP and AP leave missing children out (AP divides by the number present); CC keeps fixed slots
/// with zeros and gives [children * C]. Source: Teerapittayanon et al., ICDCS 2017, section III-B.
///
/// \param children  one entry per slot, empty = missing; each else [C].
/// \return          FAILED_PRECONDITION when all are missing: never a confident answer from
/// nothing.
absl::StatusOr<std::vector<float>> JoinScores(v1::Aggregator kind,
                                              absl::Span<const std::vector<float>> children);

/// A child's features as they came.
struct ChildFeatures {
  std::string packed;     ///< empty = missing
  uint64_t presence = 0;  ///< views that went into them
};

/// Joins the children's packed features into the parent's section input, [C, H, W] of
/// plan.node(tier, index).input. CC stacks channels, or places maps on the grid; missing slots are
/// zero. A child without layers hands on its own children's slots: those its presence lacks are
/// zeroed too. INVALID_ARGUMENT for sizes that do not fit, FAILED_PRECONDITION when all are
/// missing.
absl::StatusOr<std::vector<float>> JoinFeatures(const NetworkPlan& plan, int tier, int index,
                                                absl::Span<const ChildFeatures> children);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_CORE_AGGREGATE_H_

#ifndef DDNN_TRAIN_FINE_TUNE_H_
#define DDNN_TRAIN_FINE_TUNE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "models/network_plan.h"
#include "runtime/core/bundle.h"

namespace ddnn::train {

/// The sections of a bundle as those of a network that is to go on from them, tier by tier.
///
/// Input, tree, aggregators and layers must be the same, or another function would begin. Dropout,
/// weights of exits, names of classes and everything in `training` may differ.
/// INVALID_ARGUMENT names the field or the section, found and expected.
absl::StatusOr<std::vector<v1::Section>> SectionsToStartFrom(const Bundle& bundle,
                                                             const NetworkPlan& plan);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_FINE_TUNE_H_

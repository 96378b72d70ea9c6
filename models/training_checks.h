#ifndef DDNN_MODELS_TRAINING_CHECKS_H_
#define DDNN_MODELS_TRAINING_CHECKS_H_

#include "absl/status/status.h"
#include "ddnn/v1/network.pb.h"

namespace ddnn {

/// Ranges of everything in spec.training(). INVALID_ARGUMENT names the field, what was found and
/// what was expected.
absl::Status CheckTraining(const v1::NetworkSpec& spec);

}  // namespace ddnn

#endif  // DDNN_MODELS_TRAINING_CHECKS_H_

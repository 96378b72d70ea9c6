#ifndef DDNN_TRAIN_TRAINING_STATE_H_
#define DDNN_TRAIN_TRAINING_STATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ddnn/v1/checkpoint.pb.h"
#include "models/network_plan.h"
#include "train/adam.h"
#include "train/module_state.h"

namespace ddnn::train {

/// Puts a model and its optimiser into a checkpoint.
void StoreModel(const std::vector<StateTensor>& model, const Adam& adam,
                v1::Checkpoint* checkpoint);

/// The reverse. INVALID_ARGUMENT names the tensor that has another size here.
absl::Status RestoreModel(const v1::Checkpoint& checkpoint, const std::vector<StateTensor>& model,
                          Adam* adam);

/// More bytes than any checkpoint of such a run has.
size_t MaxCheckpointBytes(const NetworkPlan& plan, const std::vector<StateTensor>& model,
                          const v1::TrainingRun& run);

/// That the position, sums, records and best sections of a checkpoint can be those of its run.
/// INVALID_ARGUMENT names the field, what was found and what was expected.
///
/// \param epoch_samples  samples that an epoch trains on
absl::Status CheckProgress(const NetworkPlan& plan, const v1::Checkpoint& checkpoint,
                           int64_t epoch_samples);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_TRAINING_STATE_H_

#ifndef DDNN_TRAIN_EPOCH_RECORD_H_
#define DDNN_TRAIN_EPOCH_RECORD_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "ddnn/v1/history.pb.h"
#include "models/network_plan.h"
#include "train/batch_loss.h"
#include "train/ddnn_module.h"
#include "train/progress.h"

namespace ddnn::train {

/// An empty record with one entry per exit of the plan. `epoch` counts from 1.
v1::EpochRecord NewEpochRecord(const NetworkPlan& plan, int epoch);

/// Adds a step's batch of so many training samples.
void AddTrainingBatch(const BatchLoss& loss, int64_t samples, v1::EpochRecord* record);

/// Adds a batch of calibration samples.
///
/// \param view_labels  int64 [B, V]
void AddCalibrationBatch(const NetworkPlan& plan, const std::vector<ExitBatch>& exits,
                         const at::Tensor& labels, const at::Tensor& view_labels,
                         v1::EpochRecord* record);

/// Means and fractions of what the record holds so far. Calibration's are empty before
/// AddCalibrationBatch. Points to `record`.
ProgressReport ReportOf(const v1::EpochRecord& record);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_EPOCH_RECORD_H_

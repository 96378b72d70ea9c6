#ifndef DDNN_TRAIN_EPOCH_RECORD_H_
#define DDNN_TRAIN_EPOCH_RECORD_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "ddnn/v1/history.pb.h"
#include "models/network_plan.h"
#include "train/ddnn_module.h"
#include "train/progress.h"

namespace ddnn::train {

/// An empty record with one entry per exit of the plan. `epoch` counts from 1.
v1::EpochRecord NewEpochRecord(const NetworkPlan& plan, int epoch);

/// Adds a step's batch of training samples.
///
/// \param labels  int64 [B]
/// \param loss    the joint loss
/// \param losses  of each exit, as JointLoss gives them
void AddTrainingBatch(const NetworkPlan& plan, const std::vector<ExitBatch>& exits,
                      const at::Tensor& labels, double loss, const std::vector<at::Tensor>& losses,
                      v1::EpochRecord* record);

/// Adds a batch of calibration samples.
///
/// \param view_labels  int64 [B, V]
void AddCalibrationBatch(const NetworkPlan& plan, const std::vector<ExitBatch>& exits,
                         const at::Tensor& labels, const at::Tensor& view_labels,
                         v1::EpochRecord* record);

/// Means and fractions of what the record holds so far. Calibration's are empty before
/// AddCalibrationBatch. Points to `record`.
ProgressReport ReportOf(const v1::EpochRecord& record);

/// Counts binary weights that change their sign.
class SignFlips {
 public:
  /// \param weights  of the optimiser; looked at again in Count().
  explicit SignFlips(std::vector<at::Tensor> weights);

  /// How many have another sign than at the last call (at first: than at construction).
  int64_t Count();
  int64_t weights() const;

 private:
  at::Tensor Signs() const;

  std::vector<at::Tensor> weights_;
  at::Tensor signs_;  // bool [all], undefined without weights
};

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_EPOCH_RECORD_H_

#ifndef DDNN_TRAIN_BATCH_LOSS_H_
#define DDNN_TRAIN_BATCH_LOSS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/network_plan.h"
#include "train/ddnn_module.h"
#include "train/ranks.h"

namespace ddnn::train {

/// One exit's part in a BatchLoss.
struct ExitLoss {
  double loss = 0;             ///< cross entropy of its joined scores, unweighted
  int64_t counted = 0;         ///< samples that are labelled and seen by somebody
  int64_t right = 0;           ///< of these
  at::Tensor scores_gradient;  ///< of the joint loss by ExitBatch::scores, [B, C]
  at::Tensor node_gradient;    ///< by ExitBatch::node_scores, [B, n, C]; undefined: not part of it
};

/// JointLoss and CountRight of all exits with the gradients, without a graph of a hundred small
/// operations that computes them.
struct BatchLoss {
  double value = 0;
  std::vector<ExitLoss> exits;
};

/// \param labels, view_labels, class_weights  as JointLoss takes them
/// \param ranks  the loss, and counts, are those of the joint batch; gradients this rank's part
/// Sums are taken in one order, in double.
BatchLoss LossOfBatch(const NetworkPlan& plan, const std::vector<ExitBatch>& exits,
                      const at::Tensor& labels, const at::Tensor& view_labels,
                      const at::Tensor& class_weights = {}, Ranks* ranks = nullptr);

/// What JointLoss(...).backward() does.
void Backward(const std::vector<ExitBatch>& exits, const BatchLoss& loss);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_BATCH_LOSS_H_

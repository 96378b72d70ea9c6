#ifndef DDNN_TRAIN_LEARNER_H_
#define DDNN_TRAIN_LEARNER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "ddnn/v1/history.pb.h"
#include "models/network_plan.h"
#include "train/adam.h"
#include "train/batch.h"
#include "train/ddnn_module.h"
#include "train/module_state.h"

namespace ddnn::train {

/// A network with what makes it learn: all that a step of training does once it has its batch.
/// Draws the first weights: see DdnnModule. Not safe to call from several threads.
class Learner {
 public:
  /// Weight decay is as the plan's spec has it.
  /// \param class_weights  as JointLoss takes them
  /// \param ranks          null, or those with which it learns; not owned
  Learner(const NetworkPlan& plan, const c10::Device& device, const at::Tensor& class_weights = {},
          Ranks* ranks = nullptr);

  /// Moves the network by a batch, and adds to the record what it was like before. With ranks it
  /// is the joint batch, of which each gives its part: what moves the network, and what the record
  /// gets, is the same on all ranks.
  /// \param rate  of learning
  /// \return      the joint loss. Where it is not finite, no parameter has changed.
  double Step(const Batch& batch, double rate, v1::EpochRecord* record);

  DdnnModule& module() { return module_; }
  /// Share memory with the module.
  const std::vector<StateTensor>& state() const { return state_; }
  Adam& adam() { return adam_; }
  const Adam& adam() const { return adam_; }
  int64_t binary_weights() const { return binary_weights_; }

 private:
  void SumGradients();

  DdnnModule module_;
  at::Tensor class_weights_;
  Ranks* ranks_;
  std::vector<StateTensor> state_;
  Adam adam_;
  int64_t binary_weights_ = 0;
};

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_LEARNER_H_

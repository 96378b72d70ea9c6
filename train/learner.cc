#include "train/learner.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <utility>

#include "train/batch_loss.h"
#include "train/epoch_record.h"
#include "train/training_settings.h"

namespace ddnn::train {
namespace {

Adam AdamOf(const std::vector<StateTensor>& state, const v1::WeightDecay& spec) {
  std::vector<at::Tensor> parameters;
  std::vector<double> decay;
  std::vector<bool> binary;
  for (const StateTensor& t : state) {
    if (t.role == TensorRole::kStatistic) continue;
    parameters.push_back(t.value);
    decay.push_back(DecayOf(spec, t.role));
    binary.push_back(t.role == TensorRole::kBinaryWeight);
  }
  return Adam(std::move(parameters), std::move(decay), std::move(binary));
}

DdnnModule ModuleOn(const NetworkPlan& plan, const c10::Device& device) {
  DdnnModule module(plan);
  module.To(device);
  return module;
}

}  // namespace

Learner::Learner(const NetworkPlan& plan, const c10::Device& device,
                 const at::Tensor& class_weights)
    : module_(ModuleOn(plan, device)),
      class_weights_(class_weights),
      state_(module_.state()),
      adam_(AdamOf(state_, plan.spec().training().weight_decay())) {
  for (const StateTensor& t : state_) {
    if (t.role == TensorRole::kBinaryWeight) binary_weights_ += t.value.numel();
  }
}

double Learner::Step(const Batch& batch, double rate, v1::EpochRecord* record) {
  adam_.ZeroGrad();
  const std::vector<ExitBatch> exits = module_.Forward(batch.pixels, batch.presence);
  const BatchLoss loss =
      LossOfBatch(module_.plan(), exits, batch.labels, batch.view_labels, class_weights_);
  if (!std::isfinite(loss.value)) return loss.value;
  Backward(exits, loss);
  const int64_t flipped = adam_.Step(rate);
  AddTrainingBatch(loss, batch.labels.size(0), record);
  record->set_learning_rate(rate);
  record->set_flipped(record->flipped() + flipped);
  return loss.value;
}

}  // namespace ddnn::train

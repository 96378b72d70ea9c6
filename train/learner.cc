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
                 const at::Tensor& class_weights, Ranks* ranks)
    : module_(ModuleOn(plan, device)),
      class_weights_(class_weights),
      ranks_(ranks),
      state_(module_.state()),
      adam_(AdamOf(state_, plan.spec().training().weight_decay())) {
  module_.JoinRanks(ranks);
  for (const StateTensor& t : state_) {
    if (t.role == TensorRole::kBinaryWeight) binary_weights_ += t.value.numel();
  }
}

// All in one sum: each costs a round through the network, however short it is.
void Learner::SumGradients() {
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> parameters, parts;
  for (const StateTensor& t : state_) {
    if (t.role != TensorRole::kStatistic) parameters.push_back(t.value);
  }
  for (const at::Tensor& p : parameters) {
    parts.push_back(p.grad().defined() ? p.grad().reshape(-1) : at::zeros_like(p).view(-1));
  }
  // A parameter that no rank has a gradient for stays as it is.
  for (const at::Tensor& p : parameters) {
    parts.push_back(at::full({1}, p.grad().defined() ? 1.0 : 0.0, p.options()));
  }
  const at::Tensor all = at::cat(parts);
  ranks_->Sum(all);
  const int64_t count = static_cast<int64_t>(parameters.size());
  const at::Tensor defined = all.narrow(0, all.numel() - count, count).to(at::kCPU).contiguous();
  int64_t begin = 0;
  for (int64_t i = 0; i < count; ++i) {
    at::Tensor& p = parameters[i];
    if (defined.data_ptr<float>()[i] > 0) {
      p.mutable_grad() = all.narrow(0, begin, p.numel()).view(p.sizes());
    }
    begin += p.numel();
  }
}

double Learner::Step(const Batch& batch, double rate, v1::EpochRecord* record) {
  adam_.ZeroGrad();
  const std::vector<ExitBatch> exits = module_.Forward(batch.pixels, batch.presence);
  const BatchLoss loss =
      LossOfBatch(module_.plan(), exits, batch.labels, batch.view_labels, class_weights_, ranks_);
  if (!std::isfinite(loss.value)) return loss.value;
  Backward(exits, loss);
  if (ranks_ != nullptr) SumGradients();
  const int64_t flipped = adam_.Step(rate);
  AddTrainingBatch(loss, batch.of > 0 ? batch.of : batch.labels.size(0), record);
  record->set_learning_rate(rate);
  record->set_flipped(record->flipped() + flipped);
  return loss.value;
}

}  // namespace ddnn::train

#include "train/module_state.h"

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "train/ddnn_module.h"
#include "train/layer_stack.h"

namespace ddnn::train {

void LayerStack::AppendState(const std::string& name, std::vector<StateTensor>* state) const {
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    const auto append = [&](const char* what, TensorRole role, const at::Tensor& value) {
      if (value.defined()) state->push_back({absl::StrCat(name, ".", i, ".", what), role, value});
    };
    append("weight", step.binary ? TensorRole::kBinaryWeight : TensorRole::kWeight, step.weight);
    append("bias", TensorRole::kBias, step.bias);
    append("gamma", TensorRole::kNorm, step.gamma);
    append("beta", TensorRole::kNorm, step.beta);
    append("mean", TensorRole::kStatistic, step.mean);
    append("variance", TensorRole::kStatistic, step.variance);
  }
}

std::vector<StateTensor> DdnnModule::state() const {
  std::vector<StateTensor> state;
  for (size_t t = 0; t < tiers_.size(); ++t) {
    const std::string& tier = plan_.tiers()[t].name;
    for (const Group& group : tiers_[t].groups) {
      const std::string name = absl::StrCat(tier, "-", group.nodes[0]);
      group.body.AppendState(name + ".body", &state);
      group.head.AppendState(name + ".head", &state);
    }
    if (tiers_[t].scores_weight.defined()) {
      state.push_back({tier + ".scores.weight", TensorRole::kWeight, tiers_[t].scores_weight});
      state.push_back({tier + ".scores.bias", TensorRole::kBias, tiers_[t].scores_bias});
    }
  }
  return state;
}

}  // namespace ddnn::train

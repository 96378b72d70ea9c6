// From section files back to a module that can be trained; see LayerStack::Import.

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <vector>

#include "runtime/core/float_bytes.h"
#include "train/ddnn_module.h"
#include "train/layer_stack.h"

namespace ddnn::train {
namespace {

using Kind = v1::Layer::KindCase;

// Puts values into one node's share of a tensor.
void Put(const std::vector<float>& values, int group, int groups, const at::Tensor& tensor) {
  const at::Tensor all = tensor.detach();
  const int64_t each = all.size(0) / groups;
  const at::Tensor part = all.narrow(0, group * each, each);
  part.copy_(at::tensor(values, at::kFloat).reshape(part.sizes()));
}

std::vector<float> BinaryWeights(const std::string& bits, int64_t count) {
  std::vector<float> weights(count);
  for (int64_t i = 0; i < count; ++i) {
    weights[i] = static_cast<float>(bits[i / 8] >> (i % 8) & 1 ? kBinaryInit : -kBinaryInit);
  }
  return weights;
}

}  // namespace

void LayerStack::Import(int group,
                        const google::protobuf::RepeatedPtrField<v1::SectionLayer>& layers) {
  at::NoGradGuard no_grad;
  int next = 0;
  bool signed_already = false;
  for (const Step& step : steps_) {
    const Kind kind = step.layer.kind_case();
    if (kind == Kind::kDropout) continue;
    if (kind == Kind::kSign && signed_already) {
      signed_already = false;
      continue;
    }
    ImportStep(step, group, layers[next++]);
    signed_already = kind == Kind::kBatchNorm && step.folds_sign;
  }
}

void LayerStack::ImportStep(const Step& step, int group, const v1::SectionLayer& layer) const {
  const int64_t count = step.weight.defined() ? step.weight.numel() / groups_ : 0;
  const auto put_float = [&](const auto& from) {
    Put(FloatsOf(from.weights()), group, groups_, step.weight);
    const std::vector<float> none(step.bias.numel() / groups_);
    Put(from.bias().empty() ? none : FloatsOf(from.bias()), group, groups_, step.bias);
  };
  if (layer.has_binary_conv()) {
    Put(BinaryWeights(layer.binary_conv().weights(), count), group, groups_, step.weight);
  } else if (layer.has_binary_linear()) {
    Put(BinaryWeights(layer.binary_linear().weights(), count), group, groups_, step.weight);
  } else if (layer.has_conv()) {
    put_float(layer.conv());
  } else if (layer.has_linear()) {
    put_float(layer.linear());
  } else if (step.gamma.defined()) {
    // As if the data had mean 0 and deviation 1, until AdoptStatistics knows better.
    const int channels = step.input.shape.channels;
    const std::vector<float> mean(channels, 0.0f);
    const std::vector<float> variance(channels,
                                      static_cast<float>(1 - Epsilon(step.layer.batch_norm())));
    std::vector<float> gamma = FloatsOf(layer.affine().scale());
    std::vector<float> beta = FloatsOf(layer.affine().bias());
    const v1::Threshold& threshold = layer.threshold();
    for (int c = 0; layer.has_threshold() && c < channels; ++c) {
      const bool flips = !threshold.flip().empty() && (threshold.flip()[c / 8] >> (c % 8) & 1);
      // Midway between the integers, where rounding cannot move it over one.
      const double boundary = (threshold.at(c) - 0.5) * step.input.unit;
      gamma.push_back(flips ? -1.0f : 1.0f);
      beta.push_back(static_cast<float>(flips ? boundary : -boundary));
    }
    Put(gamma, group, groups_, step.gamma);
    Put(beta, group, groups_, step.beta);
    Put(mean, group, groups_, step.mean);
    Put(variance, group, groups_, step.variance);
  }
}

void LayerStack::AdoptStatistics(const Step& step, const at::Tensor& x,
                                 const at::Tensor& mask) const {
  at::NoGradGuard no_grad;
  const at::Tensor mean = step.mean.clone(), variance = step.variance.clone();
  MaskedBatchNorm(x, mask, step.gamma.detach(), step.beta.detach(), mean, variance,
                  /*momentum=*/1, Epsilon(step.layer.batch_norm()));
  const double epsilon = Epsilon(step.layer.batch_norm());
  const at::Tensor gamma = step.gamma.detach(), beta = step.beta.detach();
  const at::Tensor ratio = (variance + epsilon).sqrt().div_((step.variance + epsilon).sqrt());
  const at::Tensor shift = gamma * (mean - step.mean) / (step.variance + epsilon).sqrt();
  if (step.folds_sign) {
    // Any positive factor keeps the sign: gamma stays where training begins too.
    beta.add_(shift).div_(ratio);
  } else {
    gamma.mul_(ratio);
    beta.add_(shift);
  }
  step.mean.copy_(mean);
  step.variance.copy_(variance);
}

void DdnnModule::Import(const std::vector<v1::Section>& sections, const at::Tensor& pixels,
                        const at::Tensor& presence) {
  for (const v1::Section& section : sections) {
    const int tier = *plan_.FindTier(section.tier());
    for (Group& group : tiers_[tier].groups) {
      for (size_t g = 0; g < group.nodes.size(); ++g) {
        if (group.nodes[g] != section.node()) continue;
        group.body.Import(static_cast<int>(g), section.body());
        group.head.Import(static_cast<int>(g), section.head());
      }
    }
    if (section.scores_size() == 0) continue;
    const v1::SectionLinear& scores = section.scores(0).linear();
    const int64_t classes = plan_.classes();
    Put(FloatsOf(scores.weights()), 0, 1, tiers_[tier].scores_weight);
    Put(scores.bias().empty() ? std::vector<float>(classes) : FloatsOf(scores.bias()), 0, 1,
        tiers_[tier].scores_bias);
  }
  const auto adopt = [this](bool adopting) {
    for (TierModule& tier : tiers_) {
      for (Group& group : tier.groups) {
        group.body.set_adopting(adopting);
        group.head.set_adopting(adopting);
      }
    }
  };
  at::NoGradGuard no_grad;
  const bool training = training_;
  training_ = false;
  adopt(true);
  Forward(pixels, presence);
  adopt(false);
  training_ = training;
}

}  // namespace ddnn::train

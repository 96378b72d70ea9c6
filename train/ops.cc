#include "train/ops.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "train/norm_block.h"
#include "train/parallel.h"

namespace ddnn::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kGrain = 1 << 15;

// LibTorch's where() takes ten times as long as this loop, which the compiler vectorises.
bool PlainFloats(const at::Tensor& t) {
  return t.is_cpu() && t.scalar_type() == at::kFloat && t.is_non_overlapping_and_dense();
}

struct SignFunction : torch::autograd::Function<SignFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input) {
    const at::Tensor x = input.is_non_overlapping_and_dense() ? input : input.contiguous();
    context->save_for_backward({x});
    if (!PlainFloats(x)) return (x >= 0).to(x.scalar_type()).mul_(2).sub_(1);
    at::Tensor y = at::empty_like(x);
    const float* in = x.data_ptr<float>();
    float* out = y.data_ptr<float>();
    at::parallel_for(0, x.numel(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = in[i] >= 0.0f ? 1.0f : -1.0f;
    });
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const at::Tensor x = context->get_saved_variables()[0];
    at::Tensor grad = gradients[0];
    if (!PlainFloats(x) || !PlainFloats(grad)) return {grad * (x.abs() <= 1)};
    at::Tensor y = at::empty_like(x);
    if (grad.strides() != x.strides()) grad = at::empty_like(x).copy_(grad);
    const float* in = x.data_ptr<float>();
    const float* g = grad.data_ptr<float>();
    float* out = y.data_ptr<float>();
    at::parallel_for(0, x.numel(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = std::fabs(in[i]) <= 1.0f ? g[i] : 0.0f;
    });
    return {y};
  }
};

// MP and AP of floats on a CPU: both are a share of each score, found while joining.
struct JoinScoresFunction : torch::autograd::Function<JoinScoresFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& mask, bool average) {
    const at::Tensor scores = input.contiguous(), present = mask.contiguous();
    const int64_t batch = scores.size(0), nodes = scores.size(1), classes = scores.size(2);
    const at::Tensor joined = at::empty({batch, classes}, scores.options());
    const at::Tensor shares = at::empty_like(scores);
    const float* seen = present.numel() > 0 ? present.data_ptr<float>() : nullptr;
    for (int64_t b = 0; b < batch; ++b) {
      const float* from = scores.data_ptr<float>() + b * nodes * classes;
      float* share = shares.data_ptr<float>() + b * nodes * classes;
      const auto there = [&](int64_t n) { return seen == nullptr || seen[b * nodes + n] != 0; };
      for (int64_t c = 0; c < classes; ++c) {
        float highest = -std::numeric_limits<float>::infinity(), sum = 0, count = 0;
        bool any = false;
        for (int64_t n = 0; n < nodes; ++n) {
          const float value = from[n * classes + c];
          // What is no number stays none, as in amax.
          if (there(n) && (std::isnan(value) || value > highest)) highest = value;
          any = any || there(n);
        }
        const auto counts = [&](int64_t n) {
          return there(n) && (average || from[n * classes + c] == highest);
        };
        for (int64_t n = 0; n < nodes; ++n) {
          if (!counts(n)) continue;
          sum += from[n * classes + c];
          ++count;
        }
        for (int64_t n = 0; n < nodes; ++n) {
          share[n * classes + c] = counts(n) ? 1 / count : 0.0f;
        }
        const float value = average ? sum / count : highest;
        joined.data_ptr<float>()[b * classes + c] = any ? value : 0.0f;
      }
    }
    context->save_for_backward({shares});
    return joined;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    return {context->get_saved_variables()[0] * gradients[0].unsqueeze(1), {}, {}};
  }
};

at::Tensor CountPresent(const at::Tensor& mask) { return mask.sum(1).clamp_min(1); }

}  // namespace

at::Tensor SignSte(const at::Tensor& x) { return SignFunction::apply(x); }

at::Tensor SpreadMask(const at::Tensor& mask, int64_t channels) {
  const int64_t batch = mask.size(0), groups = mask.size(1);
  return mask.view({batch, groups, 1})
      .expand({batch, groups, channels})
      .reshape({batch, groups * channels, 1, 1});
}

at::Tensor MaskedBatchNorm(const at::Tensor& x, const at::Tensor& mask, const at::Tensor& gamma,
                           const at::Tensor& beta, const at::Tensor& mean,
                           const at::Tensor& variance, double momentum, double epsilon,
                           Ranks* ranks) {
  const int64_t channels = gamma.size(0), area = x.size(2) * x.size(3);
  if (FitsNormBlock(x)) {
    return NormBlock({Activation::kNone, /*planes=*/false, momentum, epsilon, ranks}, x, mask,
                     gamma, beta, mean, variance);
  }
  if (ranks == nullptr && !mask.defined() && x.size(0) * area > 1) {
    return at::batch_norm(x, gamma, beta, mean, variance, /*training=*/true, momentum, epsilon,
                          /*cudnn_enabled=*/false);
  }
  const at::Tensor present =
      SpreadMask(mask.defined() ? mask : at::ones({x.size(0), 1}, x.options()),
                 mask.defined() ? channels / mask.size(1) : channels);
  // [1, G*C, 1, 1]
  const at::Tensor count = SumOverRanks(ranks, present.sum(0, /*keepdim=*/true) * area);
  const at::Tensor divisor = count.clamp_min(1);
  const auto mean_of = [&](const at::Tensor& t) {
    return SumOverRanks(ranks, t.sum({0, 2, 3}, /*keepdim=*/true)) / divisor;
  };
  const at::Tensor batch_mean = mean_of(x * present);
  const at::Tensor centred = (x - batch_mean) * present;
  const at::Tensor batch_variance = mean_of(centred * centred);
  {
    at::NoGradGuard no_grad;
    // One value has no variance: such a channel learns nothing about it from this batch.
    const at::Tensor seen = (count > 0).to(x.scalar_type()).view(-1) * momentum;
    const at::Tensor spread = (count > 1).to(x.scalar_type()).view(-1) * momentum;
    const at::Tensor unbiased = batch_variance * (divisor / (divisor - 1).clamp_min(1));
    mean.add_(seen * (batch_mean.view(-1) - mean));
    variance.add_(spread * (unbiased.view(-1) - variance));
  }
  const at::Tensor scale = at::rsqrt(batch_variance + epsilon) * gamma.view({1, channels, 1, 1});
  return centred * scale + beta.view({1, channels, 1, 1});
}

at::Tensor JoinScoreBatch(v1::Aggregator kind, const at::Tensor& scores, const at::Tensor& mask) {
  const int64_t batch = scores.size(0);
  if (kind == v1::CC) {
    const at::Tensor kept = mask.defined() ? scores * mask.unsqueeze(2) : scores;
    return kept.reshape({batch, -1});
  }
  if (scores.is_cpu() && scores.scalar_type() == at::kFloat) {
    // LibTorch takes no undefined tensors here.
    const at::Tensor present = mask.defined() ? mask : at::empty({0}, scores.options());
    return JoinScoresFunction::apply(scores, present, kind == v1::AP);
  }
  if (!mask.defined()) return kind == v1::MP ? scores.amax(1) : scores.mean(1);
  const at::Tensor present = mask.unsqueeze(2);
  if (kind == v1::AP) return (scores * present).sum(1) / CountPresent(mask).unsqueeze(1);
  const float lowest = -std::numeric_limits<float>::infinity();
  const at::Tensor highest = scores.masked_fill(present == 0, lowest).amax(1);
  return highest.masked_fill(mask.sum(1, /*keepdim=*/true) == 0, 0);
}

at::Tensor JoinFeatureBatch(const v1::Aggregation& how, int children, const at::Tensor& features,
                            const at::Tensor& mask) {
  const int64_t batch = features.size(0), channels = features.size(1) / children;
  const int64_t height = features.size(2), width = features.size(3);
  if (how.kind() == v1::CC) {
    if (!how.has_grid()) return features;
    const int64_t rows = how.grid().rows(), columns = how.grid().columns();
    return features.view({batch, rows, columns, channels, height, width})
        .permute({0, 3, 1, 4, 2, 5})
        .reshape({batch, channels, rows * height, columns * width});
  }
  const at::Tensor maps = features.view({batch, children, channels, height, width});
  if (how.kind() == v1::MP) {
    if (!mask.defined()) return maps.amax(1);
    const at::Tensor missing = (mask == 0).view({batch, children, 1, 1, 1});
    const float lowest = -std::numeric_limits<float>::infinity();
    return maps.masked_fill(missing, lowest)
        .amax(1)
        .masked_fill((mask.sum(1) == 0).view({batch, 1, 1, 1}), 0);
  }
  if (!mask.defined()) return maps.mean(1);
  // Missing maps are zero already.
  return maps.sum(1) / CountPresent(mask).view({batch, 1, 1, 1});
}

at::Tensor RoundScoresSte(const v1::ScoreCode& code, const at::Tensor& scores) {
  if (code.bits() == 0) return scores;
  const float range = code.range();
  const float step = 2 * range / static_cast<float>((1 << code.bits()) - 2);
  const at::Tensor clipped = scores.clamp(-range, range);
  at::Tensor lost;
  {
    at::NoGradGuard no_grad;
    lost = ((clipped + range) / step).round() * step - range - clipped;
  }
  return clipped + lost;
}

}  // namespace ddnn::train

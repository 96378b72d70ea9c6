#include "train/masked_norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "train/parallel.h"

namespace ddnn::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Sums are taken per chunk of samples and added in order, whatever thread did which.
constexpr int64_t kChunks = 8;

struct Sizes {
  int64_t batch, channels, area, groups;
  int64_t each() const { return channels / groups; }
};

Sizes SizesOf(const at::Tensor& x, const at::Tensor& mask) {
  return {x.size(0), x.size(1), x.size(2) * x.size(3), mask.size(1)};
}

// Calls per_sample(b, sums) for all samples; returns the sums of all chunks, `width` of them.
template <typename Function>
std::vector<double> SumOverSamples(const Sizes& s, int64_t width, const Function& per_sample) {
  std::vector<double> sums(kChunks * width, 0.0);
  at::parallel_for(0, kChunks, 1, [&](int64_t first, int64_t last) {
    for (int64_t chunk = first; chunk < last; ++chunk) {
      for (int64_t b = s.batch * chunk / kChunks; b < s.batch * (chunk + 1) / kChunks; ++b) {
        per_sample(b, sums.data() + chunk * width);
      }
    }
  });
  for (int64_t chunk = 1; chunk < kChunks; ++chunk) {
    for (int64_t i = 0; i < width; ++i) sums[i] += sums[chunk * width + i];
  }
  sums.resize(width);
  return sums;
}

// Counts of present values per channel.
std::vector<double> Counts(const Sizes& s, const float* mask) {
  std::vector<double> counts(s.channels, 0.0);
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t c = 0; c < s.channels; ++c) {
      counts[c] += mask[b * s.groups + c / s.each()] * static_cast<double>(s.area);
    }
  }
  return counts;
}

// Adds a sample's float sums, of present groups only, to the chunk's.
void AddPresent(const Sizes& s, const float* mask, const std::vector<float>& sample, double* sums) {
  for (int64_t c = 0; c < s.channels; ++c) {
    if (mask[c / s.each()] > 0) sums[c] += sample[c];
  }
}

void UpdateRunning(const Sizes& s, const std::vector<double>& counts,
                   const std::vector<double>& batch_mean, const std::vector<double>& squares,
                   double momentum, float* mean, float* variance) {
  for (int64_t c = 0; c < s.channels; ++c) {
    if (counts[c] == 0) continue;
    mean[c] += static_cast<float>(momentum * (batch_mean[c] - mean[c]));
    // One value has no variance: such a channel learns nothing about it from this batch.
    if (counts[c] < 2) continue;
    variance[c] += static_cast<float>(momentum * (squares[c] / (counts[c] - 1) - variance[c]));
  }
}

struct NormFunction : torch::autograd::Function<NormFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& mask, const at::Tensor& gamma, const at::Tensor& beta,
                            const at::Tensor& mean, const at::Tensor& variance, double momentum,
                            double epsilon, int64_t ranks) {
    const at::Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast);
    const Sizes s = SizesOf(x, mask);
    const float* in = x.data_ptr<float>();
    const float* present = mask.data_ptr<float>();
    std::vector<double> counts = Counts(s, present);
    std::vector<double> centre = SumOverSamples(s, s.channels, [&](int64_t b, double* sums) {
      std::vector<float> sample(s.channels, 0.0f);
      const float* row = in + b * s.area * s.channels;
      for (int64_t p = 0; p < s.area; ++p, row += s.channels) {
        for (int64_t c = 0; c < s.channels; ++c) sample[c] += row[c];
      }
      AddPresent(s, present + b * s.groups, sample, sums);
    });
    std::vector<float> shift(s.channels);
    for (int64_t c = 0; c < s.channels; ++c) {
      centre[c] /= std::max(counts[c], 1.0);
      shift[c] = static_cast<float>(centre[c]);
    }
    std::vector<double> squares = SumOverSamples(s, s.channels, [&](int64_t b, double* sums) {
      std::vector<float> sample(s.channels, 0.0f);
      const float* row = in + b * s.area * s.channels;
      for (int64_t p = 0; p < s.area; ++p, row += s.channels) {
        for (int64_t c = 0; c < s.channels; ++c) {
          sample[c] += (row[c] - shift[c]) * (row[c] - shift[c]);
        }
      }
      AddPresent(s, present + b * s.groups, sample, sums);
    });
    JoinStatistics(reinterpret_cast<Ranks*>(ranks), &counts, &centre, &squares);
    for (int64_t c = 0; c < s.channels; ++c) shift[c] = static_cast<float>(centre[c]);
    UpdateRunning(s, counts, centre, squares, momentum, mean.data_ptr<float>(),
                  variance.data_ptr<float>());

    at::Tensor centres = at::empty_like(gamma), inverse = at::empty_like(gamma);
    std::vector<float> scale(s.channels);
    for (int64_t c = 0; c < s.channels; ++c) {
      const double spread = squares[c] / std::max(counts[c], 1.0);
      centres.data_ptr<float>()[c] = shift[c];
      inverse.data_ptr<float>()[c] = static_cast<float>(1 / std::sqrt(spread + epsilon));
      scale[c] = inverse.data_ptr<float>()[c] * gamma.data_ptr<float>()[c];
    }
    at::Tensor y = at::empty_like(x);
    float* out = y.data_ptr<float>();
    const float* bias = beta.data_ptr<float>();
    at::parallel_for(0, s.batch, 1, [&](int64_t first, int64_t last) {
      std::vector<float> kept(s.channels);
      for (int64_t b = first; b < last; ++b) {
        for (int64_t c = 0; c < s.channels; ++c) {
          kept[c] = present[b * s.groups + c / s.each()] > 0 ? scale[c] : 0.0f;
        }
        for (int64_t i = b * s.area; i < (b + 1) * s.area; ++i) {
          const float* from = in + i * s.channels;
          float* to = out + i * s.channels;
          for (int64_t c = 0; c < s.channels; ++c) to[c] = (from[c] - shift[c]) * kept[c] + bias[c];
        }
      }
    });
    context->save_for_backward({x, mask, gamma, centres, inverse});
    context->saved_data["ranks"] = ranks;
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &mask = saved[1], &gamma = saved[2];
    const Sizes s = SizesOf(x, mask);
    const at::Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    const float* in = x.data_ptr<float>();
    const float* grad = dy.data_ptr<float>();
    const float* present = mask.data_ptr<float>();
    const float* shift = saved[3].data_ptr<float>();
    const float* inverse = saved[4].data_ptr<float>();
    const std::vector<double> sums = SumOverSamples(s, 2 * s.channels, [&](int64_t b, double* out) {
      std::vector<float> plain(s.channels, 0.0f), scaled(s.channels, 0.0f);
      for (int64_t i = b * s.area; i < (b + 1) * s.area; ++i) {
        const float* from = in + i * s.channels;
        const float* g = grad + i * s.channels;
        for (int64_t c = 0; c < s.channels; ++c) {
          plain[c] += g[c];
          scaled[c] += g[c] * (from[c] - shift[c]);
        }
      }
      AddPresent(s, present + b * s.groups, plain, out);
      AddPresent(s, present + b * s.groups, scaled, out + s.channels);
    });
    at::Tensor dgamma = at::empty_like(gamma), dbeta = at::empty_like(gamma);
    for (int64_t c = 0; c < s.channels; ++c) {
      dbeta.data_ptr<float>()[c] = static_cast<float>(sums[c]);
      dgamma.data_ptr<float>()[c] = static_cast<float>(sums[s.channels + c] * inverse[c]);
    }
    std::vector<double> joint = sums;
    const std::vector<double> counts = Counts(s, present);
    joint.insert(joint.end(), counts.begin(), counts.end());
    if (Ranks* ranks = reinterpret_cast<Ranks*>(context->saved_data["ranks"].toInt())) {
      ranks->Sum(absl::MakeSpan(joint));
    }
    std::vector<float> factor(s.channels), offset(s.channels), slope(s.channels);
    for (int64_t c = 0; c < s.channels; ++c) {
      const double n = std::max(joint[2 * s.channels + c], 1.0);
      const double total = joint[c], moment = joint[s.channels + c];
      factor[c] = gamma.data_ptr<float>()[c] * inverse[c];
      offset[c] = static_cast<float>(total / n);
      slope[c] = static_cast<float>(moment * inverse[c] * inverse[c] / n);
    }
    at::Tensor dx = at::empty_like(x);
    float* out = dx.data_ptr<float>();
    at::parallel_for(0, s.batch, 1, [&](int64_t first, int64_t last) {
      std::vector<float> kept(s.channels);
      for (int64_t b = first; b < last; ++b) {
        for (int64_t c = 0; c < s.channels; ++c) {
          kept[c] = present[b * s.groups + c / s.each()] > 0 ? factor[c] : 0.0f;
        }
        for (int64_t i = b * s.area; i < (b + 1) * s.area; ++i) {
          const float* from = in + i * s.channels;
          const float* g = grad + i * s.channels;
          float* to = out + i * s.channels;
          for (int64_t c = 0; c < s.channels; ++c) {
            to[c] = kept[c] * (g[c] - offset[c] - (from[c] - shift[c]) * slope[c]);
          }
        }
      }
    });
    return {dx, {}, dgamma, dbeta, {}, {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor FusedMaskedNorm(const at::Tensor& x, const at::Tensor& mask, const at::Tensor& gamma,
                           const at::Tensor& beta, const at::Tensor& mean,
                           const at::Tensor& variance, double momentum, double epsilon,
                           Ranks* ranks) {
  return NormFunction::apply(x, mask.contiguous(), gamma, beta, mean, variance, momentum, epsilon,
                             reinterpret_cast<int64_t>(ranks));
}

}  // namespace ddnn::train

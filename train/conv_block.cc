#include "train/conv_block.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "train/conv_planes.h"
#include "train/parallel.h"

namespace ddnn::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Weight gradients are summed per chunk of samples, then chunk by chunk, whatever thread did which.
constexpr int64_t kChunks = 8;

bool Present(const float* mask, const PlaneGeometry& g, int64_t sample, int64_t group) {
  return mask == nullptr || mask[sample * g.s.groups + group] > 0;
}

const float* MaskValues(const at::Tensor& mask) {
  return mask.numel() > 0 ? mask.data_ptr<float>() : nullptr;
}

struct Sums {
  std::vector<float> first, second;  // [B][G*F]
};

// Counts of values per channel; sums over samples of which a node is present, in order.
struct Statistics {
  std::vector<double> count, mean, squares;
};

Statistics JoinMoments(const PlaneGeometry& g, const float* mask, const Sums& sums) {
  const int64_t channels = g.out_channels();
  const double area = static_cast<double>(g.out_area);
  Statistics all{std::vector<double>(channels, 0.0), std::vector<double>(channels, 0.0),
                 std::vector<double>(channels, 0.0)};
  for (int64_t b = 0; b < g.batch; ++b) {
    for (int64_t c = 0; c < channels; ++c) {
      if (!Present(mask, g, b, c / g.s.filters)) continue;
      all.count[c] += area;
      all.mean[c] += sums.first[b * channels + c];
    }
  }
  for (int64_t c = 0; c < channels; ++c) all.mean[c] /= std::max(all.count[c], 1.0);
  for (int64_t b = 0; b < g.batch; ++b) {
    for (int64_t c = 0; c < channels; ++c) {
      if (!Present(mask, g, b, c / g.s.filters)) continue;
      const double away = sums.first[b * channels + c] / area - all.mean[c];
      all.squares[c] += sums.second[b * channels + c] + area * away * away;
    }
  }
  return all;
}

void UpdateRunning(const ConvBlockShape& s, const Statistics& batch, float* mean, float* variance) {
  for (size_t c = 0; c < batch.count.size(); ++c) {
    if (batch.count[c] == 0) continue;
    mean[c] += static_cast<float>(s.momentum * (batch.mean[c] - mean[c]));
    // One value has no variance: such a channel learns nothing about it from this batch.
    if (batch.count[c] < 2) continue;
    const double unbiased = batch.squares[c] / (batch.count[c] - 1);
    variance[c] += static_cast<float>(s.momentum * (unbiased - variance[c]));
  }
}

// What the gradient of a value behind batch norm becomes before it, of one channel:
// factor * (gradient - offset - slope * (value - mean)).
struct Slope {
  float factor, offset, slope;
};

// What the steps of a backward pass read.
struct Backward {
  const PlaneGeometry& g;
  const at::Tensor& x;
  const float* mask;
  const float* dy;      // [B, G*F, out_area]
  const float* pooled;  // likewise: what went into batch norm
  const uint8_t* places;
  std::vector<NormTerms> norms;  // [G*F], and slopes
  std::vector<Slope> slopes;
};

Sums GradientSums(const Backward& back) {
  const PlaneGeometry& g = back.g;
  const int64_t channels = g.out_channels();
  Sums sums{std::vector<float>(g.batch * channels), std::vector<float>(g.batch * channels)};
  at::parallel_for(0, g.batch, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * channels; i < end * channels; ++i) {
      const int64_t c = i % channels;
      if (!Present(back.mask, g, i / channels, c / g.s.filters)) continue;
      Kernels().gradient_sums(back.pooled + i * g.out_area, back.dy + i * g.out_area, g.out_area,
                              back.norms[c], &sums.first[i], &sums.second[i]);
    }
  });
  return sums;
}

// Batch norm backwards: gradients of gamma and beta [G*F] of this rank's samples, and the slopes,
// which follow from those of all ranks.
std::vector<Slope> Slopes(const Backward& back, const float* inverse, float* dgamma, float* dbeta) {
  const PlaneGeometry& g = back.g;
  const int64_t channels = g.out_channels();
  const Sums sums = GradientSums(back);
  std::vector<double> joint(3 * channels, 0.0);
  for (int64_t c = 0; c < channels; ++c) {
    double &total = joint[3 * c], &moment = joint[3 * c + 1], &count = joint[3 * c + 2];
    for (int64_t b = 0; b < g.batch; ++b) {
      if (!Present(back.mask, g, b, c / g.s.filters)) continue;
      total += sums.first[b * channels + c];
      moment += sums.second[b * channels + c];
      count += static_cast<double>(g.out_area);
    }
    dbeta[c] = static_cast<float>(total);
    dgamma[c] = static_cast<float>(moment * inverse[c]);
  }
  if (g.s.ranks != nullptr) g.s.ranks->Sum(absl::MakeSpan(joint));
  std::vector<Slope> slopes(channels);
  for (int64_t c = 0; c < channels; ++c) {
    const double count = std::max(joint[3 * c + 2], 1.0), inv = inverse[c];
    slopes[c] = {back.norms[c].scale, static_cast<float>(joint[3 * c] / count),
                 static_cast<float>(joint[3 * c + 1] * inv * inv / count)};
  }
  return slopes;
}

// The rest of the way down: gradients of the input, if `dx` is defined, and of the weights.
void ConvolutionGradients(const Backward& back, const float* weight, const at::Tensor& dx,
                          float* dweight) {
  const PlaneGeometry& g = back.g;
  const PlaneKernels& k = Kernels();
  const bool needs_dx = dx.defined();
  const int64_t input = g.s.channels * g.height * g.width;
  const std::vector<float> turned = needs_dx ? BackwardWeights(g, weight) : std::vector<float>();
  std::vector<std::vector<float>> weight_sums(kChunks);
  at::parallel_for(0, kChunks, 1, [&](int64_t first, int64_t last) {
    ConvScratch scratch(g);
    AlignedFloats dpooled(g.s.filters * g.out_area, 0.0f), planes(g.fours * g.dy_plane, 0.0f);
    AlignedFloats back_planes(needs_dx ? g.s.channels * g.in_plane : 0, 0.0f);
    const auto one_node = [&](int64_t b, int64_t group, float* weight_sum, float* to) {
      const int64_t at = b * g.out_channels() + group * g.s.filters;
      for (int64_t f = 0; f < g.s.filters; ++f) {
        const int64_t c = group * g.s.filters + f, from = (at + f) * g.out_area;
        const Slope& slope = back.slopes[c];
        k.gradient(back.pooled + from, back.dy + from, g.out_area, back.norms[c], slope.factor,
                   slope.offset, slope.slope, dpooled.data() + f * g.out_area);
      }
      Unpool(g, dpooled.data(), back.places == nullptr ? nullptr : back.places + at * g.out_area,
             planes.data());
      CopyPadded(g, back.x, b, group, scratch.in.data());
      k.weight_gradient(scratch.in.data(), g.in_plane, planes.data() + g.lead, g.dy_plane,
                        g.s.channels, g.s.kernel, g.pitch, g.length, g.s.filters, weight_sum);
      if (needs_dx) ConvolveBack(g, turned, group, planes.data(), back_planes.data(), to);
    };
    for (int64_t chunk = first; chunk < last; ++chunk) {
      weight_sums[chunk].assign(g.s.groups * g.fours * g.taps * k.lanes, 0.0f);
      const int64_t begin = g.batch * chunk / kChunks, end = g.batch * (chunk + 1) / kChunks;
      for (int64_t i = begin * g.s.groups; i < end * g.s.groups; ++i) {
        const int64_t b = i / g.s.groups, group = i % g.s.groups;
        float* to = needs_dx ? dx.data_ptr<float>() + i * input : nullptr;
        if (Present(back.mask, g, b, group)) {
          one_node(b, group, weight_sums[chunk].data() + group * g.fours * g.taps * k.lanes, to);
        } else if (needs_dx) {
          std::fill_n(to, input, 0.0f);
        }
      }
    }
  });
  ReduceWeightGradient(g, weight_sums, weight, dweight);
}

struct ConvBlockFunction : torch::autograd::Function<ConvBlockFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& present, const at::Tensor& weight,
                            const at::Tensor& gamma, const at::Tensor& beta, const at::Tensor& mean,
                            const at::Tensor& variance, const ConvBlockShape& shape) {
    const at::Tensor x = input.contiguous();
    const PlaneGeometry g(shape, x.size(0), x.size(2), x.size(3));
    const PlaneKernels& k = Kernels();
    const float* mask = MaskValues(present);
    const int64_t channels = g.out_channels();
    const at::Tensor y =
        at::empty({g.batch, channels, g.out_height, g.out_width}, weight.options());
    const at::Tensor before = at::empty_like(y);
    const at::Tensor where =
        at::empty({shape.pool_kernel > 0 ? y.numel() : 0}, weight.options().dtype(at::kByte));
    float* pooled = before.data_ptr<float>();
    uint8_t* places = shape.pool_kernel > 0 ? where.data_ptr<uint8_t>() : nullptr;
    const std::vector<float> weights = ForwardWeights(g, weight.data_ptr<float>());
    Sums sums{std::vector<float>(g.batch * channels), std::vector<float>(g.batch * channels)};
    at::parallel_for(0, g.batch, 1, [&](int64_t begin, int64_t end) {
      ConvScratch scratch(g);
      for (int64_t i = begin * g.s.groups; i < end * g.s.groups; ++i) {
        const int64_t b = i / g.s.groups, group = i % g.s.groups;
        if (!Present(mask, g, b, group)) continue;
        const int64_t first = b * channels + group * g.s.filters;
        CopyPadded(g, x, b, group, scratch.in.data());
        ConvolveAndPool(g, weights.data() + group * g.fours * g.taps, &scratch,
                        pooled + first * g.out_area,
                        places == nullptr ? nullptr : places + first * g.out_area);
        for (int64_t c = first; c < first + g.s.filters; ++c) {
          k.moments(pooled + c * g.out_area, g.out_area, &sums.first[c], &sums.second[c]);
        }
      }
    });
    Statistics batch = JoinMoments(g, mask, sums);
    JoinStatistics(shape.ranks, &batch.count, &batch.mean, &batch.squares);
    UpdateRunning(shape, batch, mean.data_ptr<float>(), variance.data_ptr<float>());
    const at::Tensor centres = at::empty_like(gamma), inverse = at::empty_like(gamma);
    for (int64_t c = 0; c < channels; ++c) {
      const double spread = batch.squares[c] / std::max(batch.count[c], 1.0);
      centres.data_ptr<float>()[c] = static_cast<float>(batch.mean[c]);
      inverse.data_ptr<float>()[c] = static_cast<float>(1 / std::sqrt(spread + shape.epsilon));
    }
    const std::vector<NormTerms> norms = Norms(shape, gamma, beta, centres, inverse);
    float* out = y.data_ptr<float>();
    at::parallel_for(0, g.batch, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * channels; i < end * channels; ++i) {
        const int64_t c = i % channels;
        if (Present(mask, g, i / channels, c / g.s.filters)) {
          k.normalise(pooled + i * g.out_area, g.out_area, norms[c], out + i * g.out_area);
        } else {
          std::fill_n(out + i * g.out_area, g.out_area, 0.0f);
        }
      }
    });
    context->save_for_backward({x, present, weight, gamma, beta, centres, inverse, before, where});
    Remember(shape, context);
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[2], &gamma = saved[3], &inverse = saved[6];
    const PlaneGeometry g(Recall(context), x.size(0), x.size(2), x.size(3));
    const at::Tensor dy = gradients[0].contiguous();
    Backward back{g,
                  x,
                  MaskValues(saved[1]),
                  dy.data_ptr<float>(),
                  saved[7].data_ptr<float>(),
                  g.s.pool_kernel > 0 ? saved[8].data_ptr<uint8_t>() : nullptr,
                  Norms(g.s, gamma, saved[4], saved[5], inverse),
                  {}};
    const at::Tensor dgamma = at::empty_like(gamma), dbeta = at::empty_like(gamma);
    back.slopes =
        Slopes(back, inverse.data_ptr<float>(), dgamma.data_ptr<float>(), dbeta.data_ptr<float>());
    at::Tensor dx;
    if (x.scalar_type() == at::kFloat && context->needs_input_grad(0)) dx = at::empty_like(x);
    const at::Tensor dweight = at::empty_like(weight);
    ConvolutionGradients(back, weight.data_ptr<float>(), dx, dweight.data_ptr<float>());
    return {dx, {}, dweight, dgamma, dbeta, {}, {}, {}};
  }

  static std::vector<NormTerms> Norms(const ConvBlockShape& s, const at::Tensor& gamma,
                                      const at::Tensor& beta, const at::Tensor& centres,
                                      const at::Tensor& inverse) {
    std::vector<NormTerms> norms(gamma.size(0));
    for (size_t c = 0; c < norms.size(); ++c) {
      norms[c] = {centres.data_ptr<float>()[c],
                  inverse.data_ptr<float>()[c] * gamma.data_ptr<float>()[c],
                  beta.data_ptr<float>()[c], s.activation};
    }
    return norms;
  }

  static void Remember(const ConvBlockShape& s, AutogradContext* context) {
    context->saved_data["sizes"] = std::vector<int64_t>{s.groups,
                                                        s.channels,
                                                        s.filters,
                                                        s.kernel,
                                                        s.padding,
                                                        s.pool_kernel,
                                                        s.pool_stride,
                                                        s.pool_padding,
                                                        static_cast<int64_t>(s.activation),
                                                        reinterpret_cast<int64_t>(s.ranks)};
    context->saved_data["pixels"] = std::vector<double>{s.offset, s.scale};
  }

  static ConvBlockShape Recall(AutogradContext* context) {
    const std::vector<int64_t> sizes = context->saved_data["sizes"].toIntVector();
    const std::vector<double> pixels = context->saved_data["pixels"].toDoubleVector();
    ConvBlockShape s{sizes[0], sizes[1], sizes[2], sizes[3],
                     sizes[4], sizes[5], sizes[6], sizes[7]};
    s.activation = static_cast<Activation>(sizes[8]);
    s.ranks = reinterpret_cast<Ranks*>(sizes[9]);
    s.offset = pixels[0];
    s.scale = pixels[1];
    return s;
  }
};

}  // namespace

bool FitsConvBlock(const ConvBlockShape& s, int64_t height, int64_t width) {
  const int64_t conv_height = height + 2 * s.padding - s.kernel + 1;
  const int64_t conv_width = width + 2 * s.padding - s.kernel + 1;
  if (conv_height < 1 || conv_width < 1 || s.padding > s.kernel - 1) return false;
  if (s.pool_kernel == 0) return true;
  // The pool's padding lies where the convolution's result has nothing to say: between its rows.
  return s.pool_kernel <= 15 && s.pool_padding <= s.kernel - 1 &&
         conv_height + 2 * s.pool_padding >= s.pool_kernel &&
         conv_width + 2 * s.pool_padding >= s.pool_kernel;
}

at::Tensor ConvBlock(const ConvBlockShape& shape, const at::Tensor& x, const at::Tensor& mask,
                     const at::Tensor& weight, const at::Tensor& gamma, const at::Tensor& beta,
                     const at::Tensor& mean, const at::Tensor& variance) {
  // LibTorch takes no undefined tensors here.
  const at::Tensor present = mask.defined() ? mask.contiguous() : at::empty({0}, weight.options());
  return ConvBlockFunction::apply(x, present, weight, gamma, beta, mean, variance, shape);
}

}  // namespace ddnn::train

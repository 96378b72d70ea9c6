#include "train/conv_block.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "train/parallel.h"

namespace ddnn::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Weight gradients are summed per chunk of samples, then chunk by chunk, whatever thread did which.
constexpr int64_t kChunks = 8;
constexpr int64_t kFours = PlaneKernels::kFilters;
constexpr int64_t kSlack = PlaneKernels::kSlack;

int64_t InFours(int64_t filters) { return (filters + kFours - 1) / kFours * kFours; }

// Where everything lies in a sample's planes.
struct Geometry {
  Geometry(const ConvBlockShape& shape, int64_t batch, int64_t height, int64_t width)
      : s(shape), batch(batch), height(height), width(width) {
    pitch = width + 2 * s.padding;
    conv_height = height + 2 * s.padding - s.kernel + 1;
    conv_width = pitch - s.kernel + 1;
    length = conv_height * pitch;
    in_plane = (height + 2 * s.padding) * pitch + s.kernel + kSlack;
    border = s.pool_kernel > 0 ? s.pool_padding * (pitch + 1) : 0;
    conv_plane = border + length + s.pool_padding * (pitch + 1) + kSlack;
    lead = (s.kernel - 1) * (pitch + 1);
    dy_plane = lead + length + lead + kSlack;
    const auto pooled = [&](int64_t size) {
      return s.pool_kernel == 0 ? size
                                : (size + 2 * s.pool_padding - s.pool_kernel) / s.pool_stride + 1;
    };
    out_height = pooled(conv_height);
    out_width = pooled(conv_width);
    out_area = out_height * out_width;
    fours = InFours(s.filters);
    taps = s.channels * s.kernel * s.kernel;
  }

  ConvBlockShape s;
  int64_t batch, height, width;
  int64_t pitch, conv_height, conv_width, length;
  int64_t in_plane;    ///< padded input
  int64_t border;      ///< before the convolution's result: the pool's padding
  int64_t conv_plane;  ///< the convolution's result, with it
  int64_t lead;        ///< zeros before a gradient, so that it can be convolved back
  int64_t dy_plane;
  int64_t out_height, out_width, out_area;
  int64_t fours, taps;  ///< filters in fours; weights of one filter
  int64_t out_channels() const { return s.groups * s.filters; }
};

struct Scratch {
  explicit Scratch(const Geometry& g)
      : in(g.s.channels * g.in_plane, 0.0f),
        conv(g.s.filters * g.conv_plane, -std::numeric_limits<float>::infinity()),
        row(2 * (g.pitch + kSlack)) {}
  std::vector<float> in, conv, row;
};

// Copies one node's channels of one sample between the padding, which stays zero.
template <typename T>
void CopyPadded(const Geometry& g, const T* from, float* planes) {
  const float offset = static_cast<float>(g.s.offset), scale = static_cast<float>(g.s.scale);
  for (int64_t c = 0; c < g.s.channels; ++c) {
    float* to = planes + c * g.in_plane + g.s.padding * (g.pitch + 1);
    for (int64_t y = 0; y < g.height; ++y, from += g.width, to += g.pitch) {
      if constexpr (std::is_same_v<T, float>) {
        std::copy_n(from, g.width, to);
      } else {
        for (int64_t x = 0; x < g.width; ++x)
          to[x] = (static_cast<float>(from[x]) - offset) * scale;
      }
    }
  }
}

void CopyPadded(const Geometry& g, const at::Tensor& x, int64_t sample, int64_t group,
                float* planes) {
  const int64_t at = (sample * g.s.groups + group) * g.s.channels * g.height * g.width;
  if (x.scalar_type() == at::kByte) {
    CopyPadded(g, x.data_ptr<uint8_t>() + at, planes);
  } else {
    CopyPadded(g, x.data_ptr<float>() + at, planes);
  }
}

// Signs of the weights as PlaneKernels::convolve takes them: [G][F / 4][C][K][K][4].
std::vector<float> ForwardWeights(const Geometry& g, const float* weight) {
  std::vector<float> packed(g.s.groups * g.fours * g.taps, 0.0f);
  for (int64_t group = 0; group < g.s.groups; ++group) {
    for (int64_t f = 0; f < g.s.filters; ++f) {
      const float* from = weight + (group * g.s.filters + f) * g.taps;
      float* to = packed.data() + (group * g.fours + f / kFours * kFours) * g.taps + f % kFours;
      for (int64_t t = 0; t < g.taps; ++t) to[t * kFours] = from[t] >= 0 ? 1.0f : -1.0f;
    }
  }
  return packed;
}

// The same turned around, filters and channels exchanged: [G][C / 4][F][K][K][4].
std::vector<float> BackwardWeights(const Geometry& g, const float* weight) {
  const int64_t area = g.s.kernel * g.s.kernel, inputs = InFours(g.s.channels);
  std::vector<float> packed(g.s.groups * inputs * g.s.filters * area, 0.0f);
  for (int64_t group = 0; group < g.s.groups; ++group) {
    for (int64_t f = 0; f < g.s.filters; ++f) {
      for (int64_t c = 0; c < g.s.channels; ++c) {
        const float* from = weight + ((group * g.s.filters + f) * g.s.channels + c) * area;
        float* to = packed.data() + (group * inputs + c / kFours * kFours) * g.s.filters * area +
                    f * area * kFours + c % kFours;
        for (int64_t k = 0; k < area; ++k) to[k * kFours] = from[area - 1 - k] >= 0 ? 1.0f : -1.0f;
      }
    }
  }
  return packed;
}

bool Present(const float* mask, const Geometry& g, int64_t sample, int64_t group) {
  return mask == nullptr || mask[sample * g.s.groups + group] > 0;
}

const float* MaskValues(const at::Tensor& mask) {
  return mask.numel() > 0 ? mask.data_ptr<float>() : nullptr;
}

// The convolution's result for one node and sample, pooled.
void ConvolveAndPool(const Geometry& g, const float* weights, Scratch* scratch, float* pooled,
                     uint8_t* where) {
  const PlaneKernels& k = Kernels();
  const float lowest = -std::numeric_limits<float>::infinity();
  k.convolve(scratch->in.data(), g.in_plane, weights, g.s.channels, g.s.kernel, g.pitch, g.length,
             g.s.filters, scratch->conv.data() + g.border, g.conv_plane);
  for (int64_t f = 0; f < g.s.filters; ++f) {
    float* plane = scratch->conv.data() + f * g.conv_plane;
    if (g.s.pool_kernel == 0) {
      for (int64_t y = 0; y < g.conv_height; ++y) {
        std::copy_n(plane + y * g.pitch, g.conv_width, pooled + f * g.out_area + y * g.conv_width);
      }
      continue;
    }
    // What lies between the rows is the pool's padding, and so is what lies behind.
    float* row = plane + g.border + g.conv_width;
    for (int64_t y = 0; y < g.conv_height; ++y, row += g.pitch) {
      std::fill_n(row, g.pitch - g.conv_width, lowest);
    }
    std::fill_n(plane + g.border + g.length, kSlack, lowest);
    k.max_pool(plane, g.pitch, g.out_height, g.out_width, g.s.pool_kernel, g.s.pool_stride,
               scratch->row.data(), pooled + f * g.out_area, where + f * g.out_area);
  }
}

struct Sums {
  std::vector<float> first, second;  // [B][G*F]
};

// Counts of values per channel; sums over samples of which a node is present, in order.
struct Statistics {
  std::vector<double> count, mean, squares;
};

Statistics JoinMoments(const Geometry& g, const float* mask, const Sums& sums) {
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

// Gradients of one node and sample, from the values before batch norm to the convolution's place.
void Unpool(const Geometry& g, const float* dpooled, const uint8_t* where, float* planes) {
  const int64_t kernel = g.s.pool_kernel;
  std::vector<int64_t> place(std::max<int64_t>(kernel * kernel, 1), 0);
  for (int64_t k = 0; k < kernel * kernel; ++k) place[k] = k / kernel * g.pitch + k % kernel;
  for (int64_t f = 0; f < g.s.filters; ++f) {
    float* plane = planes + f * g.dy_plane;
    std::fill_n(plane, g.dy_plane, 0.0f);
    for (int64_t y = 0; y < g.out_height; ++y, dpooled += g.out_width) {
      if (kernel == 0) {
        std::copy_n(dpooled, g.out_width, plane + g.lead + y * g.pitch);
        continue;
      }
      float* window = plane + g.lead - g.border + y * g.s.pool_stride * g.pitch;
      for (int64_t x = 0; x < g.out_width; ++x) {
        window[x * g.s.pool_stride + place[where[x]]] += dpooled[x];
      }
      where += g.out_width;
    }
  }
}

// Sums of all chunks and vector lanes, where the straight-through estimator lets them pass.
void ReduceWeightGradient(const Geometry& g, const std::vector<std::vector<float>>& sums,
                          const float* weight, float* out) {
  const int64_t lanes = Kernels().lanes;
  at::parallel_for(0, g.out_channels(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t filter = begin; filter < end; ++filter) {
      const int64_t group = filter / g.s.filters, f = filter % g.s.filters;
      for (int64_t t = 0; t < g.taps; ++t) {
        const int64_t at =
            (((group * g.fours + f / kFours * kFours) / kFours * g.taps + t) * kFours +
             f % kFours) *
            lanes;
        float total = 0;
        for (const std::vector<float>& chunk : sums) {
          if (chunk.empty()) continue;
          float part = 0;
          for (int64_t i = 0; i < lanes; ++i) part += chunk[at + i];
          total += part;
        }
        out[filter * g.taps + t] = std::fabs(weight[filter * g.taps + t]) <= 1 ? total : 0.0f;
      }
    }
  });
}

struct ConvBlockFunction : torch::autograd::Function<ConvBlockFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& present, const at::Tensor& weight,
                            const at::Tensor& gamma, const at::Tensor& beta, const at::Tensor& mean,
                            const at::Tensor& variance, const ConvBlockShape& shape) {
    const at::Tensor x = input.contiguous();
    const Geometry g(shape, x.size(0), x.size(2), x.size(3));
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
      Scratch scratch(g);
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
    const Statistics batch = JoinMoments(g, mask, sums);
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
    const at::Tensor &x = saved[0], &present = saved[1], &weight = saved[2], &gamma = saved[3];
    const at::Tensor &inverse = saved[6], &before = saved[7], &where = saved[8];
    const Geometry g(Recall(context), x.size(0), x.size(2), x.size(3));
    const PlaneKernels& k = Kernels();
    const float* mask = MaskValues(present);
    const at::Tensor dy = gradients[0].contiguous();
    const float* grad = dy.data_ptr<float>();
    const float* pooled = before.data_ptr<float>();
    const uint8_t* places = g.s.pool_kernel > 0 ? where.data_ptr<uint8_t>() : nullptr;
    const int64_t channels = g.out_channels();
    const std::vector<NormTerms> norms = Norms(g.s, gamma, saved[4], saved[5], inverse);

    Sums sums{std::vector<float>(g.batch * channels), std::vector<float>(g.batch * channels)};
    at::parallel_for(0, g.batch, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * channels; i < end * channels; ++i) {
        const int64_t c = i % channels;
        if (!Present(mask, g, i / channels, c / g.s.filters)) continue;
        k.gradient_sums(pooled + i * g.out_area, grad + i * g.out_area, g.out_area, norms[c],
                        &sums.first[i], &sums.second[i]);
      }
    });
    const at::Tensor dgamma = at::empty_like(gamma), dbeta = at::empty_like(gamma);
    struct Slope {
      float factor, offset, slope;
    };
    std::vector<Slope> slopes(channels);
    for (int64_t c = 0; c < channels; ++c) {
      double total = 0, moment = 0, count = 0;
      for (int64_t b = 0; b < g.batch; ++b) {
        if (!Present(mask, g, b, c / g.s.filters)) continue;
        total += sums.first[b * channels + c];
        moment += sums.second[b * channels + c];
        count += static_cast<double>(g.out_area);
      }
      count = std::max(count, 1.0);
      const double inv = inverse.data_ptr<float>()[c];
      dbeta.data_ptr<float>()[c] = static_cast<float>(total);
      dgamma.data_ptr<float>()[c] = static_cast<float>(moment * inv);
      slopes[c] = {norms[c].scale, static_cast<float>(total / count),
                   static_cast<float>(moment * inv * inv / count)};
    }

    const bool needs_dx = x.scalar_type() == at::kFloat && context->needs_input_grad(0);
    at::Tensor dx;
    if (needs_dx) dx = at::empty_like(x);
    const std::vector<float> back =
        needs_dx ? BackwardWeights(g, weight.data_ptr<float>()) : std::vector<float>();
    std::vector<std::vector<float>> weight_sums(kChunks);
    at::parallel_for(0, kChunks, 1, [&](int64_t first, int64_t last) {
      Scratch scratch(g);
      std::vector<float> dpooled(g.s.filters * g.out_area), planes(g.fours * g.dy_plane, 0.0f);
      for (int64_t chunk = first; chunk < last; ++chunk) {
        weight_sums[chunk].assign(g.s.groups * g.fours * g.taps * k.lanes, 0.0f);
        const int64_t begin = g.batch * chunk / kChunks, end = g.batch * (chunk + 1) / kChunks;
        for (int64_t i = begin * g.s.groups; i < end * g.s.groups; ++i) {
          const int64_t b = i / g.s.groups, group = i % g.s.groups;
          float* to =
              needs_dx ? dx.data_ptr<float>() + i * g.s.channels * g.height * g.width : nullptr;
          if (!Present(mask, g, b, group)) {
            if (needs_dx) std::fill_n(to, g.s.channels * g.height * g.width, 0.0f);
            continue;
          }
          const int64_t at = b * channels + group * g.s.filters;
          for (int64_t f = 0; f < g.s.filters; ++f) {
            const int64_t c = group * g.s.filters + f, from = (at + f) * g.out_area;
            k.gradient(pooled + from, grad + from, g.out_area, norms[c], slopes[c].factor,
                       slopes[c].offset, slopes[c].slope, dpooled.data() + f * g.out_area);
          }
          Unpool(g, dpooled.data(), places == nullptr ? nullptr : places + at * g.out_area,
                 planes.data());
          CopyPadded(g, x, b, group, scratch.in.data());
          k.weight_gradient(scratch.in.data(), g.in_plane, planes.data() + g.lead, g.dy_plane,
                            g.s.channels, g.s.kernel, g.pitch, g.length, g.s.filters,
                            weight_sums[chunk].data() + group * g.fours * g.taps * k.lanes);
          if (needs_dx) ConvolveBack(g, back, group, planes.data(), scratch.in.data(), to);
          // The input's scratch is zero between the rows again.
          if (needs_dx) std::fill(scratch.in.begin(), scratch.in.end(), 0.0f);
        }
      }
    });
    const at::Tensor dweight = at::empty_like(weight);
    ReduceWeightGradient(g, weight_sums, weight.data_ptr<float>(), dweight.data_ptr<float>());
    return {dx, {}, dweight, dgamma, dbeta, {}, {}, {}};
  }

  static void ConvolveBack(const Geometry& g, const std::vector<float>& weights, int64_t group,
                           const float* planes, float* scratch, float* to) {
    const int64_t area = g.s.kernel * g.s.kernel;
    Kernels().convolve(planes + g.s.padding * g.pitch, g.dy_plane,
                       weights.data() + group * InFours(g.s.channels) * g.s.filters * area,
                       g.s.filters, g.s.kernel, g.pitch, g.height * g.pitch, g.s.channels, scratch,
                       g.in_plane);
    for (int64_t c = 0; c < g.s.channels; ++c) {
      const float* from = scratch + c * g.in_plane + g.s.padding;
      for (int64_t y = 0; y < g.height; ++y, to += g.width) {
        std::copy_n(from + y * g.pitch, g.width, to);
      }
    }
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
    context->saved_data["sizes"] =
        std::vector<int64_t>{s.groups,      s.channels,     s.filters,
                             s.kernel,      s.padding,      s.pool_kernel,
                             s.pool_stride, s.pool_padding, static_cast<int64_t>(s.activation)};
    context->saved_data["pixels"] = std::vector<double>{s.offset, s.scale};
  }

  static ConvBlockShape Recall(AutogradContext* context) {
    const std::vector<int64_t> sizes = context->saved_data["sizes"].toIntVector();
    const std::vector<double> pixels = context->saved_data["pixels"].toDoubleVector();
    ConvBlockShape s{sizes[0], sizes[1], sizes[2], sizes[3],
                     sizes[4], sizes[5], sizes[6], sizes[7]};
    s.activation = static_cast<Activation>(sizes[8]);
    s.offset = pixels[0];
    s.scale = pixels[1];
    return s;
  }
};

struct BinaryLinearFunction : torch::autograd::Function<BinaryLinearFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& weight) {
    const int64_t groups = weight.size(0), outputs = weight.size(1), inputs = weight.size(2);
    const int64_t batch = input.size(0);
    const at::Tensor x = input.reshape({batch, groups * inputs}).contiguous();
    const at::Tensor signs = at::empty_like(weight);
    const float* from = weight.data_ptr<float>();
    float* to = signs.data_ptr<float>();
    for (int64_t i = 0; i < weight.numel(); ++i) to[i] = from[i] >= 0 ? 1.0f : -1.0f;
    const at::Tensor y = at::empty({batch, groups * outputs, 1, 1}, weight.options());
    at::parallel_for(0, batch, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * groups; i < end * groups; ++i) {
        Kernels().dots(x.data_ptr<float>() + i * inputs, to + i % groups * outputs * inputs, inputs,
                       outputs, y.data_ptr<float>() + i * outputs);
      }
    });
    context->save_for_backward({x, weight, signs});
    context->saved_data["shape"] = input.sizes().vec();
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &signs = saved[2];
    const int64_t groups = weight.size(0), outputs = weight.size(1), inputs = weight.size(2);
    const int64_t batch = x.size(0);
    const at::Tensor dy = gradients[0].reshape({batch, groups * outputs}).contiguous();
    const float* grad = dy.data_ptr<float>();
    at::Tensor dx;
    if (context->needs_input_grad(0)) {
      dx = at::empty(context->saved_data["shape"].toIntVector(), x.options());
      at::parallel_for(0, batch, 4, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin * groups; i < end * groups; ++i) {
          Kernels().combine(signs.data_ptr<float>() + i % groups * outputs * inputs,
                            grad + i * outputs, inputs, outputs, dx.data_ptr<float>() + i * inputs);
        }
      });
    }
    const at::Tensor dw = at::empty_like(weight);
    constexpr int64_t kBlock = 256;
    const int64_t blocks = (inputs + kBlock - 1) / kBlock;
    at::parallel_for(0, groups * blocks, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t group = i / blocks, begin = i % blocks * kBlock;
        const int64_t end = std::min(begin + kBlock, inputs);
        float* to = dw.data_ptr<float>() + group * outputs * inputs;
        const float* now = weight.data_ptr<float>() + group * outputs * inputs;
        Kernels().outer(x.data_ptr<float>() + group * inputs, groups * inputs,
                        grad + group * outputs, groups * outputs, batch, inputs, outputs, begin,
                        end, to);
        for (int64_t o = 0; o < outputs; ++o) {
          for (int64_t j = o * inputs + begin; j < o * inputs + end; ++j) {
            if (std::fabs(now[j]) > 1) to[j] = 0;
          }
        }
      }
    });
    return {dx, dw};
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

at::Tensor BinaryLinearBlock(const at::Tensor& x, const at::Tensor& weight) {
  return BinaryLinearFunction::apply(x, weight);
}

}  // namespace ddnn::train

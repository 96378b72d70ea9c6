#include "train/norm_block.h"

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
constexpr at::MemoryFormat kRows = at::MemoryFormat::ChannelsLast;

struct Sizes {
  int64_t batch, channels, area, groups;
  int64_t each() const { return channels / groups; }
  int64_t sample() const { return channels * area; }
};

Sizes SizesOf(const at::Tensor& x, const at::Tensor& mask) {
  return {x.size(0), x.size(1), x.size(2) * x.size(3), mask.defined() ? mask.size(1) : 1};
}

bool Present(const float* mask, const Sizes& s, int64_t b, int64_t channel) {
  return mask == nullptr || mask[b * s.groups + channel / s.each()] > 0;
}

// A tensor's samples as rows of floats, whatever it holds them as. Each thread has its own.
class SampleRows {
 public:
  SampleRows(const at::Tensor& t, const Sizes& s)
      : sizes_(s), data_(t.data_ptr()), half_(t.scalar_type() == at::kBFloat16) {
    // A tensor of one pixel is both.
    planes_ = !t.is_contiguous(kRows);
    if (half_) floats_.resize(s.sample());
    if (planes_) turned_.resize(s.sample());
  }

  // Valid until the next call.
  const float* Read(int64_t b) {
    const int64_t at = b * sizes_.sample();
    const float* values = static_cast<const float*>(data_) + at;
    if (half_) {
      Kernels().widen(static_cast<const uint16_t*>(data_) + at, sizes_.sample(), floats_.data());
      values = floats_.data();
    }
    if (!planes_) return values;
    Kernels().transpose(values, sizes_.channels, sizes_.area, turned_.data());
    return turned_.data();
  }

  // Where to write sample b; Written says that it is there.
  float* Begin(int64_t b) {
    if (planes_) return turned_.data();
    return half_ ? floats_.data() : static_cast<float*>(data_) + b * sizes_.sample();
  }
  void Written(int64_t b) {
    const int64_t at = b * sizes_.sample();
    float* values = half_ ? floats_.data() : static_cast<float*>(data_) + at;
    if (planes_) Kernels().transpose(turned_.data(), sizes_.area, sizes_.channels, values);
    if (half_) Kernels().narrow(values, sizes_.sample(), static_cast<uint16_t*>(data_) + at);
  }

 private:
  Sizes sizes_;
  void* data_;
  bool half_, planes_ = false;
  std::vector<float> floats_, turned_;
};

template <typename Function>
void ForChunks(const Sizes& s, const Function& chunk_of) {
  at::parallel_for(0, kChunks, 1, [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      chunk_of(c, s.batch * c / kChunks, s.batch * (c + 1) / kChunks);
    }
  });
}

// How many values of a channel there are, their mean, and the sum of the squares of what is off it.
struct Moments {
  std::vector<double> counts, means, squares;

  explicit Moments(int64_t channels)
      : counts(channels, 0.0), means(channels, 0.0), squares(channels, 0.0) {}

  // Chan, Golub and LeVeque, 1979.
  void Add(int64_t c, double count, double mean, double square) {
    const double both = counts[c] + count, off = mean - means[c];
    if (both == 0) return;
    squares[c] += square + off * off * counts[c] * count / both;
    means[c] += off * count / both;
    counts[c] = both;
  }
};

Moments MomentsOf(const Sizes& s, const at::Tensor& x, const float* mask) {
  std::vector<Moments> chunks(kChunks, Moments(s.channels));
  ForChunks(s, [&](int64_t chunk, int64_t begin, int64_t end) {
    SampleRows rows(x, s);
    std::vector<float> centre(s.channels), squares(s.channels, 0.0f);
    for (int64_t b = begin; b < end; ++b) {
      const float* values = rows.Read(b);
      Kernels().row_sums(values, s.area, s.channels, centre.data());
      for (float& sum : centre) sum /= static_cast<float>(s.area);
      if (s.area > 1) {
        Kernels().row_squares(values, s.area, s.channels, centre.data(), squares.data());
      }
      for (int64_t c = 0; c < s.channels; ++c) {
        if (!Present(mask, s, b, c)) continue;
        chunks[chunk].Add(c, static_cast<double>(s.area), centre[c], squares[c]);
      }
    }
  });
  for (int64_t i = 1; i < kChunks; ++i) {
    for (int64_t c = 0; c < s.channels; ++c) {
      chunks[0].Add(c, chunks[i].counts[c], chunks[i].means[c], chunks[i].squares[c]);
    }
  }
  return chunks[0];
}

void UpdateRunning(const Moments& batch, double momentum, float* mean, float* variance) {
  for (size_t c = 0; c < batch.counts.size(); ++c) {
    if (batch.counts[c] == 0) continue;
    mean[c] += static_cast<float>(momentum * (batch.means[c] - mean[c]));
    // One value has no variance: such a channel learns nothing about it from this batch.
    if (batch.counts[c] < 2) continue;
    variance[c] +=
        static_cast<float>(momentum * (batch.squares[c] / (batch.counts[c] - 1) - variance[c]));
  }
}

std::vector<float> Scales(const at::Tensor& inverse, const at::Tensor& gamma) {
  std::vector<float> scale(gamma.size(0));
  for (size_t c = 0; c < scale.size(); ++c) {
    scale[c] = inverse.data_ptr<float>()[c] * gamma.data_ptr<float>()[c];
  }
  return scale;
}

// values, but 0 for the channels of what is absent from sample b.
void KeepPresent(const Sizes& s, const float* mask, int64_t b, const std::vector<float>& values,
                 std::vector<float>* kept) {
  for (int64_t c = 0; c < s.channels; ++c) {
    (*kept)[c] = Present(mask, s, b, c) ? values[c] : 0.0f;
  }
}

const float* MaskData(const at::Tensor& mask) {
  return mask.defined() && mask.numel() > 0 ? mask.data_ptr<float>() : nullptr;
}

// Sums over all samples of a channel: of the gradient behind the activation, of it times what x is
// off the mean, and how many values these are.
std::vector<double> GradientSums(const Sizes& s, const at::Tensor& x, const at::Tensor& dy,
                                 const float* mask, const RowNorm& norm) {
  std::vector<double> sums(kChunks * 3 * s.channels, 0.0);
  ForChunks(s, [&](int64_t chunk, int64_t begin, int64_t end) {
    SampleRows values(x, s), gradients(dy, s);
    std::vector<float> plain(s.channels), moment(s.channels);
    double* out = sums.data() + chunk * 3 * s.channels;
    for (int64_t b = begin; b < end; ++b) {
      Kernels().row_gradient_sums(values.Read(b), gradients.Read(b), s.area, s.channels, norm,
                                  plain.data(), moment.data());
      for (int64_t c = 0; c < s.channels; ++c) {
        if (!Present(mask, s, b, c)) continue;
        out[3 * c] += plain[c];
        out[3 * c + 1] += moment[c];
        out[3 * c + 2] += static_cast<double>(s.area);
      }
    }
  });
  for (int64_t chunk = 1; chunk < kChunks; ++chunk) {
    for (int64_t i = 0; i < 3 * s.channels; ++i) sums[i] += sums[chunk * 3 * s.channels + i];
  }
  sums.resize(3 * s.channels);
  return sums;
}

struct NormFunction : torch::autograd::Function<NormFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& mask, const at::Tensor& gamma, const at::Tensor& beta,
                            const at::Tensor& mean, const at::Tensor& variance,
                            const NormShape& shape) {
    const at::Tensor x = input.contiguous(kRows);
    const float* present = MaskData(mask);
    const Sizes s = SizesOf(x, present == nullptr ? at::Tensor() : mask);
    Moments moments = MomentsOf(s, x, present);
    JoinStatistics(shape.ranks, &moments.counts, &moments.means, &moments.squares);
    UpdateRunning(moments, shape.momentum, mean.data_ptr<float>(), variance.data_ptr<float>());

    const at::Tensor centres = at::empty_like(gamma), inverse = at::empty_like(gamma);
    for (int64_t c = 0; c < s.channels; ++c) {
      const double spread = moments.squares[c] / std::max(moments.counts[c], 1.0);
      centres.data_ptr<float>()[c] = static_cast<float>(moments.means[c]);
      inverse.data_ptr<float>()[c] = static_cast<float>(1 / std::sqrt(spread + shape.epsilon));
    }
    const at::TensorOptions options = shape.planes ? x.options().dtype(at::kFloat) : x.options();
    const at::Tensor y =
        at::empty(x.sizes(), options, shape.planes ? at::MemoryFormat::Contiguous : kRows);
    const std::vector<float> scale = Scales(inverse, gamma);
    ForChunks(s, [&](int64_t, int64_t begin, int64_t end) {
      SampleRows from(x, s), to(y, s);
      std::vector<float> kept(s.channels);
      for (int64_t b = begin; b < end; ++b) {
        KeepPresent(s, present, b, scale, &kept);
        const RowNorm norm{centres.data_ptr<float>(), kept.data(), beta.data_ptr<float>(),
                           shape.activation};
        Kernels().normalise_rows(from.Read(b), s.area, s.channels, norm, to.Begin(b));
        to.Written(b);
      }
    });
    context->save_for_backward({x, mask, gamma, beta, centres, inverse});
    context->saved_data["activation"] = static_cast<int64_t>(shape.activation);
    context->saved_data["ranks"] = reinterpret_cast<int64_t>(shape.ranks);
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &mask = saved[1], &gamma = saved[2], &beta = saved[3],
                     &centres = saved[4], &inverse = saved[5];
    const float* present = MaskData(mask);
    const Sizes s = SizesOf(x, present == nullptr ? at::Tensor() : mask);
    const at::Tensor dy =
        gradients[0].is_contiguous(kRows) ? gradients[0] : gradients[0].contiguous();
    const std::vector<float> scale = Scales(inverse, gamma);
    const RowNorm norm{centres.data_ptr<float>(), scale.data(), beta.data_ptr<float>(),
                       static_cast<Activation>(context->saved_data["activation"].toInt())};
    std::vector<double> sums = GradientSums(s, x, dy, present, norm);
    const at::Tensor dgamma = at::empty_like(gamma), dbeta = at::empty_like(gamma);
    for (int64_t c = 0; c < s.channels; ++c) {
      dbeta.data_ptr<float>()[c] = static_cast<float>(sums[3 * c]);
      dgamma.data_ptr<float>()[c] =
          static_cast<float>(sums[3 * c + 1] * inverse.data_ptr<float>()[c]);
    }
    if (Ranks* ranks = reinterpret_cast<Ranks*>(context->saved_data["ranks"].toInt())) {
      ranks->Sum(absl::MakeSpan(sums));
    }
    std::vector<float> offset(s.channels), slope(s.channels);
    for (int64_t c = 0; c < s.channels; ++c) {
      const double count = std::max(sums[3 * c + 2], 1.0), inv = inverse.data_ptr<float>()[c];
      offset[c] = static_cast<float>(sums[3 * c] / count);
      slope[c] = static_cast<float>(sums[3 * c + 1] * inv * inv / count);
    }
    const at::Tensor dx = at::empty_like(x);
    ForChunks(s, [&](int64_t, int64_t begin, int64_t end) {
      SampleRows values(x, s), from(dy, s), to(dx, s);
      std::vector<float> factor(s.channels);
      for (int64_t b = begin; b < end; ++b) {
        KeepPresent(s, present, b, scale, &factor);
        Kernels().row_gradient(values.Read(b), from.Read(b), s.area, s.channels, norm,
                               {factor.data(), offset.data(), slope.data()}, to.Begin(b));
        to.Written(b);
      }
    });
    return {dx, {}, dgamma, dbeta, {}, {}, {}};
  }
};

}  // namespace

bool FitsNormBlock(const at::Tensor& x) {
  return x.is_cpu() && x.dim() == 4 && x.numel() > 0 &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

at::Tensor NormBlock(const NormShape& shape, const at::Tensor& x, const at::Tensor& mask,
                     const at::Tensor& gamma, const at::Tensor& beta, const at::Tensor& mean,
                     const at::Tensor& variance) {
  // LibTorch takes no undefined tensors here.
  const at::Tensor present = mask.defined() ? mask.contiguous() : at::empty({0}, gamma.options());
  return NormFunction::apply(x, present, gamma, beta, mean, variance, shape);
}

}  // namespace ddnn::train

#include "train/conv_planes.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "train/parallel.h"

namespace ddnn::train {
namespace {

constexpr int64_t kFours = PlaneKernels::kFilters;
constexpr int64_t kSlack = PlaneKernels::kSlack;

int64_t InFours(int64_t filters) { return (filters + kFours - 1) / kFours * kFours; }

int64_t Aligned(int64_t floats) {
  constexpr int64_t kAlign = PlaneGeometry::kAlign;
  return (floats + kAlign - 1) / kAlign * kAlign;
}

}  // namespace

PlaneGeometry::PlaneGeometry(const ConvBlockShape& shape, int64_t batch, int64_t height,
                             int64_t width)
    : s(shape), batch(batch), height(height), width(width) {
  pitch = width + 2 * s.padding;
  conv_height = height + 2 * s.padding - s.kernel + 1;
  conv_width = pitch - s.kernel + 1;
  length = conv_height * pitch;
  in_plane = Aligned((height + 2 * s.padding) * pitch + s.kernel + kSlack);
  const int64_t pool_border = s.pool_kernel > 0 ? s.pool_padding * (pitch + 1) : 0;
  border = Aligned(pool_border);
  window = border - pool_border;
  conv_plane = Aligned(border + length + s.pool_padding * (pitch + 1) + kSlack);
  const int64_t back = (s.kernel - 1) * (pitch + 1);
  lead = Aligned(back);
  dy_plane = Aligned(lead + length + back + kSlack);
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

AlignedFloats::AlignedFloats(int64_t size, float value)
    : memory_(size + PlaneGeometry::kAlign, value), size_(size) {
  void* begin = memory_.data();
  size_t space = memory_.size() * sizeof(float);
  begin_ = static_cast<float*>(
      std::align(PlaneGeometry::kAlign * sizeof(float), size * sizeof(float), begin, space));
}

ConvScratch::ConvScratch(const PlaneGeometry& g)
    : in(g.s.channels * g.in_plane, 0.0f),
      conv(g.s.filters * g.conv_plane, -std::numeric_limits<float>::infinity()),
      row(2 * (g.pitch + kSlack), 0.0f) {}

void CopyPadded(const PlaneGeometry& g, const at::Tensor& x, int64_t sample, int64_t group,
                float* planes) {
  const int64_t area = g.height * g.width;
  const int64_t at = (sample * g.s.groups + group) * g.s.channels * area;
  planes += g.s.padding * (g.pitch + 1);
  for (int64_t c = 0; c < g.s.channels; ++c, planes += g.in_plane) {
    if (x.scalar_type() == at::kByte) {
      Kernels().copy_pixels(x.data_ptr<uint8_t>() + at + c * area, g.height, g.width,
                            static_cast<float>(g.s.offset), static_cast<float>(g.s.scale), planes,
                            g.pitch);
    } else {
      Kernels().copy_rows(x.data_ptr<float>() + at + c * area, g.width, g.height, g.width, planes,
                          g.pitch);
    }
  }
}

std::vector<float> ForwardWeights(const PlaneGeometry& g, const float* weight) {
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

std::vector<float> BackwardWeights(const PlaneGeometry& g, const float* weight) {
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

void ConvolveAndPool(const PlaneGeometry& g, const float* weights, ConvScratch* scratch,
                     float* pooled, uint8_t* where) {
  const PlaneKernels& k = Kernels();
  const float lowest = -std::numeric_limits<float>::infinity();
  k.convolve(scratch->in.data(), g.in_plane, weights, g.s.channels, g.s.kernel, g.pitch, g.length,
             g.s.filters, scratch->conv.data() + g.border, g.conv_plane);
  for (int64_t f = 0; f < g.s.filters; ++f) {
    float* plane = scratch->conv.data() + f * g.conv_plane;
    if (g.s.pool_kernel == 0) {
      k.copy_rows(plane, g.pitch, g.conv_height, g.conv_width, pooled + f * g.out_area,
                  g.conv_width);
      continue;
    }
    // What lies between the rows is the pool's padding, and so is what lies behind.
    float* row = plane + g.border + g.conv_width;
    for (int64_t y = 0; y < g.conv_height; ++y, row += g.pitch) {
      std::fill_n(row, g.pitch - g.conv_width, lowest);
    }
    std::fill_n(plane + g.border + g.length, kSlack, lowest);
    k.max_pool(plane + g.window, g.pitch, g.out_height, g.out_width, g.s.pool_kernel,
               g.s.pool_stride, scratch->row.data(), pooled + f * g.out_area,
               where + f * g.out_area);
  }
}

void Unpool(const PlaneGeometry& g, const float* dpooled, const uint8_t* where, float* planes) {
  const int64_t kernel = g.s.pool_kernel;
  std::vector<int64_t> place(std::max<int64_t>(kernel * kernel, 1), 0);
  for (int64_t k = 0; k < kernel * kernel; ++k) place[k] = k / kernel * g.pitch + k % kernel;
  for (int64_t f = 0; f < g.s.filters; ++f) {
    float* plane = planes + f * g.dy_plane;
    std::fill_n(plane, g.dy_plane, 0.0f);
    if (kernel == 0) {
      Kernels().copy_rows(dpooled, g.out_width, g.out_height, g.out_width, plane + g.lead, g.pitch);
      dpooled += g.out_area;
      continue;
    }
    for (int64_t y = 0; y < g.out_height; ++y, dpooled += g.out_width) {
      float* window = plane + g.lead - (g.border - g.window) + y * g.s.pool_stride * g.pitch;
      for (int64_t x = 0; x < g.out_width; ++x) {
        window[x * g.s.pool_stride + place[where[x]]] += dpooled[x];
      }
      where += g.out_width;
    }
  }
}

void ReduceWeightGradient(const PlaneGeometry& g, const std::vector<std::vector<float>>& sums,
                          const float* weight, float* out) {
  std::vector<const float*> chunks;
  for (const std::vector<float>& chunk : sums) chunks.push_back(chunk.data());
  const int64_t lanes = Kernels().lanes, fours = g.fours / kFours;
  at::parallel_for(0, g.s.groups * fours, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> totals(g.taps * kFours);
    for (int64_t i = begin; i < end; ++i) {
      Kernels().sum_lanes(chunks.data(), static_cast<int64_t>(chunks.size()),
                          i * g.taps * kFours * lanes, g.taps * kFours, totals.data());
      for (int64_t f = i % fours * kFours; f < std::min((i % fours + 1) * kFours, g.s.filters);
           ++f) {
        const int64_t at = (i / fours * g.s.filters + f) * g.taps;
        for (int64_t t = 0; t < g.taps; ++t) {
          out[at + t] = std::fabs(weight[at + t]) <= 1 ? totals[t * kFours + f % kFours] : 0.0f;
        }
      }
    }
  });
}

void ConvolveBack(const PlaneGeometry& g, const std::vector<float>& weights, int64_t group,
                  const float* planes, float* scratch, float* to) {
  const int64_t area = g.s.kernel * g.s.kernel, back = (g.s.kernel - 1) * (g.pitch + 1);
  Kernels().convolve(planes + g.lead - back + g.s.padding * g.pitch, g.dy_plane,
                     weights.data() + group * InFours(g.s.channels) * g.s.filters * area,
                     g.s.filters, g.s.kernel, g.pitch, g.height * g.pitch, g.s.channels, scratch,
                     g.in_plane);
  for (int64_t c = 0; c < g.s.channels; ++c) {
    Kernels().copy_rows(scratch + c * g.in_plane + g.s.padding, g.pitch, g.height, g.width,
                        to + c * g.height * g.width, g.width);
  }
}

}  // namespace ddnn::train

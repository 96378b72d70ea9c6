// Compiled once for each set of instructions: foreach_target.h includes this file anew.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/lite/winograd.cc"
#include "runtime/lite/kernel_targets.h"
// Behind it: what kernels are compiled for.
#include <hwy/foreach_target.h>
// The order matters: what follows is compiled for each target.
#include <hwy/highway.h>

#include <utility>
#include <vector>

#include "runtime/lite/aligned.h"
#include "runtime/lite/winograd.h"

#ifndef DDNN_RUNTIME_LITE_WINOGRAD_CC_
#define DDNN_RUNTIME_LITE_WINOGRAD_CC_
namespace ddnn {
namespace lite {
namespace {

// A tile is 4x4 inputs, two apart, and 2x2 outputs. Its 16 transformed values are held apart, in 16
// matrices [tiles, C], each of which is multiplied by a matrix of weights [C, filters].
constexpr size_t kSide = 4, kPlaces = kSide * kSide, kStep = 2;
// Weights are held for groups of so many filters, [filters / 16, C, 16]: a line of the cache and
// the longest vector.
constexpr size_t kGroup = 16;
// Matrices have a multiple of so many rows.
constexpr size_t kRowStep = 4;

struct WinogradConv {
  int padding;
  Shape in, out;
  size_t groups;                 // of filters
  size_t tiles_x;                // tiles beside each other
  size_t rows;                   // of a matrix: tiles at a time, a multiple of kRowStep
  size_t input_step;             // from one matrix of inputs, [rows, C], to the next
  size_t product_step;           // from one product, [rows, groups * kGroup], to the next
  AlignedVector<float> weights;  // [kPlaces, groups, C, kGroup]
  std::vector<float> bias;       // [filters]
  std::vector<float> outside;    // [C]: a pixel of zeros
};

}  // namespace
}  // namespace lite
}  // namespace ddnn
#endif  // DDNN_RUNTIME_LITE_WINOGRAD_CC_

HWY_BEFORE_NAMESPACE();
namespace ddnn {
namespace lite {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, kGroup>;
using Float = hn::Vec<Floats>;

// What stays in registers of a product: so many rows by two vectors, and as many fewer rows at the
// matrix's end. AVX-512 has 32 registers and multiplies by what it loads; 64-bit Arm has 32 and
// holds the rows' values too; others have 16. Of two targets of x86 the better has the lower
// number.
#if HWY_TARGET <= HWY_AVX3
constexpr size_t kMostRows = 12, kFewRows = 4;
#elif HWY_ARCH_ARM_A64
constexpr size_t kMostRows = 8, kFewRows = 4;
#else
constexpr size_t kMostRows = 6, kFewRows = 2;
#endif
static_assert(kRowStep % kFewRows == 0, "no rows are left over");

// Calls what is given for channels 0, lanes, 2 * lanes...; the last time so that the last lane is
// the last channel. There are at least as many channels as lanes.
template <typename AtChannel>
HWY_INLINE void ForVectors(size_t channels, AtChannel at_channel) {
  const size_t lanes = hn::Lanes(Floats());
  size_t c = 0;
  for (; c + lanes < channels; c += lanes) at_channel(c);
  at_channel(channels - lanes);
}

HWY_INLINE void TransformInputs(Float a, Float b, Float c, Float d, Float* out) {
  out[0] = hn::Sub(a, c);
  out[1] = hn::Add(b, c);
  out[2] = hn::Sub(c, b);
  out[3] = hn::Sub(b, d);
}

// A row of all matrices of inputs, from the tile at (y, x) of the picture, which may stick out.
HWY_INLINE void TransformTile(const WinogradConv& conv, const float* in, int y, int x, float* out) {
  const Floats d;
  const size_t channels = conv.in.channels;
  const float* pixels[kPlaces];
  for (int i = 0; i < static_cast<int>(kPlaces); ++i) {
    const int py = y + i / 4, px = x + i % 4;
    const bool inside = py >= 0 && py < conv.in.height && px >= 0 && px < conv.in.width;
    pixels[i] =
        inside ? in + (size_t{1} * py * conv.in.width + px) * channels : conv.outside.data();
  }
  ForVectors(channels, [&](size_t c) HWY_ATTR {
    Float across[kSide][kSide];
    for (size_t i = 0; i < kSide; ++i) {
      const float* const* p = pixels + i * kSide;
      TransformInputs(hn::LoadU(d, p[0] + c), hn::LoadU(d, p[1] + c), hn::LoadU(d, p[2] + c),
                      hn::LoadU(d, p[3] + c), across[i]);
    }
    for (size_t j = 0; j < kSide; ++j) {
      Float down[kSide];
      TransformInputs(across[0][j], across[1][j], across[2][j], across[3][j], down);
      for (size_t i = 0; i < kSide; ++i) {
        hn::StoreU(down[i], d, out + (i * kSide + j) * conv.input_step + c);
      }
    }
  });
}

// [kRows, C] times [C, kVectors vectors]; the vectors' weights lie `step` apart.
template <size_t kRows, size_t kVectors>
HWY_INLINE void Multiply(const float* in, size_t channels, const float* weights, size_t step,
                         float* out, size_t out_step) {
  const Floats d;
  Float sums[kRows][kVectors];
  for (auto& row : sums) {
    for (Float& sum : row) sum = hn::Zero(d);
  }
  for (size_t c = 0; c < channels; ++c, weights += kGroup) {
    Float w[kVectors];
    for (size_t v = 0; v < kVectors; ++v) w[v] = hn::LoadU(d, weights + v * step);
    for (size_t r = 0; r < kRows; ++r) {
      const Float x = hn::Set(d, in[r * channels + c]);
      for (size_t v = 0; v < kVectors; ++v) sums[r][v] = hn::MulAdd(x, w[v], sums[r][v]);
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t v = 0; v < kVectors; ++v) {
      hn::StoreU(sums[r][v], d, out + r * out_step + v * hn::Lanes(d));
    }
  }
}

// kRows rows of one of the products, for all filters.
template <size_t kRows>
HWY_INLINE void MultiplyRows(const WinogradConv& conv, const float* in, const float* weights,
                             float* out) {
  const size_t channels = conv.in.channels, filters = conv.groups * kGroup;
  const size_t lanes = hn::Lanes(Floats());
  const auto weights_at = [&](size_t f) HWY_ATTR {
    return weights + f / kGroup * kGroup * channels + f % kGroup;
  };
  const size_t step = lanes == kGroup ? channels * kGroup : lanes;
  size_t f = 0;
  for (; f + 2 * lanes <= filters; f += 2 * lanes) {
    Multiply<kRows, 2>(in, channels, weights_at(f), step, out + f, filters);
  }
  if (f < filters) Multiply<kRows, 1>(in, channels, weights_at(f), step, out + f, filters);
}

void MultiplyAll(const WinogradConv& conv, const float* inputs, float* products) {
  const size_t channels = conv.in.channels, filters = conv.groups * kGroup;
  const float* weights = conv.weights.data();
  for (size_t place = 0; place < kPlaces; ++place) {
    size_t r = 0;
    for (; r + kMostRows <= conv.rows; r += kMostRows) {
      MultiplyRows<kMostRows>(conv, inputs + r * channels, weights, products + r * filters);
    }
    for (; r < conv.rows; r += kFewRows) {
      MultiplyRows<kFewRows>(conv, inputs + r * channels, weights, products + r * filters);
    }
    inputs += conv.input_step;
    weights += filters * channels;
    products += conv.product_step;
  }
}

HWY_INLINE void TransformSums(Float a, Float b, Float c, Float d, Float* out) {
  out[0] = hn::Add(a, hn::Add(b, c));
  out[1] = hn::Sub(hn::Sub(b, c), d);
}

// The outputs at (y, x) and beside and below it, as far as there are, from a row of all products.
HWY_INLINE void TransformBack(const WinogradConv& conv, const float* products, int y, int x,
                              float* out) {
  const Floats d;
  const size_t filters = conv.out.channels, width = conv.out.width;
  const bool below = y + 1 < conv.out.height, beside = x + 1 < conv.out.width;
  out += (y * width + x) * filters;
  ForVectors(filters, [&](size_t f) HWY_ATTR {
    const auto product = [&](size_t place) HWY_ATTR {
      return hn::LoadU(d, products + place * conv.product_step + f);
    };
    Float down[kSide][kStep];
    for (size_t j = 0; j < kSide; ++j) {
      TransformSums(product(j), product(kSide + j), product(2 * kSide + j), product(3 * kSide + j),
                    down[j]);
    }
    const Float bias = hn::LoadU(d, conv.bias.data() + f);
    for (size_t i = 0; i < (below ? 2 : 1); ++i) {
      Float across[kStep];
      TransformSums(down[0][i], down[1][i], down[2][i], down[3][i], across);
      float* pixel = out + i * width * filters + f;
      hn::StoreU(hn::Add(across[0], bias), d, pixel);
      if (beside) hn::StoreU(hn::Add(across[1], bias), d, pixel + filters);
    }
  });
}

void ConvolveImpl(const WinogradConv& conv, const float* in, float* inputs, float* products,
                  float* out) {
  const size_t tiles = conv.tiles_x * ((conv.out.height + 1) / kStep);
  const auto y = [&](size_t tile) { return static_cast<int>(tile / conv.tiles_x * kStep); };
  const auto x = [&](size_t tile) { return static_cast<int>(tile % conv.tiles_x * kStep); };
  for (size_t begin = 0; begin < tiles; begin += conv.rows) {
    const size_t end = HWY_MIN(tiles, begin + conv.rows);
    for (size_t t = begin; t < end; ++t) {
      TransformTile(conv, in, y(t) - conv.padding, x(t) - conv.padding,
                    inputs + (t - begin) * conv.in.channels);
    }
    // Rows behind the last tile are multiplied along, whatever they hold.
    MultiplyAll(conv, inputs, products);
    for (size_t t = begin; t < end; ++t) {
      TransformBack(conv, products + (t - begin) * conv.groups * kGroup, y(t), x(t), out);
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lite
}  // namespace ddnn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddnn {
namespace lite {
namespace {
HWY_EXPORT(ConvolveImpl);

constexpr size_t kTilesAtOnce = 64;  // matrices that stay in the second cache

size_t RoundedUp(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// An odd number of cache lines: a tile's 16 values fall into 16 sets of the first cache.
size_t MatrixStep(size_t rows, size_t columns) {
  return (RoundedUp(rows * columns, kGroup) / kGroup | 1) * kGroup;
}

// [filters, C, 3, 3] -> [kPlaces, groups, C, kGroup], computed in double.
AlignedVector<float> TransformedWeights(const std::vector<float>& kernel, size_t channels,
                                        size_t filters) {
  constexpr double kMatrix[kSide][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
  const size_t groups = RoundedUp(filters, kGroup) / kGroup;
  AlignedVector<float> weights(kPlaces * groups * channels * kGroup);
  for (size_t f = 0; f < filters; ++f) {
    for (size_t c = 0; c < channels; ++c) {
      const float* window = &kernel[(f * channels + c) * 9];
      for (size_t place = 0; place < kPlaces; ++place) {
        const double* down = kMatrix[place / kSide];
        const double* across = kMatrix[place % kSide];
        double sum = 0;
        for (int i = 0; i < 9; ++i) sum += down[i / 3] * across[i % 3] * window[i];
        const size_t row = (place * groups + f / kGroup) * channels + c;
        weights[row * kGroup + f % kGroup] = static_cast<float>(sum);
      }
    }
  }
  return weights;
}

class WinogradOp : public Op {
 public:
  explicit WinogradOp(WinogradConv conv)
      : conv_(std::move(conv)),
        inputs_(kPlaces * conv_.input_step),
        products_(kPlaces * conv_.product_step) {}

  absl::Status Run(const Values& in, Values* out) override {
    HWY_DYNAMIC_DISPATCH(ConvolveImpl)
    (conv_, in.floats.data(), inputs_.data(), products_.data(), out->floats.data());
    return absl::OkStatus();
  }

 private:
  const WinogradConv conv_;
  AlignedVector<float> inputs_, products_;
};

}  // namespace

bool WinogradPays(const ConvGeometry& geometry, const Shape& in, const Shape& out) {
  return geometry.kernel == 3 && geometry.stride == 1 && in.channels >= 16 && out.channels >= 24 &&
         out.height >= 3 && out.width >= 3;
}

std::unique_ptr<Op> MakeWinogradConv(int padding, const FloatWeights& weights, const Shape& in,
                                     const Shape& out) {
  WinogradConv conv;
  conv.padding = padding;
  conv.in = in;
  conv.out = out;
  const size_t channels = in.channels, filters = out.channels;
  conv.groups = RoundedUp(filters, kGroup) / kGroup;
  conv.tiles_x = (out.width + 1) / kStep;
  const size_t tiles = conv.tiles_x * ((out.height + 1) / kStep);
  // Parts of the same size, so that few rows are multiplied for nothing.
  const size_t parts = RoundedUp(tiles, kTilesAtOnce) / kTilesAtOnce;
  conv.rows = RoundedUp((tiles + parts - 1) / parts, kRowStep);
  conv.input_step = MatrixStep(conv.rows, channels);
  conv.product_step = MatrixStep(conv.rows, conv.groups * kGroup);
  conv.weights = TransformedWeights(weights.kernel, channels, filters);
  conv.bias = weights.bias;
  conv.bias.resize(filters);
  conv.outside.resize(channels);
  return std::make_unique<WinogradOp>(std::move(conv));
}

}  // namespace lite
}  // namespace ddnn
#endif  // HWY_ONCE

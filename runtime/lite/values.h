#ifndef DDNN_RUNTIME_LITE_VALUES_H_
#define DDNN_RUNTIME_LITE_VALUES_H_

#include <cstdint>
#include <vector>

#include "models/network_plan.h"

namespace ddnn {
namespace lite {

/// How the values between two layers are held.
enum class Form {
  kPixels,     ///< bytes: x = (byte - offset) * unit
  kIntegers,   ///< x = n * unit
  kBits,       ///< x = +1 or -1; 0 where the mask says so
  kPixelBits,  ///< the same in the order [H, W, C], each pixel's bits in words of its own; no mask
  kFloats,
  kPixelFloats,  ///< the same in the order [H, W, C], with kFloatSlack behind them
};

/// XNNPACK reads up to so many floats past the end of its input.
inline constexpr size_t kFloatSlack = 4;

/// The values between two layers, one sample, in the order [C, H, W] unless the form says
/// otherwise. Buffers are sized once, on creation of the engine, and reused for every sample.
struct Values {
  Shape shape;
  Form form = Form::kFloats;
  float unit = 1;       ///< pixels and integers only
  int32_t offset = 0;   ///< pixels only
  bool masked = false;  ///< bits only: `mask` is used; else all are valid

  std::vector<uint8_t> pixels;
  std::vector<int32_t> integers;
  std::vector<uint64_t> bits;  ///< bit i in word i / 64 at position i % 64; spare bits 0
  std::vector<uint64_t> mask;  ///< 1 where the value is not 0; spare bits 0
  std::vector<float> floats;
};

/// Words that hold this many bits.
inline size_t WordsFor(size_t bits) { return (bits + 63) / 64; }

/// Values of this shape and form with buffers of the right size.
inline Values MakeValues(const Shape& shape, Form form, float unit = 1, bool masked = false) {
  Values v;
  v.shape = shape;
  v.form = form;
  v.unit = unit;
  v.masked = masked;
  const size_t n = static_cast<size_t>(shape.size());
  if (form == Form::kPixels) v.pixels.resize(n);
  if (form == Form::kIntegers) v.integers.resize(n);
  if (form == Form::kFloats) v.floats.resize(n);
  if (form == Form::kPixelFloats) v.floats.resize(n + kFloatSlack);
  if (form == Form::kBits) {
    v.bits.resize(WordsFor(n));
    if (masked) v.mask.resize(WordsFor(n));
  }
  if (form == Form::kPixelBits) {
    v.bits.resize(size_t{1} * shape.height * shape.width * WordsFor(shape.channels));
  }
  return v;
}

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_VALUES_H_

#include "runtime/lite/pointwise_ops.h"

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "runtime/core/feature_codec.h"
#include "runtime/core/float_bytes.h"
#include "runtime/lite/bit_planes.h"
#include "runtime/lite/bit_stream.h"
#include "runtime/lite/transpose.h"

namespace ddnn {
namespace lite {
namespace {

// Writes `count` bits from bit `begin` on; the words must be 0 there.
template <typename Predicate>
void PackBits(std::vector<uint64_t>* words, size_t begin, size_t count, Predicate is_set) {
  for (size_t i = 0; i < count; ++i) {
    const size_t at = begin + i;
    (*words)[at / 64] |= uint64_t{is_set(i)} << (at % 64);
  }
}

void Clear(std::vector<uint64_t>* words) { std::fill(words->begin(), words->end(), 0); }

int BitValue(const Values& v, size_t i) {
  if (v.masked && !TestBit(v.mask.data(), i)) return 0;
  return TestBit(v.bits.data(), i) ? 1 : -1;
}

class ThresholdOp : public Op {
 public:
  explicit ThresholdOp(const v1::Threshold& layer) : at_(layer.at().begin(), layer.at().end()) {
    flip_.resize(at_.size());
    if (layer.flip().empty()) return;
    for (size_t c = 0; c < at_.size(); ++c) flip_[c] = BitAt(layer.flip(), c);
  }

  absl::Status Run(const Values& in, Values* out) override {
    Clear(&out->bits);
    const size_t plane = size_t{1} * in.shape.height * in.shape.width;
    for (size_t c = 0; c < at_.size(); ++c) {
      const int32_t* n = &in.integers[c * plane];
      const int32_t at = at_[c];
      const bool flip = flip_[c];
      PackBits(&out->bits, c * plane, plane, [=](size_t i) { return (n[i] >= at) != flip; });
    }
    return absl::OkStatus();
  }

 private:
  std::vector<int32_t> at_;
  std::vector<char> flip_;
};

class AffineOp : public Op {
 public:
  explicit AffineOp(const v1::Affine& layer)
      : scale_(FloatsOf(layer.scale())), bias_(FloatsOf(layer.bias())) {}

  absl::Status Run(const Values& in, Values* out) override {
    const size_t plane = size_t{1} * in.shape.height * in.shape.width;
    if (in.form == Form::kPixelFloats) {
      for (size_t p = 0; p < plane; ++p) {
        const float* from = &in.floats[p * scale_.size()];
        float* to = &out->floats[p * scale_.size()];
        for (size_t c = 0; c < scale_.size(); ++c) {
          const float product = from[c] * scale_[c];
          to[c] = product + bias_[c];
        }
      }
      return absl::OkStatus();
    }
    for (size_t c = 0; c < scale_.size(); ++c) {
      const float scale = scale_[c], bias = bias_[c];
      for (size_t i = c * plane; i < (c + 1) * plane; ++i) {
        const float product = in.floats[i] * scale;
        out->floats[i] = product + bias;
      }
    }
    return absl::OkStatus();
  }

 private:
  std::vector<float> scale_, bias_;
};

class SignOp : public Op {
 public:
  absl::Status Run(const Values& in, Values* out) override {
    Clear(&out->bits);
    const size_t count = static_cast<size_t>(in.shape.size());
    switch (in.form) {
      case Form::kIntegers:
        PackBits(&out->bits, 0, count, [&](size_t i) { return in.integers[i] >= 0; });
        break;
      case Form::kFloats:
        PackBits(&out->bits, 0, count, [&](size_t i) { return in.floats[i] >= 0; });
        break;
      case Form::kBits:
        PackBits(&out->bits, 0, count, [&](size_t i) { return BitValue(in, i) >= 0; });
        break;
      case Form::kPixelFloats: {
        const size_t channels = in.shape.channels, words = WordsFor(channels);
        for (size_t p = 0; p < count / channels; ++p) {
          const float* x = &in.floats[p * channels];
          PackBits(&out->bits, p * words * 64, channels, [x](size_t c) { return x[c] >= 0; });
        }
        break;
      }
      case Form::kPixels:
      case Form::kPixelBits:
        return absl::InternalError("a sign of what was not made planes");
    }
    return absl::OkStatus();
  }
};

class ReluOp : public Op {
 public:
  absl::Status Run(const Values& in, Values* out) override {
    for (size_t i = 0; i < in.integers.size(); ++i) {
      out->integers[i] = std::max(in.integers[i], 0);
    }
    for (size_t i = 0; i < in.floats.size(); ++i) out->floats[i] = std::max(in.floats[i], 0.0f);
    return absl::OkStatus();
  }
};

class ConversionOp : public Op {
 public:
  absl::Status Run(const Values& in, Values* out) override {
    const size_t count = static_cast<size_t>(in.shape.size());
    const size_t plane = size_t{1} * in.shape.height * in.shape.width;
    const int channels = in.shape.channels, pixels = static_cast<int>(plane);
    if (in.form == Form::kPixels && out->form == Form::kPixelFloats) {
      Transpose(in.pixels.data(), channels, pixels, out->floats.data(),
                [&in](uint8_t p) { return static_cast<float>(p - in.offset) * in.unit; });
    } else if (in.form == Form::kFloats) {
      Transpose(in.floats.data(), channels, pixels, out->floats.data());
    } else if (in.form == Form::kPixelFloats) {
      Transpose(in.floats.data(), pixels, channels, out->floats.data());
    } else if (in.form == Form::kPixels) {
      for (size_t i = 0; i < count; ++i) out->integers[i] = in.pixels[i] - in.offset;
    } else if (in.form == Form::kPixelBits) {
      PixelsToPlanes(in.bits.data(), in.shape.channels, plane, out->bits.data());
    } else if (out->form == Form::kPixelBits) {
      PlanesToPixels(in.bits.data(), plane, in.shape.channels, plane, out->bits.data());
    } else if (in.form == Form::kBits && out->form == Form::kIntegers) {
      for (size_t i = 0; i < count; ++i) out->integers[i] = BitValue(in, i);
    } else if (in.form == Form::kBits) {
      for (size_t i = 0; i < count; ++i) out->floats[i] = static_cast<float>(BitValue(in, i));
    } else if (out->form == Form::kBits) {
      Clear(&out->bits);
      PackBits(&out->bits, 0, count, [&](size_t i) { return in.integers[i] > 0; });
      if (out->masked) {
        Clear(&out->mask);
        PackBits(&out->mask, 0, count, [&](size_t i) { return in.integers[i] != 0; });
      }
    } else {
      for (size_t i = 0; i < count; ++i) {
        out->floats[i] = static_cast<float>(in.integers[i]) * in.unit;
      }
    }
    return absl::OkStatus();
  }
};

class ReshapeOp : public Op {
 public:
  absl::Status Run(const Values& in, Values* out) override {
    out->integers = in.integers;
    out->bits = in.bits;
    out->mask = in.mask;
    out->floats = in.floats;
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<Op> MakeThreshold(const v1::Threshold& layer) {
  return std::make_unique<ThresholdOp>(layer);
}

std::unique_ptr<Op> MakeAffine(const v1::Affine& layer) {
  return std::make_unique<AffineOp>(layer);
}

std::unique_ptr<Op> MakeSign() { return std::make_unique<SignOp>(); }

std::unique_ptr<Op> MakeRelu() { return std::make_unique<ReluOp>(); }

std::unique_ptr<Op> MakeConversion() { return std::make_unique<ConversionOp>(); }

std::unique_ptr<Op> MakeReshape() { return std::make_unique<ReshapeOp>(); }

}  // namespace lite
}  // namespace ddnn

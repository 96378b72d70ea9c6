#include "runtime/lite/binary_ops.h"

#include <algorithm>
#include <string>
#include <vector>

#include "runtime/core/feature_codec.h"
#include "runtime/lite/bit_kernels.h"
#include "runtime/lite/bit_stream.h"

namespace ddnn {
namespace lite {
namespace {

// Each output's weights start at a word of their own.
std::vector<uint64_t> WeightRows(const std::string& weights, size_t outputs, size_t inputs) {
  const size_t words = WordsFor(inputs);
  std::vector<uint64_t> rows(outputs * words);
  for (size_t o = 0; o < outputs; ++o) {
    for (size_t i = 0; i < inputs; ++i) {
      if (BitAt(weights, o * inputs + i)) SetBit(&rows[o * words], i);
    }
  }
  return rows;
}

// Where a window's row or column lies inside the picture: [begin, end) of the kernel.
struct Clip {
  int begin, end;
};

Clip ClipKernel(int out, int stride, int padding, int kernel, int size) {
  const int start = out * stride - padding;
  return {std::max(0, -start), std::min(kernel, size - start)};
}

class IntegerConv : public Op {
 public:
  explicit IntegerConv(const v1::SectionConv& layer)
      : kernel_(layer.kernel()), stride_(std::max(1, layer.stride())), padding_(layer.padding()) {
    const size_t count = layer.weights().size() * 8;
    positive_.resize(count);
    for (size_t i = 0; i < count; ++i) positive_[i] = BitAt(layer.weights(), i);
  }

  absl::Status Run(const Values& in, Values* out) override {
    const Shape& o = out->shape;
    sums_.resize(o.width);
    for (int f = 0; f < o.channels; ++f) {
      for (int y = 0; y < o.height; ++y) {
        SumRow(in, f, y);
        std::copy(sums_.begin(), sums_.end(),
                  &out->integers[(size_t{1} * f * o.height + y) * o.width]);
      }
    }
    return absl::OkStatus();
  }

 private:
  void SumRow(const Values& in, int filter, int y) {
    const Shape& s = in.shape;
    std::fill(sums_.begin(), sums_.end(), 0);
    const Clip rows = ClipKernel(y, stride_, padding_, kernel_, s.height);
    for (int c = 0; c < s.channels; ++c) {
      for (int ky = rows.begin; ky < rows.end; ++ky) {
        const int32_t* row =
            &in.integers[(size_t{1} * c * s.height + y * stride_ - padding_ + ky) * s.width];
        const size_t weight = ((size_t{1} * filter * s.channels + c) * kernel_ + ky) * kernel_;
        for (int kx = 0; kx < kernel_; ++kx) AddShifted(row, s.width, kx, positive_[weight + kx]);
      }
    }
  }

  // Adds one weight's share to a row of sums. Unsigned: a peer may send integers beyond what the
  // plan allows, and their sums must at least be defined.
  void AddShifted(const int32_t* row, int width, int kx, bool positive) {
    const int first = padding_ > kx ? (padding_ - kx + stride_ - 1) / stride_ : 0;
    const int reach = width - 1 + padding_ - kx;
    if (reach < 0) return;
    const int last = std::min(static_cast<int>(sums_.size()) - 1, reach / stride_);
    const int32_t* x = row + kx - padding_;
    const uint32_t flip = positive ? 0 : ~uint32_t{0};
    uint32_t* sums = sums_.data();
    if (stride_ == 1) {
      for (int i = first; i <= last; ++i) sums[i] += (static_cast<uint32_t>(x[i]) ^ flip) - flip;
    } else {
      for (int i = first; i <= last; ++i) {
        sums[i] += (static_cast<uint32_t>(x[i * stride_]) ^ flip) - flip;
      }
    }
  }

  const int kernel_, stride_, padding_;
  std::vector<char> positive_;  // [filters, C, kernel, kernel]
  std::vector<uint32_t> sums_;
};

// Holds a picture's bits in the order [H, W, C], so that a row of a window is one run of bits, and
// multiplies a window with all filters at once.
class BitConv : public Op {
 public:
  BitConv(const v1::SectionConv& layer, const Shape& in)
      : kernel_(layer.kernel()),
        stride_(std::max(1, layer.stride())),
        padding_(layer.padding()),
        filters_(layer.filters()),
        window_bits_(size_t{1} * kernel_ * kernel_ * in.channels),
        words_(WordsFor(window_bits_)),
        weights_(filters_ * words_),
        window_(words_),
        valid_(words_),
        picture_(WordsFor(in.size())),
        picture_mask_(WordsFor(in.size())) {
    size_t bit = 0;
    for (int f = 0; f < filters_; ++f) {
      for (int c = 0; c < in.channels; ++c) {
        for (int k = 0; k < kernel_ * kernel_; ++k, ++bit) {
          if (BitAt(layer.weights(), bit)) {
            SetBit(&weights_[f * words_], size_t{1} * k * in.channels + c);
          }
        }
      }
    }
  }

  absl::Status Run(const Values& in, Values* out) override {
    ChannelsLast(in.bits, in.shape, &picture_);
    if (in.masked) ChannelsLast(in.mask, in.shape, &picture_mask_);
    const Shape& o = out->shape;
    const size_t plane = size_t{1} * o.height * o.width;
    for (int y = 0; y < o.height; ++y) {
      for (int x = 0; x < o.width; ++x) {
        const int32_t valid_count = TakeWindow(in, y, x);
        int32_t* sum = &out->integers[size_t{1} * y * o.width + x];
        for (int f = 0; f < filters_; ++f) {
          sum[f * plane] =
              BinaryDot(window_.data(), &weights_[f * words_], valid_.data(), words_, valid_count);
        }
      }
    }
    return absl::OkStatus();
  }

 private:
  static void ChannelsLast(const std::vector<uint64_t>& from, const Shape& s,
                           std::vector<uint64_t>* to) {
    std::fill(to->begin(), to->end(), 0);
    const size_t plane = size_t{1} * s.height * s.width;
    size_t bit = 0;
    for (int c = 0; c < s.channels; ++c) {
      for (size_t i = 0; i < plane; ++i, ++bit) {
        const size_t place = i * s.channels + c;
        (*to)[place / 64] |= uint64_t{TestBit(from.data(), bit)} << (place % 64);
      }
    }
  }

  // Fills window_ and valid_; returns how many positions are valid.
  int32_t TakeWindow(const Values& in, int y, int x) {
    const Shape& s = in.shape;
    std::fill(window_.begin(), window_.end(), 0);
    std::fill(valid_.begin(), valid_.end(), 0);
    const Clip rows = ClipKernel(y, stride_, padding_, kernel_, s.height);
    const Clip columns = ClipKernel(x, stride_, padding_, kernel_, s.width);
    if (columns.end <= columns.begin) return 0;
    const size_t run = size_t{1} * (columns.end - columns.begin) * s.channels;
    for (int ky = rows.begin; ky < rows.end; ++ky) {
      const size_t from = (size_t{1} * (y * stride_ - padding_ + ky) * s.width + x * stride_ -
                           padding_ + columns.begin) *
                          s.channels;
      const size_t to = (size_t{1} * ky * kernel_ + columns.begin) * s.channels;
      OrBits(picture_.data(), from, run, window_.data(), to);
      if (in.masked) {
        OrBits(picture_mask_.data(), from, run, valid_.data(), to);
      } else {
        FillBits(valid_.data(), to, run);
      }
    }
    int32_t valid_count = 0;
    for (uint64_t word : valid_) valid_count += CountBits(word);
    return valid_count;
  }

  const int kernel_, stride_, padding_, filters_;
  const size_t window_bits_, words_;
  std::vector<uint64_t> weights_;  // [filters] x [kernel, kernel, C] bits
  std::vector<uint64_t> window_, valid_;
  std::vector<uint64_t> picture_, picture_mask_;
};

class IntegerLinear : public Op {
 public:
  IntegerLinear(const v1::SectionLinear& layer, int inputs) : inputs_(inputs) {
    const size_t count = size_t{1} * inputs * layer.outputs();
    flip_.resize(count);
    for (size_t i = 0; i < count; ++i) flip_[i] = BitAt(layer.weights(), i) ? 0 : ~uint32_t{0};
  }

  absl::Status Run(const Values& in, Values* out) override {
    for (int o = 0; o < out->shape.channels; ++o) {
      const uint32_t* flip = &flip_[size_t{1} * o * inputs_];
      uint32_t sum = 0;
      for (int i = 0; i < inputs_; ++i) {
        sum += (static_cast<uint32_t>(in.integers[i]) ^ flip[i]) - flip[i];
      }
      out->integers[o] = static_cast<int32_t>(sum);
    }
    return absl::OkStatus();
  }

 private:
  const int inputs_;
  std::vector<uint32_t> flip_;  // all ones where the weight is -1
};

class BitLinear : public Op {
 public:
  BitLinear(const v1::SectionLinear& layer, int inputs)
      : inputs_(inputs),
        words_(WordsFor(inputs)),
        weights_(WeightRows(layer.weights(), layer.outputs(), inputs)) {}

  absl::Status Run(const Values& in, Values* out) override {
    int32_t valid_count = in.masked ? 0 : inputs_;
    if (in.masked) {
      for (uint64_t word : in.mask) valid_count += CountBits(word);
    }
    for (int o = 0; o < out->shape.channels; ++o) {
      const uint64_t* weights = &weights_[o * words_];
      out->integers[o] =
          in.masked
              ? BinaryDot(in.bits.data(), weights, in.mask.data(), words_, valid_count)
              : valid_count -
                    2 * static_cast<int32_t>(CountDifferences(in.bits.data(), weights, words_));
    }
    return absl::OkStatus();
  }

 private:
  const int inputs_;
  const size_t words_;
  std::vector<uint64_t> weights_;
};

}  // namespace

std::unique_ptr<Op> MakeBinaryConv(const v1::SectionConv& layer, const Values& in) {
  if (in.form == Form::kBits) return std::make_unique<BitConv>(layer, in.shape);
  return std::make_unique<IntegerConv>(layer);
}

std::unique_ptr<Op> MakeBinaryLinear(const v1::SectionLinear& layer, const Values& in) {
  const int inputs = in.shape.size();
  if (in.form == Form::kBits) return std::make_unique<BitLinear>(layer, inputs);
  return std::make_unique<IntegerLinear>(layer, inputs);
}

}  // namespace lite
}  // namespace ddnn

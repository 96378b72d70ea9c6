// A binary block over pixels. The picture is laid out once per sample as planes of 16 bits (32 where
// sums need it), padded with zeros and, for a stride of s, split into s * s planes of every s-th row
// and column: then each weight adds or subtracts a run of values for a whole plane of sums at once,
// wherever its rows begin and end.
#include <algorithm>
#include <limits>
#include <vector>

#include "runtime/core/feature_codec.h"
#include "runtime/lite/bit_kernels.h"
#include "runtime/lite/bit_planes.h"
#include "runtime/lite/block_end.h"

namespace ddnn {
namespace lite {
namespace {

constexpr int kLargestPixel = 255;
constexpr size_t kReadAhead = 64;  // values, see CompareSums

template <typename T>
class PixelBlock : public Op {
 public:
  PixelBlock(const BinaryBlock& block, const Values& in)
      : in_(in.shape),
        sums_(block.sums),
        offset_(in.offset),
        stride_(std::max(1, block.conv->stride())),
        padding_(block.conv->padding()),
        reach_((block.conv->kernel() - 1) / stride_),
        pitch_(sums_.width + reach_),
        plane_(size_t{1} * (sums_.height + reach_) * pitch_),
        count_(size_t{1} * sums_.height * pitch_),
        end_(block),
        planes_(in_.channels * stride_ * stride_ * plane_ + kReadAhead),
        reached_(sums_.channels * WordsFor(count_)),
        pixels_(count_ * end_.words()) {
    AddFilters(*block.conv);
  }

  absl::Status Run(const Values& in, Values* out) override {
    LayOut(in.pixels.data());
    const size_t words = WordsFor(count_);
    for (size_t f = 0; f < filters_.size(); ++f) {
      const Filter& filter = filters_[f];
      const TapFilter<T> taps = {filter.plus.data(), filter.plus.size(), filter.minus.data(),
                                 filter.minus.size(), filter.above};
      if (filter.always) {
        std::fill_n(&reached_[f * words], words, ~uint64_t{0});
      } else {
        CompareSums(taps, planes_.data(), count_, &reached_[f * words]);
      }
    }
    PlanesToPixels(reached_.data(), 64 * words, filters_.size(), count_, pixels_.data());
    end_.Run(pixels_.data(), pitch_, out->bits.data());
    return absl::OkStatus();
  }

 private:
  struct Filter {
    std::vector<uint32_t> plus, minus;
    T above = 0;
    bool always = false;
  };

  // What the sums can be at all: `above` need not be more, nor less.
  void AddFilters(const v1::SectionConv& conv) {
    const int kernel = conv.kernel();
    size_t bit = 0;
    for (int f = 0; f < conv.filters(); ++f) {
      Filter filter;
      for (int c = 0; c < in_.channels; ++c) {
        for (int y = 0; y < kernel; ++y) {
          for (int x = 0; x < kernel; ++x, ++bit) {
            const size_t phase = (c * stride_ + y % stride_) * stride_ + x % stride_;
            const size_t place = phase * plane_ + y / stride_ * pitch_ + x / stride_;
            (BitAt(conv.weights(), bit) ? filter.plus : filter.minus)
                .push_back(static_cast<uint32_t>(place));
          }
        }
      }
      constexpr int64_t kLowest = std::numeric_limits<T>::min();
      constexpr int64_t kHighest = std::numeric_limits<T>::max();
      const int64_t above = int64_t{end_.at()[f]} - 1;
      filter.always = above < kLowest;
      filter.above = static_cast<T>(std::clamp(above, kLowest, kHighest));
      filters_.push_back(std::move(filter));
    }
  }

  // What lies outside the picture stays 0 from the beginning.
  void LayOut(const uint8_t* pixel) {
    for (int c = 0; c < in_.channels; ++c) {
      for (int y = 0; y < in_.height; ++y, pixel += in_.width) {
        const int row = (y + padding_) / stride_;
        if (row >= sums_.height + reach_) continue;
        for (int phase = 0; phase < stride_; ++phase) {
          const size_t at = (c * stride_ + (y + padding_) % stride_) * stride_ + phase;
          LayOutRow(pixel, phase, &planes_[at * plane_ + row * pitch_]);
        }
      }
    }
  }

  // Every stride-th value of a padded row, from `phase` on.
  void LayOutRow(const uint8_t* pixel, int phase, T* row) const {
    const int first = phase < padding_ ? (padding_ - phase + stride_ - 1) / stride_ : 0;
    const int from = first * stride_ + phase - padding_;
    const int places = std::max(0, (in_.width - from + stride_ - 1) / stride_);
    const int count = std::min(static_cast<int>(pitch_) - first, places);
    const T offset = static_cast<T>(offset_);
    if (stride_ == 1) {
      for (int i = 0; i < count; ++i) row[first + i] = static_cast<T>(pixel[from + i] - offset);
    } else {
      for (int i = 0; i < count; ++i) {
        row[first + i] = static_cast<T>(pixel[from + i * stride_] - offset);
      }
    }
  }

  const Shape in_, sums_;
  const int offset_, stride_, padding_, reach_;
  const size_t pitch_;  // of a plane's rows
  const size_t plane_;  // values of a plane
  const size_t count_;  // sums, those behind the ends of rows included
  BlockEnd end_;
  std::vector<Filter> filters_;
  std::vector<T> planes_;          // [C, stride, stride, plane]
  std::vector<uint64_t> reached_;  // [filters, WordsFor(count)]
  std::vector<uint64_t> pixels_;   // [count, words]
};

}  // namespace

std::unique_ptr<Op> MakePixelBlock(const BinaryBlock& block, const Values& in) {
  const int kernel = block.conv->kernel();
  const int64_t largest = int64_t{1} * kernel * kernel * in.shape.channels * kLargestPixel;
  if (largest < std::numeric_limits<int16_t>::max()) {
    return std::make_unique<PixelBlock<int16_t>>(block, in);
  }
  return std::make_unique<PixelBlock<int32_t>>(block, in);
}

}  // namespace lite
}  // namespace ddnn

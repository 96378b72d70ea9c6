// A binary block over pixels. The picture is laid out once per sample as planes of 16 bits (32
// where sums need it), padded with zeros and, for a stride of s, split into s * s planes of every
// s-th row and column: then each weight adds or subtracts a run of values for a whole plane of sums
// at once, wherever its rows begin and end.
#include <algorithm>
#include <limits>
#include <type_traits>
#include <vector>

#include "runtime/core/feature_codec.h"
#include "runtime/lite/aligned.h"
#include "runtime/lite/bit_kernels.h"
#include "runtime/lite/block_end.h"

namespace ddnn {
namespace lite {
namespace {

constexpr int kLargestPixel = 255;
constexpr size_t kAtOnce = 64;  // sums, see CompareSums

template <typename T>
class PixelBlock : public Op {
 public:
  PixelBlock(const BinaryBlock& block, const Values& in)
      : in_(in.shape),
        sums_(block.sums),
        offset_(in.offset),
        stride_(std::max(1, block.conv->stride())),
        phases_(std::min(stride_, block.conv->kernel())),
        padding_(block.conv->padding()),
        reach_((block.conv->kernel() - 1) / stride_),
        pitch_(sums_.width + reach_),
        plane_(size_t{1} * (sums_.height + reach_) * pitch_),
        count_((size_t{1} * sums_.height * pitch_ + kAtOnce - 1) / kAtOnce * kAtOnce),
        end_(block),
        planes_(in_.channels * phases_ * phases_ * plane_ + 2 * kAtOnce),
        reached_(end_.groups() * count_) {
    AddFilters(*block.conv, *block.threshold);
  }

  absl::Status Run(const Values& in, Values* out) override {
    LayOut(in.pixels.data());
    for (size_t g = 0; g < groups_.size(); ++g) {
      const Group& group = groups_[g];
      CompareSums({group.above.size(), group.places.data(), group.ends.data(), group.above.data()},
                  planes_.data(), count_, &reached_[g * count_]);
    }
    end_.Run(reached_.data(), count_, pitch_, out->bits.data());
    return absl::OkStatus();
  }

 private:
  using Bits = std::make_unsigned_t<T>;

  // See TapFilters.
  struct Group {
    std::vector<uint32_t> places, ends;
    std::vector<T> above;
  };

  void AddFilters(const v1::SectionConv& conv, const v1::Threshold& threshold) {
    const size_t weights = size_t{1} * in_.channels * conv.kernel() * conv.kernel();
    groups_.resize(end_.groups());
    for (int f = 0; f < conv.filters(); ++f) {
      Group* group = &groups_[f / BlockEnd<Bits>::kGroup];
      for (const bool positive : {true, false}) {
        for (size_t i = 0; i < weights; ++i) {
          if (BitAt(conv.weights(), f * weights + i) != positive) continue;
          group->places.push_back(PlaceOf(static_cast<int>(i), conv.kernel()));
        }
        group->ends.push_back(static_cast<uint32_t>(group->places.size()));
      }
      // No sum comes near the ends of T's range: beyond them all reach it, or none.
      group->above.push_back(static_cast<T>(std::clamp<int64_t>(int64_t{threshold.at(f)} - 1,
                                                                std::numeric_limits<T>::min(),
                                                                std::numeric_limits<T>::max())));
    }
  }

  // Of weight `i` of a filter, [C, kernel, kernel].
  uint32_t PlaceOf(int i, int kernel) const {
    const int c = i / (kernel * kernel), y = i / kernel % kernel, x = i % kernel;
    const size_t phase = (c * phases_ + y % stride_) * phases_ + x % stride_;
    return static_cast<uint32_t>(phase * plane_ + y / stride_ * pitch_ + x / stride_);
  }

  // What lies outside the picture stays 0 from the beginning.
  void LayOut(const uint8_t* pixel) {
    for (int c = 0; c < in_.channels; ++c) {
      for (int y = 0; y < in_.height; ++y, pixel += in_.width) {
        const int row = (y + padding_) / stride_;
        const int row_phase = (y + padding_) % stride_;
        if (row >= sums_.height + reach_ || row_phase >= phases_) continue;
        for (int phase = 0; phase < phases_; ++phase) {
          const size_t at = (c * phases_ + row_phase) * phases_ + phase;
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
  const int offset_, stride_;
  const int phases_;  // of each stride's rows or columns, those that a kernel reaches
  const int padding_, reach_;
  const size_t pitch_;  // of a plane's rows
  const size_t plane_;  // values of a plane
  const size_t count_;  // sums of a filter, those behind the ends of rows and the last row included
  BlockEnd<Bits> end_;
  std::vector<Group> groups_;
  AlignedVector<T> planes_;      // [C, phases, phases, plane]
  AlignedVector<Bits> reached_;  // [groups, count]
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

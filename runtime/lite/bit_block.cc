// A binary block over bits. Windows are never copied out: a window's words lie at fixed places from
// its first one. Where a whole row of a window fits a word (kernel * channels <= 64), the words of
// neighbouring pixels are joined once, and a window has `kernel` words instead of kernel * kernel.
#include <algorithm>
#include <vector>

#include "runtime/core/feature_codec.h"
#include "runtime/lite/aligned.h"
#include "runtime/lite/bit_kernels.h"
#include "runtime/lite/bit_stream.h"
#include "runtime/lite/block_end.h"

namespace ddnn {
namespace lite {
namespace {

// Which of a window's rows or columns lie inside the picture.
struct Inside {
  int begin, end;
  bool operator==(const Inside& o) const { return begin == o.begin && end == o.end; }
};

class BitBlock : public Op {
 public:
  BitBlock(const BinaryBlock& block, const Shape& in)
      : in_(in),
        sums_(block.sums),
        kernel_(block.conv->kernel()),
        stride_(std::max(1, block.conv->stride())),
        padding_(block.conv->padding()),
        joined_(kernel_ * in.channels <= 64),
        pixel_words_(WordsFor(in.channels)),
        step_(stride_ * pixel_words_),
        row_words_((in.width + 2 * padding_) * pixel_words_),
        filters_((sums_.channels + kFilterStep - 1) / kFilterStep * kFilterStep),
        plane_(size_t{1} * sums_.height * sums_.width),
        end_(block),
        at_(block.threshold->at().begin(), block.threshold->at().end()),
        differing_(filters_),
        picture_((in.height + 2 * padding_) * row_words_),
        joined_rows_(joined_ ? picture_.size() : 0),
        paired_(picture_.size()),
        reached_(plane_ * end_.groups()) {
    AddWeights(*block.conv);
    rows_ = Clip(sums_.height, in.height, &row_class_);
    columns_ = Clip(sums_.width, in.width, &column_class_);
    for (const Inside& rows : rows_) {
      for (const Inside& columns : columns_) AddLimits(rows, columns);
    }
  }

  absl::Status Run(const Values& in, Values* out) override {
    LayOut(in.bits.data());
    const uint64_t* picture = joined_ ? joined_rows_.data() : picture_.data();
    if (pairs_ > 0) CountPaired(picture, paired_.size(), paired_.data());
    BitFilters filters = {pairs_,   places_.size() - pairs_, places_.data(),
                          filters_, weights_.data(),         nullptr};
    for (int y = 0; y < sums_.height; ++y) {
      const uint64_t* row = picture + y * stride_ * row_words_;
      filters.limits = &limits_[row_class_[y] * columns_.size() * filters_];
      CompareDifferences(filters, row, &paired_[row - picture], step_, column_class_.data(),
                         sums_.width, &reached_[y * sums_.width], plane_);
    }
    end_.Run(reached_.data(), plane_, sums_.width, out->bits.data());
    return absl::OkStatus();
  }

 private:
  // Where a weight lies in a window.
  struct Place {
    size_t word, bit;
  };
  Place PlaceOf(int k, int channel) const {
    if (joined_)
      return {size_t{1} * (k / kernel_), size_t{1} * (k % kernel_ * in_.channels + channel)};
    return {k * pixel_words_ + channel / 64, size_t{1} * (channel % 64)};
  }

  void AddWeights(const v1::SectionConv& conv) {
    const size_t words = joined_ ? kernel_ : kernel_ * kernel_ * pixel_words_;
    std::vector<uint64_t> of_filter(words), used(words);
    std::vector<std::vector<uint64_t>> filters;
    size_t bit = 0;
    for (int f = 0; f < conv.filters(); ++f) {
      std::fill(of_filter.begin(), of_filter.end(), 0);
      for (int c = 0; c < in_.channels; ++c) {
        for (int k = 0; k < kernel_ * kernel_; ++k, ++bit) {
          const Place place = PlaceOf(k, c);
          of_filter[place.word] |= uint64_t{BitAt(conv.weights(), bit)} << place.bit;
          used[place.word] |= uint64_t{1} << place.bit;
        }
      }
      filters.push_back(of_filter);
    }
    // Words whose high half is used come first.
    for (const bool pair : {true, false}) {
      for (size_t word = 0; word < words; ++word) {
        if ((used[word] >> 32 != 0) == pair) AddWord(word, pair, filters);
      }
    }
    CountOnes(conv);
  }

  // As BitFilters has them.
  void AddWord(size_t word, bool pair, const std::vector<std::vector<uint64_t>>& filters) {
    const size_t words_in_row = joined_ ? 1 : kernel_ * pixel_words_;
    const size_t place = word / words_in_row * row_words_ + word % words_in_row;
    places_.push_back(static_cast<uint32_t>(place));
    std::vector<uint32_t> low(filters_), high(filters_);
    for (size_t f = 0; f < filters.size(); ++f) {
      low[f] = static_cast<uint32_t>(filters[f][word]);
      high[f] = static_cast<uint32_t>(filters[f][word] >> 32);
    }
    if (!pair) {
      weights_.insert(weights_.end(), low.begin(), low.end());
      return;
    }
    ++pairs_;
    weights_.insert(weights_.end(), high.begin(), high.end());
    for (size_t f = 0; f < filters_; ++f) {
      weights_.push_back(~(low[f] ^ high[f]));
      differing_[f] += __builtin_popcount(low[f] ^ high[f]);
    }
  }

  // Of a filter's weights at each place of the kernel.
  void CountOnes(const v1::SectionConv& conv) {
    const int places = kernel_ * kernel_;
    ones_.resize(conv.filters() * places);
    for (size_t bit = 0; bit < ones_.size() * in_.channels; ++bit) {
      const size_t filter = bit / (in_.channels * places);
      ones_[filter * places + bit % places] += BitAt(conv.weights(), bit);
    }
  }

  // Windows of one class miss the same part of the picture.
  std::vector<Inside> Clip(int outputs, int size, std::vector<uint32_t>* class_of) const {
    std::vector<Inside> classes;
    for (int out = 0; out < outputs; ++out) {
      const int start = out * stride_ - padding_;
      const int begin = std::clamp(-start, 0, kernel_);
      const Inside inside = {begin, std::clamp(size - start, begin, kernel_)};
      const auto found = std::find(classes.begin(), classes.end(), inside);
      class_of->push_back(static_cast<uint32_t>(found - classes.begin()));
      if (found == classes.end()) classes.push_back(inside);
    }
    return classes;
  }

  // sum = valid - 2 * differing >= at. What lies outside has bits 0, so that it differs wherever
  // the weight is 1: that many more may differ.
  void AddLimits(const Inside& rows, const Inside& columns) {
    const int64_t valid =
        int64_t{1} * (rows.end - rows.begin) * (columns.end - columns.begin) * in_.channels;
    for (size_t f = 0; f < filters_; ++f) {
      if (f >= at_.size()) {
        limits_.push_back(0);
        continue;
      }
      const int64_t twice = valid - at_[f];
      const int64_t most = twice >= 0 ? twice / 2 : -((1 - twice) / 2);
      // No more can differ than there are bits, and no fewer than those outside.
      const int64_t limit = std::clamp<int64_t>(most + 1, 0, valid + 1);
      limits_.push_back(
          static_cast<int32_t>(limit + OnesOutside(f, rows, columns) - differing_[f]));
    }
  }

  int64_t OnesOutside(size_t f, const Inside& rows, const Inside& columns) const {
    int64_t ones = 0;
    for (int k = 0; k < kernel_ * kernel_; ++k) {
      const int y = k / kernel_, x = k % kernel_;
      if (y >= rows.begin && y < rows.end && x >= columns.begin && x < columns.end) continue;
      ones += ones_[f * kernel_ * kernel_ + k];
    }
    return ones;
  }

  // What lies outside the picture stays 0 from the beginning.
  void LayOut(const uint64_t* bits) {
    const size_t width = in_.width * pixel_words_;
    for (int y = 0; y < in_.height; ++y, bits += width) {
      uint64_t* row = &picture_[(y + padding_) * row_words_];
      uint64_t* inside = row + padding_ * pixel_words_;
      if (joined_) {
        std::copy_n(bits, width, inside);
        JoinRow(row, &joined_rows_[(y + padding_) * row_words_]);
      } else {
        std::transform(bits, bits + width, inside, PairHalves);
      }
    }
  }

  // A pixel's word behind those of the pixels before it, for each window's first pixel.
  void JoinRow(const uint64_t* row, uint64_t* joined) const {
    const int windows = static_cast<int>(row_words_) - kernel_ + 1;
    for (int x = 0; x < windows; ++x) joined[x] = row[x];
    for (int k = 1; k < kernel_; ++k) {
      const int shift = k * in_.channels;
      for (int x = 0; x < windows; ++x) joined[x] |= row[x + k] << shift;
    }
    std::transform(joined, joined + windows, joined, PairHalves);
  }

  const Shape in_, sums_;
  const int kernel_, stride_, padding_;
  const bool joined_;
  const size_t pixel_words_, step_, row_words_, filters_;
  const size_t plane_;  // sums of a filter
  BlockEnd<uint64_t> end_;
  std::vector<int32_t> at_;
  size_t pairs_ = 0;
  std::vector<uint32_t> places_;     // of the window's words
  AlignedVector<uint32_t> weights_;  // as BitFilters has them
  std::vector<int64_t> differing_;   // [filters]: in how many bits the halves of their pairs differ
  std::vector<int32_t> ones_;        // [filters, kernel, kernel]
  std::vector<Inside> rows_, columns_;
  std::vector<uint32_t> row_class_, column_class_;
  AlignedVector<int32_t> limits_;  // [rows_, columns_, filters]
  AlignedVector<uint64_t> picture_, joined_rows_;
  AlignedVector<int32_t> paired_;  // of each word in the picture
  AlignedVector<uint64_t> reached_;
};

}  // namespace

std::unique_ptr<Op> MakeBitBlock(const BinaryBlock& block, const Shape& in) {
  return std::make_unique<BitBlock>(block, in);
}

}  // namespace lite
}  // namespace ddnn

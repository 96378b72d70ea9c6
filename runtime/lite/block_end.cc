#include "runtime/lite/block_end.h"

#include <algorithm>

#include "runtime/core/feature_codec.h"
#include "runtime/lite/bit_stream.h"

namespace ddnn {
namespace lite {

BlockEnd::BlockEnd(const BinaryBlock& block)
    : sums_(block.sums),
      out_(block.out),
      words_(WordsFor(block.sums.channels)),
      pool_(block.pool == nullptr ? std::nullopt : std::optional<PoolWindow>(*block.pool)),
      at_(block.threshold->at().begin(), block.threshold->at().end()),
      flip_(words_),
      row_(sums_.width * words_) {
  if (block.threshold->flip().empty()) return;
  for (size_t f = 0; f < at_.size(); ++f) {
    if (BitAt(block.threshold->flip(), f)) SetBit(flip_.data(), f);
  }
}

void BlockEnd::Run(const uint64_t* reached, size_t pitch, uint64_t* out) {
  const size_t width = row_.size();
  for (int y = 0; y < out_.height; ++y) {
    if (!pool_) {
      const uint64_t* row = reached + y * pitch * words_;
      for (size_t w = 0; w < words_; ++w) {
        const uint64_t flip = flip_[w];
        for (size_t i = w; i < width; i += words_) out[i] = row[i] ^ flip;
      }
      out += width;
      continue;
    }
    const int begin = pool_->Begin(y), end = pool_->End(y, sums_.height);
    std::copy_n(reached + begin * pitch * words_, width, row_.data());
    for (int r = begin + 1; r < end; ++r) {
      const uint64_t* row = reached + r * pitch * words_;
      for (size_t i = 0; i < width; ++i) row_[i] |= row[i];
    }
    for (int x = 0; x < out_.width; ++x) {
      const int left = pool_->Begin(x), right = pool_->End(x, sums_.width);
      for (size_t w = 0; w < words_; ++w) {
        uint64_t any = 0;
        for (int column = left; column < right; ++column) any |= row_[column * words_ + w];
        *out++ = any ^ flip_[w];
      }
    }
  }
}

}  // namespace lite
}  // namespace ddnn

#ifndef DDNN_RUNTIME_LITE_BLOCK_END_H_
#define DDNN_RUNTIME_LITE_BLOCK_END_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/core/feature_codec.h"
#include "runtime/lite/binary_block.h"
#include "runtime/lite/pool_window.h"

namespace ddnn {
namespace lite {

/// What both kinds of binary blocks end with: from bits that say which sums reach the threshold to
/// the block's output. The bits of a pixel's filters lie in groups, of as many as `Bits` has.
template <typename Bits>
class BlockEnd {
 public:
  static constexpr size_t kGroup = 8 * sizeof(Bits);

  explicit BlockEnd(const BinaryBlock& block)
      : sums_(block.sums),
        out_(block.out),
        groups_((block.sums.channels + kGroup - 1) / kGroup),
        flip_(groups_),
        row_(block.sums.width),
        pooled_(block.out.width) {
    if (block.pool != nullptr) pool_.emplace(*block.pool);
    const std::string& flip = block.threshold->flip();
    for (int f = 0; f < sums_.channels && !flip.empty(); ++f) {
      if (BitAt(flip, f)) flip_[f / kGroup] |= static_cast<Bits>(Bits{1} << (f % kGroup));
    }
  }

  size_t groups() const { return groups_; }

  /// \param reached  [groups, plane]; a plane has the sums' rows, `pitch` apart
  /// \param out      [out.height, out.width, words]; all of it is written
  void Run(const Bits* reached, size_t plane, size_t pitch, uint64_t* out) {
    const size_t words = WordsFor(sums_.channels);
    std::fill_n(out, size_t{1} * out_.height * out_.width * words, 0);
    for (size_t g = 0; g < groups_; ++g) {
      const Bits flip = flip_[g];
      const int shift = static_cast<int>(g * kGroup % 64);
      uint64_t* to = out + g * kGroup / 64;
      for (int y = 0; y < out_.height; ++y) {
        const Bits* row = Pooled(reached + g * plane, pitch, y);
        for (int x = 0; x < out_.width; ++x, to += words) {
          *to |= uint64_t{static_cast<Bits>(row[x] ^ flip)} << shift;
        }
      }
    }
  }

 private:
  // The larger of several sums reaches the threshold where one of them does.
  const Bits* Pooled(const Bits* plane, size_t pitch, int y) {
    if (!pool_) return plane + y * pitch;
    const int begin = pool_->Begin(y), end = pool_->End(y, sums_.height);
    std::copy_n(plane + begin * pitch, row_.size(), row_.data());
    for (int r = begin + 1; r < end; ++r) {
      const Bits* row = plane + r * pitch;
      for (size_t x = 0; x < row_.size(); ++x) row_[x] |= row[x];
    }
    for (int x = 0; x < out_.width; ++x) {
      const int left = pool_->Begin(x), right = pool_->End(x, sums_.width);
      Bits any = 0;
      for (int column = left; column < right; ++column) any |= row_[column];
      pooled_[x] = any;
    }
    return pooled_.data();
  }

  const Shape sums_, out_;
  const size_t groups_;
  std::optional<PoolWindow> pool_;
  std::vector<Bits> flip_;  // [groups]
  std::vector<Bits> row_,
      pooled_;  // of one group, before and after the windows' columns are joined
};

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_BLOCK_END_H_

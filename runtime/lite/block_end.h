#ifndef DDNN_RUNTIME_LITE_BLOCK_END_H_
#define DDNN_RUNTIME_LITE_BLOCK_END_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/lite/binary_block.h"
#include "runtime/lite/pool_window.h"

namespace ddnn {
namespace lite {

/// What both kinds of binary blocks end with: from bits that say which sums reach the threshold to
/// the block's output.
class BlockEnd {
 public:
  explicit BlockEnd(const BinaryBlock& block);

  /// Integers, one per filter, that a sum must be at least equal to.
  const std::vector<int32_t>& at() const { return at_; }
  /// Of a pixel's filters.
  size_t words() const { return words_; }

  /// \param reached  [sums.height, pitch, words], of which the first sums.width columns count
  /// \param out      [out.height, out.width, words]
  void Run(const uint64_t* reached, size_t pitch, uint64_t* out);

 private:
  const Shape sums_, out_;
  const size_t words_;
  const std::optional<PoolWindow> pool_;
  std::vector<int32_t> at_;
  std::vector<uint64_t> flip_;  // [words]
  std::vector<uint64_t> row_;   // [sums.width, words]
};

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_BLOCK_END_H_

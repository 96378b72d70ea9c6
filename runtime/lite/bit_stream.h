#ifndef DDNN_RUNTIME_LITE_BIT_STREAM_H_
#define DDNN_RUNTIME_LITE_BIT_STREAM_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace ddnn {
namespace lite {

inline bool TestBit(const uint64_t* words, size_t i) { return (words[i / 64] >> (i % 64)) & 1; }

inline void SetBit(uint64_t* words, size_t i) { words[i / 64] |= uint64_t{1} << (i % 64); }

/// ORs `count` bits, from bit `from` of `source` on, into `target` at bit `to`. The target's bits
/// must be 0 before.
inline void OrBits(const uint64_t* source, size_t from, size_t count, uint64_t* target, size_t to) {
  while (count > 0) {
    const size_t n = std::min({count, 64 - from % 64, 64 - to % 64});
    const uint64_t low = n == 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1;
    target[to / 64] |= ((source[from / 64] >> (from % 64)) & low) << (to % 64);
    from += n;
    to += n;
    count -= n;
  }
}

/// Sets `count` bits from bit `to` on.
inline void FillBits(uint64_t* target, size_t to, size_t count) {
  while (count > 0) {
    const size_t n = std::min(count, 64 - to % 64);
    const uint64_t low = n == 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1;
    target[to / 64] |= low << (to % 64);
    to += n;
    count -= n;
  }
}

inline int CountBits(uint64_t word) { return __builtin_popcountll(word); }

/// Sum of x[i] * w[i] over the valid positions, where x and w are -1 or +1.
inline int32_t BinaryDot(const uint64_t* x, const uint64_t* w, const uint64_t* valid, size_t words,
                         int32_t valid_count) {
  int32_t differ = 0;
  for (size_t i = 0; i < words; ++i) differ += CountBits((x[i] ^ w[i]) & valid[i]);
  return valid_count - 2 * differ;
}

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_BIT_STREAM_H_

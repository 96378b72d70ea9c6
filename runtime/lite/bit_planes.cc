#include "runtime/lite/bit_planes.h"

#include <algorithm>

#include "runtime/lite/values.h"

namespace ddnn {
namespace lite {
namespace {

constexpr size_t kBlock = 64;
constexpr size_t kFew = 16;

// Bit c of word r becomes bit r of word c: halves, quarters, … change places (Warren, Hacker's
// Delight, 7-3). Of the words only the first `rows`, a power of 2, are not 0.
void Transpose(uint64_t* words, size_t rows) {
  uint64_t low = 0x00000000ffffffff;
  size_t step = kBlock / 2;
  // Above the last row there is nothing to take, so that halves are only moved there.
  for (; step >= rows; step /= 2, low ^= low << step) {
    for (size_t at = 0; at < kBlock; at += 2 * step) {
      for (size_t r = at; r < at + rows; ++r) {
        words[r + step] = (words[r] >> step) & low;
        words[r] &= low;
      }
    }
  }
  for (; step > 0; step /= 2, low ^= low << step) {
    for (size_t at = 0; at < kBlock; at += 2 * step) {
      for (size_t r = at; r < at + step; ++r) {
        const uint64_t moved = ((words[r] >> step) ^ words[r + step]) & low;
        words[r] ^= moved << step;
        words[r + step] ^= moved;
      }
    }
  }
}

// Bit c of byte r becomes bit r of byte c.
uint64_t TransposeBytes(uint64_t bytes) {
  uint64_t moved = (bytes ^ (bytes >> 7)) & 0x00aa00aa00aa00aa;
  bytes ^= moved ^ (moved << 7);
  moved = (bytes ^ (bytes >> 14)) & 0x0000cccc0000cccc;
  bytes ^= moved ^ (moved << 14);
  moved = (bytes ^ (bytes >> 28)) & 0x00000000f0f0f0f0;
  return bytes ^ moved ^ (moved << 28);
}

// Transpose where only the first `rows` words and of them only the first `columns` bits, both
// multiples of 8, are not 0; the faster one where one of them is small.
void TransposeFew(uint64_t* words, size_t rows, size_t columns) {
  uint64_t turned[kBlock] = {};
  for (size_t r = 0; r < rows; r += 8) {
    for (size_t c = 0; c < columns; c += 8) {
      uint64_t bytes = 0;
      for (size_t i = 0; i < 8; ++i) bytes |= (words[r + i] >> c & 0xff) << (8 * i);
      bytes = TransposeBytes(bytes);
      for (size_t i = 0; i < 8; ++i) turned[c + i] |= (bytes >> (8 * i) & 0xff) << r;
    }
  }
  std::copy_n(turned, kBlock, words);
}

// `count` bits, up to 64, from bit `from` on.
uint64_t TakeBits(const uint64_t* words, size_t from, size_t count) {
  const size_t shift = from % 64;
  uint64_t bits = words[from / 64] >> shift;
  if (shift + count > 64) bits |= words[from / 64 + 1] << (64 - shift);
  return count == 64 ? bits : bits & ((uint64_t{1} << count) - 1);
}

// The target's bits must be 0 before.
void PutBits(uint64_t bits, size_t count, uint64_t* words, size_t to) {
  const size_t shift = to % 64;
  words[to / 64] |= bits << shift;
  if (shift + count > 64) words[to / 64 + 1] |= bits >> (64 - shift);
}

size_t PowerOfTwo(size_t at_least) {
  size_t power = 1;
  while (power < at_least) power *= 2;
  return power;
}

}  // namespace

void PlanesToPixels(const uint64_t* planes, size_t stride, size_t channels, size_t size,
                    uint64_t* pixels) {
  const size_t words = WordsFor(channels);
  for (size_t w = 0; w < words; ++w) {
    const size_t rows = std::min(kBlock, channels - w * kBlock);
    const size_t power = PowerOfTwo(std::max<size_t>(rows, 8));
    for (size_t at = 0; at < size; at += kBlock) {
      const size_t count = std::min(kBlock, size - at);
      uint64_t block[kBlock];
      for (size_t r = 0; r < rows; ++r) {
        block[r] = TakeBits(planes, (w * kBlock + r) * stride + at, count);
      }
      for (size_t r = rows; r < power; ++r) block[r] = 0;
      power <= kFew ? TransposeFew(block, power, kBlock) : Transpose(block, power);
      for (size_t i = 0; i < count; ++i) pixels[(at + i) * words + w] = block[i];
    }
  }
}

void PixelsToPlanes(const uint64_t* pixels, size_t channels, size_t size, uint64_t* planes) {
  const size_t words = WordsFor(channels);
  std::fill_n(planes, WordsFor(channels * size), 0);
  for (size_t w = 0; w < words; ++w) {
    const size_t rows = std::min(kBlock, channels - w * kBlock);
    for (size_t at = 0; at < size; at += kBlock) {
      const size_t count = std::min(kBlock, size - at);
      uint64_t block[kBlock];
      for (size_t i = 0; i < count; ++i) block[i] = pixels[(at + i) * words + w];
      std::fill(block + count, block + kBlock, 0);
      const size_t columns = (rows + 7) / 8 * 8;
      columns <= kFew ? TransposeFew(block, kBlock, columns) : Transpose(block, kBlock);
      for (size_t r = 0; r < rows; ++r) {
        PutBits(block[r], count, planes, (w * kBlock + r) * size + at);
      }
    }
  }
}

}  // namespace lite
}  // namespace ddnn

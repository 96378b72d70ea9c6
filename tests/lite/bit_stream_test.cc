#include "runtime/lite/bit_stream.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace ddnn {
namespace lite {
namespace {

constexpr size_t kBits = 300;
constexpr size_t kWords = (kBits + 63) / 64;

std::vector<uint64_t> RandomWords(std::mt19937_64* rng) {
  std::vector<uint64_t> words(kWords);
  for (uint64_t& word : words) word = (*rng)();
  return words;
}

TEST(BitStream, CopiesAnyRunToAnyPlaceAndTouchesNothingElse) {
  std::mt19937_64 rng(1);
  for (int round = 0; round < 2000; ++round) {
    const std::vector<uint64_t> source = RandomWords(&rng);
    const size_t count = rng() % 200, from = rng() % (kBits - count), to = rng() % (kBits - count);
    std::vector<uint64_t> copied(kWords), filled(kWords);
    OrBits(source.data(), from, count, copied.data(), to);
    FillBits(filled.data(), to, count);
    for (size_t i = 0; i < 64 * kWords; ++i) {
      const bool inside = i >= to && i < to + count;
      ASSERT_EQ(TestBit(copied.data(), i), inside && TestBit(source.data(), from + i - to)) << i;
      ASSERT_EQ(TestBit(filled.data(), i), inside) << i;
    }
  }
}

TEST(BitStream, DotCountsOnlyValidPositions) {
  std::mt19937_64 rng(2);
  for (int round = 0; round < 200; ++round) {
    const std::vector<uint64_t> x = RandomWords(&rng), w = RandomWords(&rng);
    const std::vector<uint64_t> valid = RandomWords(&rng);
    int valid_count = 0, expected = 0;
    for (size_t i = 0; i < 64 * kWords; ++i) {
      if (!TestBit(valid.data(), i)) continue;
      ++valid_count;
      expected += TestBit(x.data(), i) == TestBit(w.data(), i) ? 1 : -1;
    }
    EXPECT_EQ(BinaryDot(x.data(), w.data(), valid.data(), kWords, valid_count), expected);
  }
}

}  // namespace
}  // namespace lite
}  // namespace ddnn

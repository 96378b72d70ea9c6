// Binary convolutions with pool and threshold, in every set of instructions that this processor
// has, against the reference that computes layer by layer.
#include "runtime/lite/binary_block.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/core/feature_codec.h"
#include "runtime/lite/bit_kernels.h"
#include "runtime/lite/lite_engine.h"
#include "tests/engine/reference.h"
#include "tests/engine/section_values.h"

namespace ddnn {
namespace {

int Between(int low, int high, std::mt19937* rng) {
  return low + static_cast<int>((*rng)() % (high - low + 1));
}

struct Size {
  int height, width;
  void Shrink(int kernel, int stride, int padding) {
    height = (height + 2 * padding - kernel) / stride + 1;
    width = (width + 2 * padding - kernel) / stride + 1;
  }
  int smaller() const { return std::min(height, width); }
};

// binary_conv, often max_pool, batch_norm, sign; `size` becomes the output's.
std::string RandomBlock(int filters, Size* size, std::mt19937* rng) {
  int kernel, padding;
  do {
    kernel = Between(1, 6, rng);
    padding = Between(0, kernel - 1, rng);
  } while (kernel > size->smaller() + 2 * padding);
  const int stride = Between(1, 4, rng);
  size->Shrink(kernel, stride, padding);
  std::string block = absl::StrCat("layer { binary_conv { filters: ", filters, " kernel: ", kernel,
                                   " stride: ", stride, " padding: ", padding, " } } ");
  if (Between(0, 2, rng) > 0) {
    const int pool = Between(1, std::min(3, size->smaller()), rng), step = Between(1, 3, rng);
    const int around = Between(0, (pool - 1) / 2, rng);
    size->Shrink(pool, step, around);
    absl::StrAppend(&block, "layer { max_pool { kernel: ", pool, " stride: ", step,
                    " padding: ", around, " } } ");
  }
  return absl::StrCat(block, "layer { batch_norm {} } layer { sign {} } ");
}

NetworkPlan RandomBlocks(int filters, Size size, std::mt19937* rng) {
  std::string spec = absl::StrCat(
      "name: 'n' views: 1 class_name: ['a', 'b'] input { channels: ", Between(1, 6, rng),
      " height: ", size.height, " width: ", size.width, " offset: ", 128 * Between(0, 1, rng),
      " scale: 0.0078125 } tier { name: 'device' ");
  absl::StrAppend(&spec, RandomBlock(filters, &size, rng));
  absl::StrAppend(&spec, RandomBlock(Between(1, 70, rng), &size, rng));
  return testing::PlanOf(absl::StrCat(
      spec, "exit { name: 'e' layer { flatten {} } layer { binary_linear { outputs: 2 } } } }"));
}

Size RandomSize(std::mt19937* rng) {
  const int height = Between(2, 17, rng);
  return {height, Between(2, 17, rng)};
}

class BinaryBlockTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    before_ = lite::KernelTarget();
    lite::UseKernelTarget(GetParam());
    ASSERT_EQ(lite::KernelTarget(), GetParam());
  }
  void TearDown() override { lite::UseKernelTarget(before_); }

  void ExpectAsTheReference(const NetworkPlan& plan, std::mt19937* rng) {
    const NodePlan& node = plan.node(0, 0);
    const v1::Section section = testing::RandomSection(plan, 0, 0, testing::Weights::kDyadic, rng);
    auto engine = CreateLiteEngine(plan, section);
    ASSERT_TRUE(engine.ok()) << engine.status();
    for (const SectionInput& input : testing::RandomBatch(node, 2, rng)) {
      const auto expected = testing::RunReference(plan, node, section, input);
      auto out = (*engine)->Run({input});
      ASSERT_TRUE(out.ok()) << out.status();
      ASSERT_EQ(out->front().features,
                PackFeatures(node.features, plan.spec().input(), expected.features))
          << plan.spec().DebugString();
      ASSERT_EQ(out->front().scores, expected.scores);
    }
  }

 private:
  std::string before_;
};

INSTANTIATE_TEST_SUITE_P(Instructions, BinaryBlockTest, ::testing::ValuesIn(lite::KernelTargets()),
                         [](const auto& info) { return info.param; });

TEST_P(BinaryBlockTest, GivesTheBitsOfItsLayersOneByOne) {
  for (unsigned seed = 0; seed < 150; ++seed) {
    std::mt19937 rng(seed);
    const int filters = Between(1, 24, &rng);
    ExpectAsTheReference(RandomBlocks(filters, RandomSize(&rng), &rng), &rng);
    if (HasFatalFailure()) return;
  }
}

// A word per pixel and more, windows beyond 31 words: counters of eight bits have to be emptied.
TEST_P(BinaryBlockTest, GivesTheBitsOfItsLayersOneByOneWithManyChannels) {
  for (unsigned seed = 0; seed < 12; ++seed) {
    std::mt19937 rng(1000 + seed);
    const int filters = Between(60, 200, &rng);
    ExpectAsTheReference(RandomBlocks(filters, RandomSize(&rng), &rng), &rng);
    if (HasFatalFailure()) return;
  }
}

// Rows of windows are summed up in runs.
TEST_P(BinaryBlockTest, GivesTheBitsOfItsLayersOneByOneInWideRows) {
  for (unsigned seed = 0; seed < 12; ++seed) {
    std::mt19937 rng(2000 + seed);
    const int filters = Between(1, 70, &rng);
    ExpectAsTheReference(RandomBlocks(filters, {Between(2, 4, &rng), 270}, &rng), &rng);
    if (HasFatalFailure()) return;
  }
}

// 6 * 25 * 255 is more than 16 bits hold.
TEST_P(BinaryBlockTest, SumsOfPixelsDoNotOverflow) {
  std::mt19937 rng(1);
  const NetworkPlan plan = testing::PlanOf(R"(
      name: 'n' views: 1 class_name: ['a', 'b']
      input { channels: 6 height: 8 width: 8 offset: 0 scale: 0.0078125 }
      tier { name: 'device'
             layer { binary_conv { filters: 2 kernel: 5 padding: 2 } }
             layer { batch_norm {} } layer { sign {} }
             exit { name: 'e' layer { flatten {} } layer { binary_linear { outputs: 2 } } } })");
  v1::Section section = testing::RandomSection(plan, 0, 0, testing::Weights::kDyadic, &rng);
  std::string* weights = section.mutable_body(0)->mutable_binary_conv()->mutable_weights();
  weights->assign(weights->size(), '\xff');
  weights->back() = '\x0f';  // 2 * 6 * 25 bits
  // Reached by a whole window of white pixels, and by nothing else.
  v1::Threshold* threshold = section.mutable_body(1)->mutable_threshold();
  threshold->clear_flip();
  for (int f = 0; f < 2; ++f) threshold->set_at(f, 6 * 25 * 255 + f);
  SectionInput white;
  white.pixels.assign(6 * 8 * 8, '\xff');
  auto out = (*CreateLiteEngine(plan, section))->Run({white});
  ASSERT_TRUE(out.ok()) << out.status();
  std::string expected(16, '\0');
  for (int y = 2; y < 6; ++y) expected[y] = 0x3c;
  EXPECT_EQ(out->front().features, expected);
}

TEST_P(BinaryBlockTest, CountsBitsOfAnyNumberOfWords) {
  std::mt19937_64 rng(1);
  for (size_t words = 0; words < 300; ++words) {
    std::vector<uint64_t> a(words), b(words);
    uint64_t ones = 0, differences = 0;
    for (size_t i = 0; i < words; ++i) {
      // Ones in most places, so that counters fill up.
      a[i] = rng() | rng() | rng();
      b[i] = rng() & rng();
      ones += __builtin_popcountll(a[i]);
      differences += __builtin_popcountll(a[i] ^ b[i]);
    }
    ASSERT_EQ(lite::CountOnes(a.data(), words), ones);
    ASSERT_EQ(lite::CountDifferences(a.data(), b.data(), words), differences);
  }
}

// Where every bit differs, counters of eight bits hold 31 words.
TEST_P(BinaryBlockTest, CountsAsManyDifferencesAsThereCanBe) {
  for (size_t words = 1; words < 400; words += 7) {
    const std::vector<uint64_t> ones(words, ~uint64_t{0}), zeros(words);
    EXPECT_EQ(lite::CountOnes(ones.data(), words), 64 * words);
    EXPECT_EQ(lite::CountDifferences(ones.data(), zeros.data(), words), 64 * words);
    std::vector<uint64_t> picture(words);
    std::transform(ones.begin(), ones.end(), picture.begin(), lite::PairHalves);
    std::vector<int32_t> paired(words);
    lite::CountPaired(picture.data(), words, paired.data());
    std::vector<uint32_t> places(words);
    std::iota(places.begin(), places.end(), 0);
    for (const size_t pairs : {words, words / 2, size_t{0}}) {
      // Of zeros: they lie in the pairs' first rows and in those of the singles.
      std::vector<uint32_t> weights((pairs + words) * lite::kFilterStep);
      for (size_t i = 0; i < pairs; ++i) {
        std::fill_n(&weights[(2 * i + 1) * lite::kFilterStep], lite::kFilterStep, ~uint32_t{0});
      }
      const int32_t bits = static_cast<int32_t>(32 * (pairs + words));
      std::vector<int32_t> limits(lite::kFilterStep, bits);
      limits[13] += 1;
      const uint32_t only = 0;
      uint64_t fewer = 0;
      lite::CompareDifferences(
          {pairs, words - pairs, places.data(), lite::kFilterStep, weights.data(), limits.data()},
          picture.data(), paired.data(), 0, &only, 1, &fewer, 1);
      EXPECT_EQ(fewer, 1u << 13);
    }
  }
}

}  // namespace
}  // namespace ddnn

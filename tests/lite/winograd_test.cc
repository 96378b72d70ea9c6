// Winograd's convolution against sums one by one in double, in all instructions that this processor
// has.
#include "runtime/lite/winograd.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "runtime/lite/bit_kernels.h"

namespace ddnn {
namespace lite {
namespace {

struct Case {
  Shape in, out;
  int padding;
  FloatWeights weights;
  Values pixels;
};

template <typename Draw>
Case MakeCase(int channels, int filters, int height, int width, int padding, Draw draw) {
  Case c;
  c.in = {channels, height, width};
  c.out = {filters, height + 2 * padding - 2, width + 2 * padding - 2};
  c.padding = padding;
  c.weights.kernel.resize(size_t{9} * channels * filters);
  for (float& w : c.weights.kernel) w = draw();
  c.weights.bias.resize(filters);
  for (float& b : c.weights.bias) b = draw();
  c.pixels = MakeValues(c.in, Form::kPixelFloats);
  for (int i = 0; i < c.in.size(); ++i) c.pixels.floats[i] = draw();
  return c;
}

// [H', W', filters]
std::vector<double> Sums(const Case& c) {
  std::vector<double> sums;
  for (int y = 0; y < c.out.height; ++y) {
    for (int x = 0; x < c.out.width; ++x) {
      for (int f = 0; f < c.out.channels; ++f) {
        double sum = c.weights.bias.empty() ? 0 : c.weights.bias[f];
        for (int i = 0; i < 9; ++i) {
          const int py = y - c.padding + i / 3, px = x - c.padding + i % 3;
          if (py < 0 || py >= c.in.height || px < 0 || px >= c.in.width) continue;
          const float* pixel = &c.pixels.floats[(py * c.in.width + px) * c.in.channels];
          for (int k = 0; k < c.in.channels; ++k) {
            sum += double{pixel[k]} * c.weights.kernel[(f * c.in.channels + k) * 9 + i];
          }
        }
        sums.push_back(sum);
      }
    }
  }
  return sums;
}

// Twice in the same engine: nothing is left over from one sample to the next.
std::vector<float> Convolve(const Case& c) {
  const auto op = MakeWinogradConv(c.padding, c.weights, c.in, c.out);
  Values out = MakeValues(c.out, Form::kPixelFloats), other = c.pixels;
  for (float& x : other.floats) x = -x;
  EXPECT_TRUE(op->Run(other, &out).ok());
  EXPECT_TRUE(op->Run(c.pixels, &out).ok());
  return out.floats;
}

class WinogradTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { UseKernelTarget(GetParam()); }
  void TearDown() override { UseKernelTarget(KernelTargets().front()); }
};

INSTANTIATE_TEST_SUITE_P(Instructions, WinogradTest, testing::ValuesIn(KernelTargets()),
                         [](const auto& info) { return info.param; });

TEST_P(WinogradTest, SumsOfSmallNumbersAreExactInAnyShape) {
  std::mt19937 rng(1);
  const auto uniform = [&](int low, int high) {
    return low + static_cast<int>(rng() % static_cast<unsigned>(high - low + 1));
  };
  const auto eighths = [&] { return static_cast<float>(uniform(-8, 8)) / 8; };
  for (int i = 0; i < 80; ++i) {
    const int padding = uniform(0, 3);
    // From one output up, so that tiles stick out at every side, and more tiles than fit at once.
    const int smallest = std::max(1, 3 - 2 * padding), largest = i % 10 == 0 ? 25 : 9;
    const Case c = MakeCase(uniform(16, 70), uniform(16, 70), uniform(smallest, largest),
                            uniform(smallest, largest), padding, eighths);
    SCOPED_TRACE(testing::Message() << c.in.channels << " to " << c.out.channels << ", "
                                    << c.in.height << "x" << c.in.width << ", padding " << padding);
    const std::vector<double> expected = Sums(c);
    const std::vector<float> found = Convolve(c);
    for (size_t at = 0; at < expected.size(); ++at) ASSERT_EQ(found[at], expected[at]) << at;
  }
}

TEST_P(WinogradTest, RoundsByMillionths) {
  std::mt19937 rng(2);
  std::normal_distribution<float> normal;
  for (int channels : {16, 70, 256}) {
    Case c = MakeCase(channels, 33, 15, 14, 1, [&] { return normal(rng); });
    for (float& w : c.weights.kernel) w /= std::sqrt(9.0f * channels);
    c.weights.bias.clear();
    const std::vector<double> expected = Sums(c);
    const std::vector<float> found = Convolve(c);
    for (size_t at = 0; at < expected.size(); ++at)
      ASSERT_NEAR(found[at], expected[at], 5e-6) << at;
  }
}

TEST(WinogradPays, For3x3OfStride1OverEnoughChannelsAndPixels) {
  const Shape in{16, 3, 5}, out{24, 3, 5};
  EXPECT_TRUE(WinogradPays({3, 1, 1}, in, out));
  EXPECT_FALSE(WinogradPays({3, 1, 1}, {15, 3, 5}, out));
  EXPECT_FALSE(WinogradPays({3, 1, 1}, in, {23, 3, 5}));
  EXPECT_FALSE(WinogradPays({3, 1, 1}, {16, 2, 5}, {24, 2, 5}));
  EXPECT_FALSE(WinogradPays({3, 1, 1}, {16, 3, 2}, {24, 3, 2}));
  EXPECT_FALSE(WinogradPays({3, 2, 1}, {16, 6, 10}, out));
  EXPECT_FALSE(WinogradPays({5, 1, 2}, in, out));
  EXPECT_FALSE(WinogradPays({1, 1, 0}, in, out));
}

}  // namespace
}  // namespace lite
}  // namespace ddnn

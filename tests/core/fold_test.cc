#include "runtime/core/fold.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/core/feature_codec.h"
#include "runtime/core/float_bytes.h"
#include "tests/support/random_network.h"

namespace ddnn {
namespace {

constexpr int kLimit = 1 << 24;

BatchNormValues One(float gamma, float beta, float mean, float variance) {
  BatchNormValues norm;
  norm.gamma = {gamma};
  norm.beta = {beta};
  norm.mean = {mean};
  norm.variance = {variance};
  return norm;
}

// The definition, in double.
bool Reference(const BatchNormValues& norm, size_t c, float unit, int n) {
  const double y = static_cast<double>(norm.gamma[c]) *
                       (static_cast<double>(n) * unit - static_cast<double>(norm.mean[c])) /
                       std::sqrt(static_cast<double>(norm.variance[c]) + norm.epsilon) +
                   static_cast<double>(norm.beta[c]);
  return y >= 0;
}

bool Folded(const v1::Threshold& threshold, size_t c, int n) {
  const bool flip = !threshold.flip().empty() && BitAt(threshold.flip(), c);
  return (n >= threshold.at(static_cast<int>(c))) != flip;
}

void ExpectEqualAround(const BatchNormValues& norm, float unit, int from, int to) {
  const v1::Threshold threshold = FoldThreshold(norm, unit);
  ASSERT_EQ(threshold.at_size(), static_cast<int>(norm.gamma.size()));
  for (size_t c = 0; c < norm.gamma.size(); ++c) {
    for (int n = from; n <= to; ++n) {
      ASSERT_EQ(Folded(threshold, c, n), Reference(norm, c, unit, n))
          << "n " << n << " gamma " << norm.gamma[c] << " beta " << norm.beta[c] << " mean "
          << norm.mean[c] << " variance " << norm.variance[c] << " unit " << unit;
    }
  }
}

TEST(FoldThreshold, EqualsBatchNormAndSignForEveryInteger) {
  Random random(20);
  for (int i = 0; i < 150; ++i) {
    BatchNormValues norm;
    const int channels = RandomInt(1, 11, &random);
    const float unit = 1.0f / static_cast<float>(1 << RandomInt(0, 8, &random));
    for (int c = 0; c < channels; ++c) {
      norm.gamma.push_back(RandomInt(0, 9, &random) == 0 ? 0 : RandomFloat(-2, 2, &random));
      norm.beta.push_back(RandomInt(0, 9, &random) == 0 ? 0 : RandomFloat(-2, 2, &random));
      norm.mean.push_back(RandomFloat(-500, 500, &random) * unit);
      norm.variance.push_back(RandomFloat(0, 2000, &random) * unit * unit);
    }
    ExpectEqualAround(norm, unit, -3000, 3000);
  }
}

TEST(FoldThreshold, EqualsAtTheEndsOfTheRange) {
  for (float gamma : {1.0f, -1.0f}) {
    for (float edge : {static_cast<float>(kLimit), static_cast<float>(-kLimit), 0.0f}) {
      for (float step : {-2.0f, 0.0f, 2.0f}) {
        const BatchNormValues norm = One(gamma, 0, edge + step, 1);
        ExpectEqualAround(norm, 1, kLimit - 40, kLimit - 1);
        ExpectEqualAround(norm, 1, 1 - kLimit, 40 - kLimit);
        ExpectEqualAround(norm, 1, -40, 40);
      }
    }
  }
}

TEST(FoldThreshold, ATieIsPositiveWhicheverWayGammaPoints) {
  // y is exactly 0 at n = 6.
  for (float gamma : {1.0f, -1.0f, 0.5f, -0.5f}) {
    const v1::Threshold threshold = FoldThreshold(One(gamma, 0, 3, 4), 0.5f);
    EXPECT_TRUE(Folded(threshold, 0, 6)) << gamma;
    EXPECT_EQ(Folded(threshold, 0, 7), gamma > 0);
    EXPECT_EQ(Folded(threshold, 0, 5), gamma < 0);
  }
}

TEST(FoldThreshold, GammaZeroGivesTheSignOfBeta) {
  for (float beta : {-1e-30f, 0.0f, -0.0f, 2.0f}) {
    const v1::Threshold threshold = FoldThreshold(One(0, beta, 5, 1), 1);
    for (int n : {1 - kLimit, -1, 0, 1, kLimit - 1}) {
      EXPECT_EQ(Folded(threshold, 0, n), beta >= 0) << beta << " at " << n;
    }
  }
}

TEST(FoldThreshold, SaysNothingOfFlipsWhereThereAreNone) {
  EXPECT_TRUE(FoldThreshold(One(1, 0, 0, 1), 1).flip().empty());
  EXPECT_EQ(FoldThreshold(One(-1, 0, 0, 1), 1).flip(), std::string("\1"));
  EXPECT_EQ(FoldThreshold(One(1, 0, 0, 1), 0.25f).unit(), 0.25f);
}

TEST(FoldThreshold, SurvivesValuesThatAreNotFinite) {
  const v1::Threshold threshold = FoldThreshold(One(std::nanf(""), 0, 0, 1), 1);
  EXPECT_FALSE(Folded(threshold, 0, 0));
}

TEST(FoldAffine, EqualsBatchNorm) {
  Random random(21);
  for (int i = 0; i < 500; ++i) {
    const BatchNormValues norm = One(RandomFloat(-2, 2, &random), RandomFloat(-2, 2, &random),
                                     RandomFloat(-5, 5, &random), RandomFloat(0, 9, &random));
    const v1::Affine affine = FoldAffine(norm);
    ASSERT_EQ(affine.scale().size(), 4u);
    ASSERT_EQ(affine.bias().size(), 4u);
    const double x = RandomFloat(-10, 10, &random);
    const double y =
        norm.gamma[0] * (x - norm.mean[0]) / std::sqrt(norm.variance[0] + 1e-5) + norm.beta[0];
    const double scale = FloatAt(affine.scale(), 0);
    const double terms = std::abs(scale) * 15 + std::abs(norm.beta[0]);
    EXPECT_NEAR(scale * x + FloatAt(affine.bias(), 0), y, 1e-6 * terms + 1e-9);
  }
}

}  // namespace
}  // namespace ddnn

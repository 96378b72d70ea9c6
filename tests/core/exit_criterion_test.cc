#include "runtime/core/exit_criterion.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace ddnn {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> RandomLogits(std::mt19937_64* random) {
  std::vector<float> logits(2 + (*random)() % 20);
  const float spread = std::pow(10.0f, static_cast<float>((*random)() % 5) - 2);
  for (float& x : logits) x = spread * (static_cast<float>((*random)() % 2001) / 1000.0f - 1.0f);
  return logits;
}

TEST(NormalizedEntropy, KnowsSmallCases) {
  EXPECT_FLOAT_EQ(NormalizedEntropy({3.0f, 3.0f, 3.0f}), 1.0f);
  EXPECT_FLOAT_EQ(NormalizedEntropy({0.0f, 0.0f}), 1.0f);
  // p = (3/4, 1/4): 0.8112781 bits.
  EXPECT_FLOAT_EQ(NormalizedEntropy({std::log(3.0f), 0.0f}), 0.8112781f);
  EXPECT_EQ(NormalizedEntropy({1000.0f, 0.0f, 0.0f}), 0.0f);
}

TEST(NormalizedEntropy, AgreesWithTheDefinition) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 1000; ++i) {
    const std::vector<float> logits = RandomLogits(&random);
    double sum = 0, entropy = 0;
    for (float x : logits) sum += std::exp(static_cast<double>(x));
    for (float x : logits) {
      const double p = std::exp(static_cast<double>(x)) / sum;
      if (p > 0) entropy -= p * std::log(p);
    }
    EXPECT_NEAR(NormalizedEntropy(logits), entropy / std::log(logits.size()), 1e-6);
  }
}

TEST(NormalizedEntropy, StaysWithinItsBounds) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 1000; ++i) {
    std::vector<float> logits = RandomLogits(&random);
    if (i % 3 == 0) {
      for (float& x : logits) x *= 1e35f;
    }
    const float entropy = NormalizedEntropy(logits);
    EXPECT_GE(entropy, 0.0f);
    EXPECT_LE(entropy, 1.0f);
  }
}

TEST(NormalizedEntropy, IgnoresAConstantAddedToEveryLogit) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 200; ++i) {
    std::vector<float> logits = RandomLogits(&random);
    const float before = NormalizedEntropy(logits);
    for (float& x : logits) x += 64.0f;
    EXPECT_NEAR(NormalizedEntropy(logits), before, 1e-3);
  }
}

TEST(NormalizedEntropy, IgnoresTheOrderOfClasses) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 200; ++i) {
    std::vector<float> logits = RandomLogits(&random);
    const float before = NormalizedEntropy(logits);
    std::shuffle(logits.begin(), logits.end(), random);
    EXPECT_NEAR(NormalizedEntropy(logits), before, 1e-6);
  }
}

TEST(NormalizedEntropy, FallsAsOneClassGainsOnTheOthers) {
  float before = 1.1f;
  for (float lead = 0; lead < 20; lead += 0.5f) {
    const float entropy = NormalizedEntropy({lead, 0.0f, 0.0f, 0.0f});
    EXPECT_LT(entropy, before);
    before = entropy;
  }
}

TEST(NormalizedEntropy, IsOneWhereALogitIsNotFinite) {
  for (float bad : {kNan, kInf, -kInf}) {
    EXPECT_EQ(NormalizedEntropy({bad, 0.0f, 1000.0f}), 1.0f);
    EXPECT_EQ(NormalizedEntropy({1000.0f, 0.0f, bad}), 1.0f);
  }
}

TEST(NormalizedEntropy, TakesTheLargestFloats) {
  const float most = std::numeric_limits<float>::max();
  EXPECT_EQ(NormalizedEntropy({most, -most}), 0.0f);
  EXPECT_FLOAT_EQ(NormalizedEntropy({most, most}), 1.0f);
}

TEST(ArgMax, TakesTheFirstOfEquals) {
  EXPECT_EQ(ArgMax({1.0f, 5.0f, 5.0f}), 1);
  EXPECT_EQ(ArgMax({-3.0f, -2.0f, -1.0f}), 2);
  EXPECT_EQ(ArgMax({7.0f}), 0);
}

TEST(ArgMax, NotANumberNeverWins) {
  EXPECT_EQ(ArgMax({kNan, -5.0f, kNan}), 1);
  EXPECT_EQ(ArgMax({1.0f, kNan, 2.0f}), 2);
  EXPECT_EQ(ArgMax({kNan, -kInf}), 1);
  EXPECT_EQ(ArgMax({kNan, kNan}), 0);
}

TEST(Exits, AtOrBelowTheThreshold) {
  EXPECT_TRUE(Exits(0.5f, 0.5f));
  EXPECT_TRUE(Exits(0.0f, 0.0f));
  EXPECT_FALSE(Exits(std::nextafter(0.5f, 1.0f), 0.5f));
}

TEST(Exits, NeverWhereEitherIsNotFinite) {
  EXPECT_FALSE(Exits(kNan, 1.0f));
  EXPECT_FALSE(Exits(0.0f, kNan));
  EXPECT_FALSE(Exits(-kInf, 1.0f));
  EXPECT_FALSE(Exits(0.0f, kInf));
}

}  // namespace
}  // namespace ddnn

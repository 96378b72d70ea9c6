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

ExitThreshold RuleWith(v1::Criterion criterion, float temperature) {
  ExitThreshold rule;
  rule.criterion = criterion;
  rule.temperature = temperature;
  return rule;
}

TEST(Uncertainty, KnowsSmallCasesOfEachCriterion) {
  // p = (3/5, 1/5, 1/5)
  const std::vector<float> logits = {std::log(3.0f), 0.0f, 0.0f};
  EXPECT_FLOAT_EQ(Uncertainty(RuleWith(v1::LARGEST_PROBABILITY, 1), logits), 0.6f);
  EXPECT_FLOAT_EQ(Uncertainty(RuleWith(v1::MARGIN, 1), logits), 0.6f);
  // p = (1/2, 1/2, about 0): two of three are left, and nothing between them.
  EXPECT_FLOAT_EQ(Uncertainty(RuleWith(v1::LARGEST_PROBABILITY, 1), {9e3f, 9e3f, 0}), 0.75f);
  EXPECT_EQ(Uncertainty(RuleWith(v1::MARGIN, 1), {9e3f, 9e3f, 0}), 1.0f);
  // Temperature 2 takes the square root of the odds.
  EXPECT_FLOAT_EQ(Uncertainty(RuleWith(v1::MARGIN, 2), {std::log(9.0f), 0}), 0.5f);
}

TEST(Uncertainty, IsTheNormalizedEntropyByDefault) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 200; ++i) {
    const std::vector<float> logits = RandomLogits(&random);
    EXPECT_EQ(Uncertainty(ExitThreshold(), logits), NormalizedEntropy(logits));
  }
}

TEST(Uncertainty, OfAnyCriterionIsOneForUniformZeroForCertainAndNeverExitsWithoutANumber) {
  for (v1::Criterion criterion : {v1::ENTROPY, v1::LARGEST_PROBABILITY, v1::MARGIN}) {
    for (float temperature : {0.001f, 0.7f, 1.0f, 30.0f, 1000.0f}) {
      const ExitThreshold rule = RuleWith(criterion, temperature);
      EXPECT_FLOAT_EQ(Uncertainty(rule, {5, 5, 5, 5}), 1);
      EXPECT_FLOAT_EQ(Uncertainty(rule, {1e9f, 0, 0}), 0);
      for (float odd : {kNan, kInf, -kInf}) EXPECT_EQ(Uncertainty(rule, {1, odd, 3}), 1);
      EXPECT_EQ(Uncertainty(rule, {7}), 1);
    }
  }
}

TEST(Uncertainty, GrowsWithTemperatureAndIgnoresTheOrder) {
  std::mt19937_64 random(12);
  for (int i = 0; i < 300; ++i) {
    std::vector<float> logits = RandomLogits(&random);
    const auto criterion = static_cast<v1::Criterion>(i % 3);
    float before = 0;
    for (float temperature : {0.25f, 0.5f, 1.0f, 2.0f, 4.0f}) {
      const float now = Uncertainty(RuleWith(criterion, temperature), logits);
      EXPECT_GE(now, before - 1e-6f);
      EXPECT_LE(now, 1);
      before = now;
    }
    std::shuffle(logits.begin(), logits.end(), random);
    EXPECT_NEAR(Uncertainty(RuleWith(criterion, 4), logits), before, 1e-6f);
  }
}

TEST(ExitThreshold, IsOfTheNumberOfViewsThatAreMissing) {
  ExitThreshold threshold(0.5f);
  for (int missing : {0, 1, 7}) EXPECT_EQ(threshold.At(missing), 0.5f);
  threshold.missing = {0.4f, -1};
  EXPECT_EQ(threshold.At(0), 0.5f);
  EXPECT_EQ(threshold.At(1), 0.4f);
  EXPECT_EQ(threshold.At(2), -1);
  EXPECT_EQ(threshold.At(9), -1);
  EXPECT_FALSE(Exits(0, threshold.At(2)));
}

TEST(ViewsMissing, CountsWhatIsNotThere) {
  EXPECT_EQ(ViewsMissing(6, 0b111111), 0);
  EXPECT_EQ(ViewsMissing(6, 0b100010), 4);
  EXPECT_EQ(ViewsMissing(64, ~uint64_t{0}), 0);
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

#include "train/risk_bound.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace ddnn::train {
namespace {

constexpr double kAlpha = 0.05;

// Uniform in [0, 1), the same on every machine.
double Uniform(std::mt19937_64* engine) { return static_cast<double>((*engine)() >> 11) * 0x1p-53; }

LossCounts Draw(int n, double half, double full, std::mt19937_64* engine) {
  LossCounts losses;
  for (int i = 0; i < n; ++i) {
    const double u = Uniform(engine);
    ++(u < full ? losses.full : u < full + half ? losses.half : losses.none);
  }
  return losses;
}

TEST(LogBinomialP, IsTheExactTailInASmallCase) {
  // P(Bin(4, 0.5) <= 1) = 5 / 16
  EXPECT_NEAR(std::exp(LogBinomialP({3, 0, 1}, 0.5)), 5.0 / 16, 1e-12);
  EXPECT_NEAR(std::exp(LogBinomialP({10, 0, 0}, 0.1)), std::pow(0.9, 10), 1e-12);
  EXPECT_EQ(LogBinomialP({0, 0, 7}, 0.3), 0);
  EXPECT_EQ(LogBinomialP({3, 1, 0}, 0.5), LogBinomialP({3, 0, 1}, 0.5));
}

TEST(LogBinomialP, NeitherOverflowsNorUnderflowsWithManySamples) {
  const double p = LogBinomialP({1000000, 0, 100000}, 0.5);
  EXPECT_TRUE(std::isfinite(p));
  EXPECT_LT(p, -1000);
  EXPECT_NEAR(std::exp(LogBinomialP({500000, 0, 500000}, 0.5)), 0.5, 1e-3);
}

TEST(LogP, RefutesNothingWithoutSamplesAndEverythingAboveOne) {
  EXPECT_EQ(LogBinomialP({}, 0.5), 0);
  EXPECT_EQ(LogBettingP({}, 0.5, 0.5), 0);
  EXPECT_EQ(LogBinomialP({100, 0, 0}, 0), 0);
  EXPECT_EQ(LogBettingP({100, 0, 0}, 0, 0.5), 0);
  EXPECT_EQ(LogBettingP({100, 0, 0}, std::nan(""), 0.5), 0);
  EXPECT_LT(LogBinomialP({0, 0, 5}, 1.5), -1e300);
  EXPECT_LT(LogBettingP({0, 0, 5}, 1.5, 0.5), -1e300);
}

TEST(LogBettingP, WinsByHandInASmallCase) {
  // Stake s at limit 0.5: a sample without loss multiplies the wealth by 1 + s, one with loss by
  // 1 - s; three bettors with a third of the capital each stake 0.2, 0.4 and 0.6.
  double wealth = 0;
  for (double s : {0.2, 0.4, 0.6}) wealth += std::pow(1 + s, 3) * (1 - s) / 3;
  EXPECT_NEAR(LogBettingP({3, 5, 1}, 0.5, 0.6), -std::log(wealth), 1e-12);
  EXPECT_EQ(LogBettingP({1, 0, 5}, 0.5, 0.5), 0);
}

// Of one bettor.
double LogWealth(const LossCounts& losses, double limit, double stake) {
  const double most = stake / (1 - limit);
  double wealth = 0;
  const auto play = [&](int64_t count, double loss) {
    if (count > 0) wealth += static_cast<double>(count) * std::log(1 + most * (limit - loss));
  };
  play(losses.none, 0);
  play(losses.half, 0.5);
  play(losses.full, 1);
  return wealth;
}

TEST(BestStake, IsNoWorseThanAnyOther) {
  for (const LossCounts& losses : {LossCounts{5, 90, 3}, {40, 0, 60}, {0, 100, 0}, {1, 1, 0}}) {
    for (double limit : {0.1, 0.505, 0.6, 0.95}) {
      const double best = BestStake(losses, limit);
      EXPECT_GE(best, 0);
      EXPECT_LT(best, 1);
      LossCounts more = losses;
      ++more.full;
      for (double other = 0; other < 1; other += 0.01) {
        EXPECT_GE(LogWealth(more, limit, best), LogWealth(more, limit, other) - 1e-6);
      }
    }
  }
}

// What the bounds promise: a mean that is not below the limit is refuted in at most alpha of all
// draws. 1000 draws: four standard deviations above 5 % are 7.8 %.
TEST(LogP, RefutesWronglyAtMostAsOftenAsItSays) {
  std::mt19937_64 engine(1);
  for (int n : {20, 150, 800}) {
    for (double full : {0.02, 0.1, 0.3}) {
      int binomial = 0, betting = 0;
      const double drop = 0.01, gained = full - drop, limit = (1 + drop) / 2;
      for (int draw = 0; draw < 1000; ++draw) {
        binomial += LogBinomialP(Draw(n, 0, full, &engine), full) <= std::log(kAlpha);
        const double none = gained, half = 1 - full - none;
        const double stake = BestStake(Draw(n, half, full, &engine), limit);
        betting += LogBettingP(Draw(n, half, full, &engine), limit, stake) <= std::log(kAlpha);
      }
      EXPECT_LE(binomial, 78) << n << " samples, mean " << full;
      EXPECT_LE(betting, 78) << n << " samples, mean " << full;
    }
  }
}

TEST(LogP, RefutesWhatIsFarEnoughOff) {
  std::mt19937_64 engine(2);
  int binomial = 0, betting = 0;
  for (int draw = 0; draw < 200; ++draw) {
    binomial += LogBinomialP(Draw(1000, 0, 0.15, &engine), 0.2) <= std::log(kAlpha);
    // Accuracy 1 % better than the limit, 4 % of the answers changed.
    const double stake = BestStake(Draw(1000, 0.96, 0.02, &engine), 0.51);
    betting += LogBettingP(Draw(3000, 0.96, 0.02, &engine), 0.51, stake) <= std::log(kAlpha);
  }
  EXPECT_GT(binomial, 180);
  EXPECT_GT(betting, 180);
}

TEST(RefutedInOrder, StopsAtTheFirstThatIsNot) {
  EXPECT_EQ(RefutedInOrder({-5, -4, -1, -9}, kAlpha), 2u);
  EXPECT_EQ(RefutedInOrder({-1, -9}, kAlpha), 0u);
  EXPECT_EQ(RefutedInOrder({-9, -9}, kAlpha), 2u);
  EXPECT_EQ(RefutedInOrder({}, kAlpha), 0u);
}

TEST(SmallestRefuted, FindsWhereTheTestTurns) {
  const LossCounts losses{90, 0, 10};
  const double limit = SmallestRefuted([&](double l) { return LogBinomialP(losses, l); }, kAlpha);
  EXPECT_LE(LogBinomialP(losses, limit), std::log(kAlpha));
  EXPECT_GT(LogBinomialP(losses, limit - 1e-4), std::log(kAlpha));
  EXPECT_NEAR(limit, 0.1637, 1e-3);  // Clopper and Pearson
  EXPECT_EQ(SmallestRefuted([](double) { return 0.0; }, kAlpha), 1);
}

}  // namespace
}  // namespace ddnn::train

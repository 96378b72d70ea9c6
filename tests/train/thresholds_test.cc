#include "train/thresholds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "runtime/core/exit_criterion.h"
#include "tests/train/three_exits.h"

namespace ddnn::train {
namespace {

// Two exits; "cloud" is always right and unsure in the order of the samples.
ExitRecords TwoExits(const std::vector<float>& entropy, const std::vector<bool>& right) {
  ExitRecords records;
  records.samples = static_cast<int64_t>(entropy.size());
  records.entropy = {entropy, {}};
  records.right = {right, std::vector<bool>(entropy.size(), true)};
  for (size_t i = 0; i < entropy.size(); ++i) {
    records.entropy[1].push_back(static_cast<float>(i) / 100);
  }
  return records;
}

int Stopping(const ExitRecords& records, float threshold) {
  return static_cast<int>(std::count_if(records.entropy[0].begin(), records.entropy[0].end(),
                                        [&](float e) { return Exits(e, threshold); }));
}

TEST(ChooseThresholds, StopsAllThatCostNothingAndLiesMidwayBetweenNeighbours) {
  const NetworkPlan plan = PlanOf(TinySpec());
  const ExitRecords records =
      TwoExits({0.1f, 0.5f, 0.2f, 0.4f, 0.8f}, {true, false, true, true, false});
  const ThresholdChoice choice = ChooseThresholds(plan, records, 0);
  EXPECT_FLOAT_EQ(choice.thresholds[0], 0.45f);
  EXPECT_EQ(choice.accuracy, 1);
  EXPECT_EQ(choice.best_accuracy, 1);
}

TEST(ChooseThresholds, GivesUpAsMuchAccuracyAsAllowed) {
  const NetworkPlan plan = PlanOf(TinySpec());
  const ExitRecords records =
      TwoExits({0.1f, 0.5f, 0.2f, 0.4f, 0.8f}, {true, false, true, true, false});
  EXPECT_EQ(Stopping(records, ChooseThresholds(plan, records, 0.19).thresholds[0]), 3);
  EXPECT_EQ(Stopping(records, ChooseThresholds(plan, records, 0.2).thresholds[0]), 4);
  EXPECT_EQ(Stopping(records, ChooseThresholds(plan, records, 0.4).thresholds[0]), 5);
}

TEST(ChooseThresholds, LetsNobodyStopAtAnExitThatIsSurelyWrong) {
  const NetworkPlan plan = PlanOf(TinySpec());
  const ExitRecords records = TwoExits({0.1f, 0.2f, 0.3f}, {false, false, false});
  EXPECT_EQ(Stopping(records, ChooseThresholds(plan, records, 0).thresholds[0]), 0);
}

TEST(ChooseThresholds, TakesEarlyExitsThatAreBetterThanTheRoot) {
  const NetworkPlan plan = PlanOf(TinySpec());
  ExitRecords records = TwoExits({0.1f, 0.2f, 0.3f, 0.4f}, {true, true, true, false});
  records.right[1] = {false, true, false, true};
  const ThresholdChoice choice = ChooseThresholds(plan, records, 0);
  EXPECT_EQ(choice.accuracy, 1);
  EXPECT_FLOAT_EQ(choice.thresholds[0], 0.35f);
}

TEST(ChooseThresholds, NeverSplitsEqualEntropies) {
  const NetworkPlan plan = PlanOf(TinySpec());
  const ExitRecords records = TwoExits({0.3f, 0.3f, 0.3f, 0.7f}, {true, true, false, false});
  EXPECT_EQ(Stopping(records, ChooseThresholds(plan, records, 0).thresholds[0]), 0);
  EXPECT_EQ(Stopping(records, ChooseThresholds(plan, records, 0.25).thresholds[0]), 3);
}

TEST(ChooseThresholds, MarksTheMostUncertainTenthAtTheRoot) {
  const NetworkPlan plan = PlanOf(TinySpec());
  ExitRecords records = TwoExits(std::vector<float>(50, 1.0f), std::vector<bool>(50, false));
  const float root = ChooseThresholds(plan, records, 0).thresholds[1];
  const auto& entropy = records.entropy[1];
  EXPECT_EQ(std::count_if(entropy.begin(), entropy.end(), [&](float e) { return e > root; }), 5);
}

TEST(ChooseThresholds, SearchesExitsTogether) {
  const NetworkPlan plan = ThreeExits();
  ExitRecords records;
  records.samples = 4;
  // Sample 2 is wrong at "local" and right at "edge", 3 is right at the cloud only.
  records.entropy = {{0.1f, 0.2f, 0.3f, 0.4f}, {0.5f, 0.5f, 0.1f, 0.6f}, {0, 0, 0, 0}};
  records.right = {
      {true, true, false, false}, {false, false, true, false}, {true, true, true, true}};
  const ThresholdChoice choice = ChooseThresholds(plan, records, 0);
  EXPECT_FLOAT_EQ(choice.thresholds[0], 0.25f);
  EXPECT_GE(choice.thresholds[1], 0.1f);
  EXPECT_LT(choice.thresholds[1], 0.6f);
  const Operation operation =
      Operate(plan, records,
              std::vector<ExitThreshold>(choice.thresholds.begin(), choice.thresholds.end()));
  EXPECT_EQ(operation.accuracy, 1);
  EXPECT_EQ(operation.exit_fraction, (std::vector<double>{0.5, 0.25, 0.25}));
}

// Every distinct way to stop: a threshold at each entropy there is, and one below all.
std::vector<OperatingPoint> BruteForce(const NetworkPlan& plan, const ExitRecords& records,
                                       const PointScore& score) {
  std::vector<std::vector<float>> levels;
  for (size_t e = 0; e + 1 < plan.exits().size(); ++e) {
    levels.push_back(records.entropy[e]);
    const float least = *std::min_element(levels[e].begin(), levels[e].end());
    levels[e].push_back(least / 2);
  }
  if (levels.size() == 1) levels.push_back({0});
  std::vector<OperatingPoint> all, front;
  for (float first : levels[0]) {
    for (float second : levels[1]) {
      std::vector<ExitThreshold> thresholds = {first, second, 1.0f};
      thresholds.resize(plan.exits().size());
      all.push_back(TryThresholds(plan, records, thresholds));
    }
  }
  const auto cost = [](const OperatingPoint& p) { return std::make_pair(p.bytes, p.tiers); };
  for (const OperatingPoint& point : all) {
    const double own = score(point.right, point.changed);
    const bool beaten = std::any_of(all.begin(), all.end(), [&](const OperatingPoint& other) {
      const double theirs = score(other.right, other.changed);
      return (cost(other) <= cost(point) && theirs > own) ||
             (cost(other) < cost(point) && theirs >= own);
    });
    if (!beaten) front.push_back(point);
  }
  std::sort(front.begin(), front.end(),
            [&](const OperatingPoint& a, const OperatingPoint& b) { return cost(a) < cost(b); });
  front.erase(std::unique(front.begin(), front.end(),
                          [&](const OperatingPoint& a, const OperatingPoint& b) {
                            return cost(a) == cost(b);
                          }),
              front.end());
  return front;
}

TEST(SearchThresholds, FindsWhatTryingEverythingFinds) {
  Random random(3);
  const PointScore right = [](int64_t right, int64_t) { return static_cast<double>(right); };
  const PointScore steady = [](int64_t right, int64_t changed) {
    return (static_cast<double>(right) - 3) / std::sqrt(static_cast<double>(changed) + 1);
  };
  for (int round = 0; round < 60; ++round) {
    const NetworkPlan plan = round % 2 == 0 ? ThreeExits() : PlanOf(TinySpec());
    const ExitRecords records =
        RandomRecords(static_cast<int>(plan.exits().size()), RandomInt(1, 24, &random),
                      RandomInt(2, 60, &random), &random);
    for (const PointScore& score : {right, steady}) {
      const auto expected = BruteForce(plan, records, score);
      const auto found = SearchThresholds(plan, records, score);
      ASSERT_EQ(found.size(), expected.size()) << "round " << round;
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].bytes, expected[i].bytes);
        EXPECT_EQ(found[i].tiers, expected[i].tiers);
        EXPECT_EQ(score(found[i].right, found[i].changed),
                  score(expected[i].right, expected[i].changed));
        const OperatingPoint again = TryThresholds(
            plan, records,
            std::vector<ExitThreshold>(found[i].thresholds.begin(), found[i].thresholds.end()));
        EXPECT_EQ(again.right, found[i].right);
        EXPECT_EQ(again.changed, found[i].changed);
        EXPECT_EQ(again.bytes, found[i].bytes);
        EXPECT_EQ(again.tiers, found[i].tiers);
      }
    }
  }
}

TEST(SearchThresholds, GoesThroughThousandsOfSamplesAndSurvivesNone) {
  const NetworkPlan plan = ThreeExits();
  Random random(4);
  const auto front = SearchThresholds(plan, RandomRecords(3, 5000, 1 << 20, &random));
  EXPECT_GT(front.size(), 20u);
  for (size_t i = 1; i < front.size(); ++i) EXPECT_GT(front[i].right, front[i - 1].right);
  EXPECT_FALSE(SearchThresholds(plan, RandomRecords(3, 0, 10, &random)).empty());
}

}  // namespace
}  // namespace ddnn::train

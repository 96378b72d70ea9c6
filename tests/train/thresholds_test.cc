#include "train/thresholds.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/core/exit_criterion.h"
#include "tests/train/toy_dataset.h"

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
  v1::NetworkSpec spec = PlanOf(TinySpec()).spec();
  v1::Tier edge = spec.tier(1);
  edge.set_name("edge");
  edge.mutable_exit()->set_name("edge");
  v1::Tier cloud = spec.tier(1);
  *spec.mutable_tier(1) = edge;
  *spec.add_tier() = cloud;
  const auto plan = NetworkPlan::Create(spec);
  ASSERT_TRUE(plan.ok()) << plan.status();
  ExitRecords records;
  records.samples = 4;
  // Sample 2 is wrong at "local" and right at "edge", 3 is right at the cloud only.
  records.entropy = {{0.1f, 0.2f, 0.3f, 0.4f}, {0.5f, 0.5f, 0.1f, 0.6f}, {0, 0, 0, 0}};
  records.right = {
      {true, true, false, false}, {false, false, true, false}, {true, true, true, true}};
  const ThresholdChoice choice = ChooseThresholds(*plan, records, 0);
  EXPECT_FLOAT_EQ(choice.thresholds[0], 0.25f);
  EXPECT_GE(choice.thresholds[1], 0.1f);
  EXPECT_LT(choice.thresholds[1], 0.6f);
  const Operation operation = Operate(*plan, records, choice.thresholds);
  EXPECT_EQ(operation.accuracy, 1);
  EXPECT_EQ(operation.exit_fraction, (std::vector<double>{0.5, 0.25, 0.25}));
}

}  // namespace
}  // namespace ddnn::train

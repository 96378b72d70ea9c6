#include "train/missing_views.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "runtime/core/exit_criterion.h"
#include "runtime/torch/torch_engine.h"
#include "tests/train/three_exits.h"
#include "tests/train/toy_dataset.h"

namespace ddnn::train {
namespace {

// Of two exits; the root is always right.
ExitRecords TwoExits(const std::vector<float>& entropy, const std::vector<bool>& right,
                     uint8_t missing = 0) {
  ExitRecords records;
  records.samples = static_cast<int64_t>(entropy.size());
  records.entropy = {entropy, std::vector<float>(entropy.size(), 0.5f)};
  records.right = {right, std::vector<bool>(entropy.size(), true)};
  records.missing.assign(entropy.size(), missing);
  return records;
}

TEST(FitMissing, LowersAThresholdUntilItsAnswersAreAsOftenRight) {
  const ExitRecords records =
      TwoExits({0.1f, 0.2f, 0.3f, 0.4f, 0.9f}, {true, true, true, false, 0});
  const std::vector<ExitRecords> hidden = {
      TwoExits({0.1f, 0.2f, 0.3f, 0.4f, 0.45f}, {true, true, true, false, false}, 1),
      TwoExits({0.1f, 0.2f}, {false, true}, 2)};
  std::vector<ExitThreshold> thresholds = {0.5f, 1.0f};
  FitMissing(records, hidden, &thresholds);  // one of four is wrong with all views
  ASSERT_EQ(thresholds[0].missing.size(), 2u);
  // Up to 0.4: one of four. With 0.45 two of five would be.
  EXPECT_FLOAT_EQ(thresholds[0].missing[0], 0.425f);
  EXPECT_EQ(thresholds[0].missing[1], -1);
  EXPECT_EQ(thresholds[0].entropy, 0.5f);
  EXPECT_TRUE(thresholds[1].missing.empty()) << "the root always answers";
}

TEST(FitMissing, ANeighbouringFloatStaysOut) {
  const float above = 0.3f, below = std::nextafter(above, 0.0f);
  for (const float right : {below, std::nextafter(below, 0.0f)}) {
    const float wrong = std::nextafter(right, 1.0f);
    std::vector<ExitThreshold> thresholds = {0.5f, 1.0f};
    FitMissing(TwoExits({0.1f}, {true}), {TwoExits({right, wrong}, {true, false}, 1)}, &thresholds);
    ASSERT_EQ(thresholds[0].missing.size(), 1u);
    EXPECT_EQ(thresholds[0].missing[0], right);
  }
}

TEST(FitMissing, LeavesAloneWhatIsAsRightWithoutViews) {
  const ExitRecords records = TwoExits({0.1f, 0.2f, 0.3f, 0.4f}, {true, true, false, false});
  std::vector<ExitThreshold> thresholds = {0.35f, 1.0f};
  FitMissing(records, {TwoExits({0.1f, 0.3f, 0.35f}, {true, false, true}, 1)}, &thresholds);
  EXPECT_TRUE(thresholds[0].missing.empty());
  thresholds[0].missing = {0.1f};  // of an earlier fit
  FitMissing(records, {}, &thresholds);
  EXPECT_TRUE(thresholds[0].missing.empty());
}

TEST(FitMissing, NeverRisesAgainWithMoreViewsMissing) {
  const ExitRecords records = TwoExits({0.1f, 0.2f, 0.3f, 0.4f}, {true, true, true, true});
  std::vector<ExitThreshold> thresholds = {0.5f, 1.0f};
  FitMissing(records,
             {TwoExits({0.1f, 0.2f, 0.3f}, {true, false, true}, 1),
              TwoExits({0.1f, 0.2f, 0.3f}, {true, true, true}, 2)},
             &thresholds);
  ASSERT_EQ(thresholds[0].missing.size(), 2u);
  EXPECT_FLOAT_EQ(thresholds[0].missing[0], 0.15f);
  EXPECT_FLOAT_EQ(thresholds[0].missing[1], 0.15f);
}

// With every number of views missing those that stop are no more often wrong than with all.
TEST(FitMissing, KeepsExitsFromOverConfidenceOnRandomRecords) {
  Random random(21);
  for (int round = 0; round < 30; ++round) {
    const ExitRecords records = RandomRecords(3, 600, 100, &random);
    std::vector<ExitRecords> hidden;
    for (int k = 1; k <= 2; ++k) {
      ExitRecords worse = RandomRecords(3, 400, 100, &random);
      worse.missing.assign(400, static_cast<uint8_t>(k));
      for (int e = 0; e < 2; ++e) {
        for (int64_t i = 0; i < worse.samples; ++i) {
          if (RandomInt(0, 9, &random) < 2 * k) worse.right[e][i] = false;
        }
      }
      hidden.push_back(std::move(worse));
    }
    std::vector<ExitThreshold> thresholds = {RandomFloat(0.1f, 0.9f, &random),
                                             RandomFloat(0.1f, 0.9f, &random), 1.0f};
    const std::vector<ExitThreshold> whole = thresholds;
    FitMissing(records, hidden, &thresholds);
    const auto error = [](const ExitRecords& of, const std::vector<ExitThreshold>& by,
                          size_t exit) {
      double stopped = 0, wrong = 0;
      for (int64_t i = 0; i < of.samples; ++i) {
        if (ExitOf(of, by, i) != exit) continue;
        ++stopped;
        wrong += of.right[exit][i] ? 0 : 1;
      }
      return stopped > 0 ? wrong / stopped : 0;
    };
    for (size_t exit : {0, 1}) {
      for (const ExitRecords& without : hidden) {
        EXPECT_LE(error(without, thresholds, exit), error(records, whole, exit) + 1e-9);
      }
    }
  }
}

TEST(RecordWithViewsHidden, HidesExactlySoManyAndTheSameForTheSameSeed) {
  const NetworkPlan plan = PlanOf(TinySpec());
  Random random(22);
  const Bundle bundle = RandomBundle(plan, 0.5f, &random);
  const SampleStore samples = *LoadSplit(ToyDataset(plan), Split::kCalibration, 1);
  const auto hidden = RecordWithViewsHidden(bundle, CreateTorchEngine, samples, 5, 2);
  const auto again = RecordWithViewsHidden(bundle, CreateTorchEngine, samples, 5, 1);
  const auto other = RecordWithViewsHidden(bundle, CreateTorchEngine, samples, 6, 1);
  ASSERT_TRUE(hidden.ok() && again.ok() && other.ok());
  ASSERT_EQ(hidden->size(), 2u);
  for (size_t k = 0; k < 2; ++k) {
    const ExitRecords& records = (*hidden)[k];
    EXPECT_GT(records.samples, 0);
    for (uint8_t missing : records.missing) EXPECT_EQ(missing, k + 1);
    int64_t enough = 0;
    for (uint64_t presence : samples.presence) {
      enough += ViewsMissing(plan.views(), presence) <= static_cast<int>(k + 1);
    }
    EXPECT_EQ(records.samples, enough);
    EXPECT_EQ(records.entropy, (*again)[k].entropy);
  }
  EXPECT_NE((*hidden)[1].entropy, (*other)[1].entropy);
  const std::atomic<bool> stop{true};
  EXPECT_TRUE(absl::IsCancelled(
      RecordWithViewsHidden(bundle, CreateTorchEngine, samples, 5, 1, &stop).status()));
}

}  // namespace
}  // namespace ddnn::train

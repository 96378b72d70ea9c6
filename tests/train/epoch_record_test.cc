#include "train/epoch_record.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/core/exit_criterion.h"
#include "tests/train/toy_dataset.h"
#include "train/trainer.h"

namespace ddnn::train {
namespace {

ExitBatch Exit(const at::Tensor& scores) {
  ExitBatch exit;
  exit.scores = scores;
  exit.node_scores = scores.unsqueeze(1);
  return exit;
}

class EpochRecordTest : public ::testing::Test {
 protected:
  EpochRecordTest() : plan_(PlanOf(TinySpec())) { at::manual_seed(5); }

  NetworkPlan plan_;
};

TEST_F(EpochRecordTest, AddsUpBatchesOfAnySizeAsOneBatchWould) {
  const at::Tensor scores = at::randn({10, 3}), upper = at::randn({10, 3});
  const at::Tensor labels = at::randint(0, 3, {10}, at::kLong);
  const at::Tensor view_labels = labels.unsqueeze(1).expand({10, 3});
  v1::EpochRecord whole = NewEpochRecord(plan_, 1), parts = whole;
  AddCalibrationBatch(plan_, {Exit(scores), Exit(upper)}, labels, view_labels, &whole);
  for (const auto& [begin, end] : {std::pair(0, 3), std::pair(3, 10)}) {
    AddCalibrationBatch(plan_,
                        {Exit(scores.slice(0, begin, end)), Exit(upper.slice(0, begin, end))},
                        labels.slice(0, begin, end), view_labels.slice(0, begin, end), &parts);
  }
  const ProgressReport a = ReportOf(whole), b = ReportOf(parts);
  EXPECT_EQ(a.calibration_accuracy, b.calibration_accuracy);
  EXPECT_EQ(a.calibration_stopped_at_half, b.calibration_stopped_at_half);
  for (int e = 0; e < 2; ++e) EXPECT_NEAR(a.calibration_loss[e], b.calibration_loss[e], 1e-6);
}

TEST_F(EpochRecordTest, CountsWhoWouldStopAsTheExitCriterionDoes) {
  const at::Tensor scores = 2 * at::randn({200, 3});
  const at::Tensor labels = at::zeros({200}, at::kLong);
  v1::EpochRecord record = NewEpochRecord(plan_, 1);
  AddCalibrationBatch(plan_, {Exit(scores), Exit(scores)}, labels,
                      labels.unsqueeze(1).expand({200, 3}), &record);
  int stops = 0;
  for (int i = 0; i < 200; ++i) {
    stops += Exits(NormalizedEntropy({scores[i].data_ptr<float>(), 3}), 0.5f);
  }
  ASSERT_GT(stops, 0);
  ASSERT_LT(stops, 200);
  const ProgressReport report = ReportOf(record);
  EXPECT_DOUBLE_EQ(report.calibration_stopped_at_half[0], stops / 200.0);
  EXPECT_DOUBLE_EQ(report.calibration_stopped_at_half[1], 1 - stops / 200.0);
}

TEST_F(EpochRecordTest, LeavesOutSamplesThatNobodySees) {
  ExitBatch exit = Exit(at::tensor({9.f, 0.f, 0.f, 0.f, 0.f, 9.f}).reshape({2, 3}));
  exit.mask = at::tensor({1.f, 0.f});
  const at::Tensor labels = at::zeros({2}, at::kLong);
  v1::EpochRecord record = NewEpochRecord(plan_, 1);
  AddCalibrationBatch(plan_, {exit, exit}, labels, labels.unsqueeze(1).expand({2, 3}), &record);
  AddTrainingBatch(LossOfBatch(plan_, {exit, exit}, labels, labels.unsqueeze(1).expand({2, 3})), 2,
                   &record);
  const ProgressReport report = ReportOf(record);
  EXPECT_EQ(record.calibration_samples(), 1);
  EXPECT_EQ(report.exit_accuracy, (std::vector<double>{1, 1}));
  EXPECT_EQ(report.calibration_accuracy, (std::vector<double>{1, 1}));
  EXPECT_EQ(report.calibration_stopped_at_half, (std::vector<double>{1, 0}));
}

TEST_F(EpochRecordTest, JointLossIsMadeOfTheExitsLosses) {
  const at::Tensor labels = at::tensor({0, 1, 2, 3}, at::kLong);  // the last one counts nowhere
  const std::vector<ExitBatch> exits = {Exit(at::randn({4, 3})), Exit(at::randn({4, 3}))};
  std::vector<at::Tensor> losses;
  const at::Tensor joint =
      JointLoss(plan_, exits, labels, labels.unsqueeze(1).expand({4, 3}), &losses);
  ASSERT_EQ(losses.size(), 2u);
  EXPECT_NEAR(joint.item<double>(), (losses[0] + losses[1]).item<double>(), 1e-6);
  const at::Tensor log = exits[0].scores.log_softmax(1);
  EXPECT_NEAR(losses[0].item<double>(), -(log[0][0] + log[1][1] + log[2][2]).item<double>() / 3,
              1e-6);
}

TEST_F(EpochRecordTest, TrainingKeepsItsHistory) {
  const ToyDataset dataset(plan_);
  const auto train = LoadSplit(dataset, Split::kTrain, 1);
  const auto calibration = LoadSplit(dataset, Split::kCalibration, 1);
  TrainOptions options;
  options.epochs = 3;
  options.batch = 20;
  options.threads = 1;
  options.learning_rate = 0.01f;
  Progress progress(nullptr, false);
  const auto trained = TrainNetwork(plan_, *train, *calibration, options, &progress);
  ASSERT_TRUE(trained.ok()) << trained.status();
  ASSERT_EQ(trained->history.epoch_size(), 3);
  for (int i = 0; i < 3; ++i) {
    const v1::EpochRecord& epoch = trained->history.epoch(i);
    EXPECT_EQ(epoch.epoch(), i + 1);
    EXPECT_EQ(epoch.steps(), 5);  // 96 samples by 20
    EXPECT_EQ(epoch.samples(), 96);
    EXPECT_EQ(epoch.calibration_samples(), 40);
    EXPECT_EQ(epoch.exit_size(), 2);
    EXPECT_GT(epoch.flipped(), 0);
    if (i + 1 >= trained->best_epoch) {
      EXPECT_EQ(epoch.best(), i + 1 == trained->best_epoch);
    }
  }
  EXPECT_GT(trained->history.epoch(0).learning_rate(), trained->history.epoch(2).learning_rate());
  EXPECT_GT(ReportOf(trained->history.epoch(0)).loss, ReportOf(trained->history.epoch(2)).loss);
}

}  // namespace
}  // namespace ddnn::train

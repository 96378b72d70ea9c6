#include "train/evaluate.h"

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_replace.h"
#include "runtime/core/exit_criterion.h"
#include "runtime/torch/torch_engine.h"
#include "tests/train/toy_dataset.h"

namespace ddnn::train {
namespace {

class EvaluateTest : public ::testing::Test {
 protected:
  EvaluateTest() : plan_(PlanOf(TinySpec())), dataset_(plan_), random_(11) {
    samples_ = *LoadSplit(dataset_, Split::kTest, 2);
    bundle_ = std::make_unique<Bundle>(RandomBundle(plan_, 0.9f, &random_));
  }

  v1::RunSummary Run(std::vector<ExitThreshold> thresholds, EvaluateOptions options = {}) {
    auto summary = Evaluate(*bundle_, CreateTorchEngine, samples_, "toy", thresholds, options);
    EXPECT_TRUE(summary.ok()) << summary.status();
    return summary.ok() ? *summary : v1::RunSummary();
  }

  NetworkPlan plan_;
  ToyDataset dataset_;
  Random random_;
  SampleStore samples_;
  std::unique_ptr<Bundle> bundle_;
};

TEST_F(EvaluateTest, DecidesAsTheTreeDoes) {
  auto network = WholeNetwork::Create(*bundle_, CreateTorchEngine);
  ASSERT_TRUE(network.ok()) << network.status();
  for (float threshold : {0.0f, 0.5f, 0.8f, 0.9f, 0.97f, 1.0f}) {
    const std::vector<ExitThreshold> thresholds = {threshold, 0.5f};
    int right = 0, local = 0, local_right = 0;
    double bytes = 0;
    for (int64_t i = 0; i < samples_.size(); ++i) {
      const WholeInput input = samples_.Input(i, samples_.presence[i]);
      const auto output = (*network)->Run({&input, 1});
      ASSERT_TRUE(output.ok()) << output.status();
      const Answer answer = Decide(plan_, thresholds, (*output)[0], input.presence);
      right += answer.class_index == samples_.labels[i];
      local += answer.exit == 0;
      local_right += answer.exit == 0 && answer.class_index == samples_.labels[i];
      bytes += DevicePayloadBytes(plan_, answer.exit);
    }
    const v1::RunSummary summary = Run(thresholds);
    const double n = static_cast<double>(samples_.size());
    EXPECT_NEAR(summary.accuracy().at("overall"), right / n, 1e-9);
    EXPECT_NEAR(summary.accuracy().at("local"), local > 0 ? double(local_right) / local : 0, 1e-9);
    EXPECT_NEAR(summary.exit_fraction().at("local"), local / n, 1e-9);
    EXPECT_NEAR(summary.exit_fraction().at("cloud"), 1 - local / n, 1e-9);
    EXPECT_NEAR(summary.payload_bytes_per_view_sample(), bytes / n, 1e-9);
  }
}

TEST_F(EvaluateTest, TellsWhatEachExitWouldBeIfAllStoppedThere) {
  const v1::RunSummary all = Run({1, 1}), none = Run({0, 1});
  EXPECT_EQ(all.accuracy_if_all_stop().at("local"), all.accuracy().at("overall"));
  EXPECT_EQ(none.accuracy_if_all_stop().at("cloud"), none.accuracy().at("overall"));
  EXPECT_EQ(all.accuracy_if_all_stop().at("cloud"), none.accuracy_if_all_stop().at("cloud"));
  EXPECT_EQ(all.accuracy().at("cloud"), 0);
  EXPECT_EQ(all.samples(), 40u);
  EXPECT_EQ(all.raw_bytes_per_view_sample(), 64);
}

TEST_F(EvaluateTest, LosingAViewIsTheSameAsMissingIt) {
  const v1::RunSummary whole = Run({0.9f, 1});
  ASSERT_EQ(whole.missing_view_accuracy_size(), 3);
  for (int v = 0; v < 3; ++v) {
    EvaluateOptions options;
    options.missing = uint64_t{1} << v;
    options.each_missing = false;
    const v1::RunSummary without = Run({0.9f, 1}, options);
    EXPECT_EQ(without.accuracy().at("overall"), whole.missing_view_accuracy(v));
    EXPECT_EQ(without.single_view_accuracy(v), 0);
    EXPECT_EQ(without.missing_view_accuracy_size(), 0);
  }
}

TEST_F(EvaluateTest, DoesNotLoseTheOnlyView) {
  plan_ = PlanOf(absl::StrReplaceAll(TinySpec(), {{"views: 3", "views: 1"}, {"scores: MP", ""}}));
  samples_ = *LoadSplit(ToyDataset(plan_), Split::kTest, 1);
  *bundle_ = RandomBundle(plan_, 0.9f, &random_);
  const v1::RunSummary summary = Run({0.9f, 1});
  EXPECT_EQ(summary.single_view_accuracy_size(), 1);
  EXPECT_EQ(summary.missing_view_accuracy_size(), 0);
}

TEST_F(EvaluateTest, LeavesOutSamplesOfWhichNoViewIsLeft) {
  int left = 0;
  for (uint64_t presence : samples_.presence) left += (presence & 1) != 0;
  ASSERT_LT(left, samples_.size());
  EvaluateOptions options;
  options.missing = 6;
  options.each_missing = false;
  EXPECT_EQ(Run({0.9f, 1}, options).samples(), static_cast<uint32_t>(left));
}

TEST_F(EvaluateTest, SingleViewsCountOnlyWhatTheySee) {
  // View 2 sees nothing: it has no accuracy, and the others do not change.
  const v1::RunSummary before = Run({0.9f, 1});
  for (int64_t i = 0; i < samples_.size(); ++i) samples_.view_labels[3 * i + 2] = 3;
  const v1::RunSummary after = Run({0.9f, 1});
  EXPECT_EQ(after.single_view_accuracy(0), before.single_view_accuracy(0));
  EXPECT_EQ(after.single_view_accuracy(2), 0);
}

TEST_F(EvaluateTest, SweepRunsFromNobodyToEverybody) {
  const v1::RunSummary summary = Run({0.9f, 1});
  ASSERT_EQ(summary.sweep_size(), 11);
  EXPECT_EQ(summary.sweep(10).exit_fraction(), 1);
  EXPECT_EQ(summary.sweep(10).payload_bytes_per_view_sample(), DevicePayloadBytes(plan_, 0));
  for (int i = 1; i < 11; ++i) {
    EXPECT_GE(summary.sweep(i).exit_fraction(), summary.sweep(i - 1).exit_fraction());
  }
}

TEST_F(EvaluateTest, JsonKeepsNamesZerosAndValues) {
  const v1::RunSummary summary = Run({0.9f, 1});
  const auto json = ToJson(summary);
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_NE(json->find("\"payload_bytes_per_view_sample\""), std::string::npos);
  EXPECT_NE(json->find("\"shed\": 0"), std::string::npos);
  v1::RunSummary back;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(*json, &back).ok());
  EXPECT_EQ(back.accuracy().at("overall"), summary.accuracy().at("overall"));
  EXPECT_EQ(back.sweep_size(), summary.sweep_size());
}

TEST_F(EvaluateTest, StopsWhenTold) {
  const std::atomic<bool> stop{true};
  EvaluateOptions options;
  options.stop = &stop;
  const auto summary =
      Evaluate(*bundle_, CreateTorchEngine, samples_, "toy", {{0.9f, 1.0f}}, options);
  EXPECT_TRUE(absl::IsCancelled(summary.status()));
}

class BrokenDataset : public ToyDataset {
 public:
  BrokenDataset(const NetworkPlan& plan, void (*breaks)(DatasetSample*))
      : ToyDataset(plan), breaks_(breaks) {}
  absl::Status Read(Split split, int64_t index, DatasetSample* sample) const override {
    const absl::Status status = ToyDataset::Read(split, index, sample);
    if (index == 7) breaks_(sample);
    return status;
  }

 private:
  void (*breaks_)(DatasetSample*);
};

TEST(LoadSamples, RefusesSamplesThatBreakTheirOwnDescription) {
  const NetworkPlan plan = PlanOf(TinySpec());
  const auto refusal = [&](void (*breaks)(DatasetSample*)) {
    const auto store = LoadSplit(BrokenDataset(plan, breaks), Split::kTrain, 3);
    EXPECT_TRUE(absl::IsInvalidArgument(store.status()));
    return std::string(store.status().message());
  };
  EXPECT_EQ(refusal([](DatasetSample* s) { s->label = 3; }), "toy, sample 7: label 3 of 3 classes");
  EXPECT_EQ(refusal([](DatasetSample* s) { s->view_labels[1] = 4; }),
            "toy, sample 7: view label 4 of 3 classes");
  EXPECT_EQ(refusal([](DatasetSample* s) { s->pixels.pop_back(); }),
            "toy, sample 7: 191 bytes of pixels, expected 192");
  EXPECT_EQ(refusal([](DatasetSample* s) { s->presence = 8; }),
            "toy, sample 7: presence mask 8 for 3 views");
}

TEST(LoadSamples, IsTheSameWithAnyNumberOfThreads) {
  const NetworkPlan plan = PlanOf(TinySpec());
  const ToyDataset dataset(plan);
  const auto one = LoadSplit(dataset, Split::kTrain, 1),
             five = LoadSplit(dataset, Split::kTrain, 5);
  ASSERT_TRUE(one.ok() && five.ok());
  EXPECT_EQ(one->pixels, five->pixels);
  EXPECT_EQ(one->labels, five->labels);
  EXPECT_EQ(one->view_labels, five->view_labels);
  EXPECT_EQ(one->presence, five->presence);
}

TEST(NotShown, NamesTheViewsAndClassesThatNoSampleHas) {
  const NetworkPlan plan = PlanOf(TinySpec());
  auto store = LoadSplit(ToyDataset(plan), Split::kTrain, 1);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_TRUE(NotShown(plan, *store).empty());
  for (uint64_t& present : store->presence) present = 2;
  for (int& label : store->labels) label = std::min(label, 1);
  const std::vector<std::string> lines = {"no sample has view 0, 2", "no sample is of class c"};
  EXPECT_EQ(NotShown(plan, *store), lines);
}

}  // namespace
}  // namespace ddnn::train

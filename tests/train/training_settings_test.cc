// Everything in training { ... } reaches the training.

#include "train/training_settings.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "runtime/core/bundle.h"
#include "tests/train/toy_dataset.h"
#include "train/train_bundle.h"
#include "train/trainer.h"

namespace ddnn::train {
namespace {

TEST(DecayOf, TakesBiasesNeverAndTheRestWhenAsked) {
  v1::WeightDecay decay;
  decay.set_rate(0.5f);
  EXPECT_EQ(DecayOf(decay, TensorRole::kWeight), 0.5);
  for (TensorRole role : {TensorRole::kBinaryWeight, TensorRole::kNorm, TensorRole::kBias}) {
    EXPECT_EQ(DecayOf(decay, role), 0);
  }
  decay.set_batch_norm(true);
  EXPECT_EQ(DecayOf(decay, TensorRole::kNorm), 0.5);
  EXPECT_EQ(DecayOf(decay, TensorRole::kBinaryWeight), 0);
  decay.set_binary(true);
  EXPECT_EQ(DecayOf(decay, TensorRole::kBinaryWeight), 0.5);
  EXPECT_EQ(DecayOf(decay, TensorRole::kBias), 0);
}

TEST(ClassWeightsOf, BalancesOrTakesWhatIsGiven) {
  v1::ClassWeights spec;
  const std::vector<int> labels = {0, 0, 0, 0, 0, 2, 0, 2};
  EXPECT_TRUE(ClassWeightsOf(spec, labels, 3).empty());
  spec.set_balanced(true);
  const std::vector<float> balanced = ClassWeightsOf(spec, labels, 3);
  EXPECT_FLOAT_EQ(balanced[0], 8.0f / (3 * 6));
  EXPECT_EQ(balanced[1], 0);
  EXPECT_FLOAT_EQ(balanced[2], 8.0f / (3 * 2));
  spec.Clear();
  for (float weight : {1.0f, 0.0f, 7.0f}) spec.add_weight(weight);
  EXPECT_EQ(ClassWeightsOf(spec, labels, 3), std::vector<float>({1, 0, 7}));
}

NetworkPlan PlanWith(const std::string& training) {
  return PlanOf(
      absl::StrReplaceAll(TinySpec("CC"), {{"training {", absl::StrCat("training { ", training)}}));
}

absl::StatusOr<Trained> Train(const NetworkPlan& plan) {
  ToyDataset::Options sizes;
  sizes.train = 64;
  const ToyDataset data(plan, sizes);
  TrainOptions options = DefaultOptions(plan);
  Progress silent(nullptr, false);
  return TrainNetwork(plan, *LoadSplit(data, Split::kTrain, 1),
                      *LoadSplit(data, Split::kCalibration, 1), options, &silent);
}

TEST(Training, TheExampleInTheDocumentationIsValid) {
  const std::string page = *ReadFile(SourcePath("docs/training.md"), 1 << 20);
  const size_t begin = page.find("\n    training {"), end = page.find("\n    }\n", begin);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const std::string network = TinySpec();
  const NetworkPlan plan =
      PlanOf(network.substr(0, network.find("training {")) + page.substr(begin, end + 6 - begin));
  EXPECT_TRUE(plan.spec().training().schedule().has_one_cycle());
  EXPECT_EQ(plan.spec().training().augmentation_size(), 2);
}

TEST(Training, EverySettingMakesAnotherNetwork) {
  std::set<std::string> results;
  const std::vector<std::string> settings = {
      "",
      "schedule { constant {} }",
      "schedule { step { epochs: 1 factor: 0.1 } }",
      "schedule { cosine { end: 0.5 } }",
      "schedule { one_cycle {} }",
      "weight_decay { rate: 1 }",
      "weight_decay { rate: 1 batch_norm: true }",
      "weight_decay { rate: 1 binary: true }",
      "class_weights { weight: 1 weight: 5 weight: 1 }",
      "augmentation { shift: 2 }",
      "augmentation { flip: 0.5 }",
      "augmentation { crop: 0.5 }",
      "augmentation { brightness: 0.5 }",
      "augmentation { view: 1 brightness: 0.5 }",
  };
  for (const std::string& setting : settings) {
    const auto trained = Train(PlanWith(setting));
    ASSERT_TRUE(trained.ok()) << setting << trained.status();
    std::string bytes;
    for (const v1::EpochRecord& epoch : trained->history.epoch()) {
      bytes += absl::StrCat(epoch.loss_sum(), " ");
    }
    for (const v1::Section& section : trained->sections) bytes += section.SerializeAsString();
    EXPECT_TRUE(results.insert(bytes).second) << setting;
  }
}

TEST(Training, TheDefaultScheduleIsTheCosineToZero) {
  const auto without = Train(PlanWith("")), with = Train(PlanWith("schedule { cosine {} }"));
  ASSERT_TRUE(without.ok() && with.ok());
  for (size_t i = 0; i < with->sections.size(); ++i) {
    EXPECT_EQ(without->sections[i].SerializeAsString(), with->sections[i].SerializeAsString());
  }
  const std::vector<double> rates = {0.01 * 0.5 * (1 + std::cos(3.14159265358979 * 3 / 12)),
                                     0.01 * 0.5 * (1 + std::cos(3.14159265358979 * 7 / 12)),
                                     0.01 * 0.5 * (1 + std::cos(3.14159265358979 * 11 / 12))};
  for (int e = 0; e < 3; ++e) {
    EXPECT_NEAR(without->history.epoch(e).learning_rate(), rates[e], 1e-7);
  }
}

TEST(Training, EndsWhenPatienceDoesAndKeepsTheBest) {
  const auto plan = PlanOf(absl::StrReplaceAll(
      TinySpec(), {{"epochs: 3", "epochs: 40 patience: 2 schedule { constant {} }"}}));
  const auto trained = Train(plan);
  ASSERT_TRUE(trained.ok()) << trained.status();
  EXPECT_LT(trained->epochs, 40);
  EXPECT_EQ(trained->epochs, trained->best_epoch + 2);
  EXPECT_EQ(trained->history.epoch_size(), trained->epochs);
}

}  // namespace
}  // namespace ddnn::train

// Starting from a bundle.

#include "train/fine_tune.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "absl/strings/str_replace.h"
#include "runtime/node/whole_network.h"
#include "runtime/torch/torch_engine.h"
#include "tests/train/toy_dataset.h"
#include "train/ddnn_module.h"
#include "train/epoch_record.h"
#include "train/train_bundle.h"

namespace ddnn::train {
namespace {

std::vector<WholeOutput> Outputs(const NetworkPlan& plan, const std::vector<v1::Section>& sections,
                                 const std::vector<WholeInput>& inputs) {
  Bundle bundle{{}, plan, "", std::vector<ExitThreshold>(plan.exits().size(), 0.0f), {}};
  for (const v1::Section& section : sections) {
    bundle.sections[{*plan.FindTier(section.tier()), section.node()}] = section;
  }
  auto network = WholeNetwork::Create(bundle, CreateTorchEngine);
  EXPECT_TRUE(network.ok()) << network.status();
  auto outputs = (*network)->Run(inputs);
  EXPECT_TRUE(outputs.ok()) << outputs.status();
  return *std::move(outputs);
}

std::vector<WholeInput> RandomInputs(const NetworkPlan& plan, Random* random) {
  std::vector<WholeInput> inputs(6);
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (int v = 0; v < plan.views(); ++v) {
      inputs[i].pixels += RandomPixels(plan, random);
      if (i == 0 || RandomInt(0, 2, random) > 0) inputs[i].presence |= uint64_t{1} << v;
    }
    if (inputs[i].presence == 0) inputs[i].presence = 1;
  }
  return inputs;
}

// Sections that anything could have written come back out of a module as they went in: binary
// weights bit for bit, and every threshold on the same side of every input.
class ImportTest : public ::testing::TestWithParam<int> {};

TEST_P(ImportTest, ComputesWhatTheSectionsCompute) {
  Random random(GetParam());
  RandomSpecOptions options;
  options.binary_only = GetParam() % 2 == 0;
  const auto plan = NetworkPlan::Create(RandomSpec(options, &random));
  ASSERT_TRUE(plan.ok()) << plan.status();
  const std::vector<v1::Section> sections = RandomSections(*plan, &random);
  DdnnModule module(*plan);
  const Shape shape = plan->view_shape();
  const at::Tensor pixels =
      at::randint(0, 256, {9, plan->views(), shape.channels, shape.height, shape.width}, at::kByte);
  at::Tensor presence = at::rand({9, plan->views()}) < 0.7;
  presence[0].fill_(true);
  module.Import(sections, pixels, presence);
  const std::vector<v1::Section> out = module.Export();
  ASSERT_EQ(out.size(), sections.size());
  for (size_t i = 0; i < out.size(); ++i) {
    ASSERT_TRUE(CheckSection(*plan, out[i]).ok());
    for (int l = 0; l < out[i].body_size(); ++l) {
      EXPECT_EQ(out[i].body(l).binary_conv().weights(),
                sections[i].body(l).binary_conv().weights());
    }
  }
  const std::vector<WholeInput> inputs = RandomInputs(*plan, &random);
  const auto before = Outputs(*plan, sections, inputs), after = Outputs(*plan, out, inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (size_t e = 0; e < before[i].exit_scores.size(); ++e) {
      const auto& a = before[i].exit_scores[e];
      const auto& b = after[i].exit_scores[e];
      ASSERT_EQ(a.size(), b.size());
      for (size_t c = 0; c < a.size(); ++c) {
        EXPECT_NEAR(a[c], b[c], options.binary_only ? 0 : 1e-3 * std::max(1.0f, std::abs(a[c])));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, ImportTest, ::testing::Range(1, 25));

class FineTuneTest : public ::testing::Test {
 protected:
  FineTuneTest() : plan_(PlanOf(TinySpec("CC"))) {
    std::string name = ::testing::TempDir() + "/ddnn_fine_tune.XXXXXX";
    folder_ = mkdtemp(&name[0]);
  }
  ~FineTuneTest() override { std::filesystem::remove_all(folder_); }

  // Remembers what the start was like.
  class Start : public Progress {
   public:
    Start() : Progress(nullptr, false) {}
    void OnEpoch(const ProgressReport& report, absl::Time) override {
      if (report.epoch == 0) accuracy = report.calibration_accuracy;
    }
    std::vector<double> accuracy;
  };
  // Stops behind so many steps.
  class Plug : public Start {
   public:
    Plug(std::atomic<bool>* stop, int64_t step) : stop_(stop), step_(step) {}
    void OnBatch(const ProgressReport& report, absl::Time) override {
      if (report.step == step_) *stop_ = true;
    }

   private:
    std::atomic<bool>* stop_;
    int64_t step_;
  };
  absl::StatusOr<BundleResult> Train(const NetworkPlan& plan, const std::string& name,
                                     const Bundle* init, Progress* progress) {
    ToyDataset::Options sizes;
    sizes.calibration = 200;
    TrainOptions options = DefaultOptions(plan);
    options.init = init;
    options.resume = resume_;
    options.stop = &stop_;
    return TrainBundle(plan, ToyDataset(plan, sizes), folder_ + "/" + name, options,
                       CreateTorchEngine, progress);
  }
  // Trains a first bundle.
  Bundle First(const std::string& name) {
    Start progress;
    EXPECT_TRUE(Train(plan_, name, nullptr, &progress).ok());
    EXPECT_TRUE(progress.accuracy.empty());
    absl::StatusOr<Bundle> bundle = LoadBundle(folder_ + "/" + name);
    EXPECT_TRUE(bundle.ok()) << bundle.status();
    return *std::move(bundle);
  }
  std::string Refusal(const Bundle& bundle, const std::string& from, const std::string& to) {
    const NetworkPlan other = PlanOf(absl::StrReplaceAll(TinySpec("CC"), {{from, to}}));
    Start progress;
    const absl::Status status = Train(other, "refused", &bundle, &progress).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/refused"));
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/refused.checkpoint"));
    return std::string(status.message());
  }

  NetworkPlan plan_;
  std::atomic<bool> stop_{false};
  bool resume_ = false;
  std::string folder_;
};

TEST_F(FineTuneTest, BeginsAsGoodAsTheBundleIs) {
  Start first, second;
  const auto trained = Train(plan_, "first", nullptr, &first);
  ASSERT_TRUE(trained.ok()) << trained.status();
  const Bundle bundle = *LoadBundle(folder_ + "/first");
  const NetworkPlan renamed = PlanOf(absl::StrReplaceAll(
      TinySpec("CC"), {{"\"tiny\"", "\"other\""}, {"\"a\"", "\"x\""}, {"0.01 ", "0.001 "}}));
  const auto tuned = Train(renamed, "second", &bundle, &second);
  ASSERT_TRUE(tuned.ok()) << tuned.status();

  const v1::EpochRecord& best = trained->trained.history.epoch(trained->trained.best_epoch - 1);
  ASSERT_EQ(second.accuracy.size(), 2u);
  EXPECT_EQ(second.accuracy, ReportOf(best).calibration_accuracy);
  const auto loaded = LoadBundle(folder_ + "/second");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->manifest.provenance().init(), bundle.sha256_hex());
  EXPECT_EQ(bundle.manifest.provenance().init(), "");
}

// Also when it is interrupted on the way, when only the checkpoint knows the start.
TEST_F(FineTuneTest, KeepsTheStartWhereNoEpochIsBetter) {
  const Bundle bundle = First("first");
  const NetworkPlan wild = PlanOf(absl::StrReplaceAll(
      TinySpec("CC"), {{"learning_rate: 0.01 ", "learning_rate: 1 patience: 2 "}}));
  Plug plug(&stop_, 3);
  ASSERT_TRUE(absl::IsCancelled(Train(wild, "second", &bundle, &plug).status()));
  stop_ = false;
  resume_ = true;
  Start silent;
  const auto tuned = Train(wild, "second", &bundle, &silent);
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  EXPECT_EQ(tuned->trained.best_epoch, 0);
  EXPECT_EQ(tuned->trained.epochs, 2);
  for (const v1::EpochRecord& epoch : tuned->trained.history.epoch()) EXPECT_FALSE(epoch.best());
  const auto loaded = LoadBundle(folder_ + "/second");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->manifest.provenance().best_epoch(), 0);
  for (const auto& [place, section] : bundle.sections) {
    EXPECT_TRUE(loaded->sections.at(place).SerializeAsString() == section.SerializeAsString());
  }
  const std::string page = *ReadFile(folder_ + "/second/report.html", 1 << 24);
  EXPECT_NE(page.find("no epoch of 2 was better than the bundle it started from"),
            std::string::npos);
  EXPECT_EQ(page.find("Epoch 0 "), std::string::npos);
}

TEST_F(FineTuneTest, RefusesAnotherNetworksBundleAndNamesWhatDiffers) {
  const Bundle bundle = First("first");
  const auto expect_words = [](const std::string& message, std::vector<std::string> words) {
    for (const std::string& word : words) {
      EXPECT_NE(message.find(word), std::string::npos) << message << "\nlacks " << word;
    }
  };
  expect_words(Refusal(bundle, "filters: 4", "filters: 2"),
               {"section device-0", "filters is 4", "expected 2"});
  expect_words(Refusal(bundle, "filters: 8", "filters: 16"),
               {"section cloud-0", "filters is 8", "expected 16"});
  expect_words(Refusal(bundle, "views: 3", "views: 2"), {"views: 3 -> 2"});
  expect_words(Refusal(bundle, "scale: 0.00390625", "scale: 1"), {"input.scale: 0.00390625 -> 1"});
  expect_words(Refusal(bundle, "scores: CC", "scores: AP"), {"exit.scores: CC -> AP"});
  Bundle part = bundle;
  part.sections.erase({0, 1});
  Start progress;
  expect_words(std::string(Train(plan_, "refused", &part, &progress).status().message()),
               {"section device-1 is not there"});
}

TEST_F(FineTuneTest, ResumesOnlyWithTheSameStart) {
  const Bundle bundle = First("first");
  Start silent;
  ASSERT_TRUE(Train(plan_, "whole", &bundle, &silent).ok());
  Plug plug(&stop_, 9);
  ASSERT_TRUE(absl::IsCancelled(Train(plan_, "part", &bundle, &plug).status()));
  stop_ = false;
  resume_ = true;
  const absl::Status other = Train(plan_, "part", nullptr, &silent).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(other)) << other;
  EXPECT_NE(other.message().find("init"), std::string::npos) << other;
  ASSERT_TRUE(Train(plan_, "part", &bundle, &silent).ok());
  EXPECT_EQ(LoadBundle(folder_ + "/part")->sha256, LoadBundle(folder_ + "/whole")->sha256);
  EXPECT_NE(LoadBundle(folder_ + "/part")->sha256, bundle.sha256);
}

}  // namespace
}  // namespace ddnn::train

// Training in several sittings is training in one.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "runtime/core/bundle.h"
#include "runtime/torch/torch_engine.h"
#include "tests/train/toy_dataset.h"
#include "train/checkpoint.h"
#include "train/train_bundle.h"

namespace ddnn::train {
namespace {

// Says stop when so many batches are done.
class Plug : public Progress {
 public:
  Plug(int batches, std::atomic<bool>* stop)
      : Progress(nullptr, false), left_(batches), stop_(stop) {}
  void OnBatch(const ProgressReport& report, absl::Time) override {
    const bool done = started_ && report.samples > 0;  // the first report says where it begins
    started_ = true;
    if (done && --left_ == 0) *stop_ = true;
  }

 private:
  bool started_ = false;
  int left_;
  std::atomic<bool>* stop_;
};

// Binary and float layers, dropout, hidden views.
std::string Spec() {
  return absl::StrReplaceAll(
      TinySpec("CC"),
      {{"layer { flatten {} } layer { linear",
        "layer { flatten {} } layer { dropout { probability: 0.3 } } layer { linear"}});
}

class ResumeTest : public ::testing::Test {
 protected:
  ResumeTest() : plan_(PlanOf(Spec())), dataset_(plan_) {
    std::string name = ::testing::TempDir() + "/ddnn_resume.XXXXXX";
    folder_ = mkdtemp(&name[0]);
    options_ = DefaultOptions(plan_);
    options_.stop = &stop_;
  }
  ~ResumeTest() override { std::filesystem::remove_all(folder_); }

  // One sitting of at most so many batches.
  absl::Status Train(const std::string& name, int batches = 1 << 30) {
    stop_ = false;
    Plug plug(batches, &stop_);
    return TrainBundle(plan_, dataset_, folder_ + "/" + name, options_, CreateTorchEngine, &plug)
        .status();
  }
  std::map<std::string, std::string> Files(const std::string& name) const {
    return FileHashes(folder_ + "/" + name);
  }
  bool Exists(const std::string& name) const {
    return std::filesystem::exists(folder_ + "/" + name);
  }

  NetworkPlan plan_;
  ToyDataset dataset_;
  TrainOptions options_;
  std::atomic<bool> stop_{false};
  std::string folder_;
};

TEST_F(ResumeTest, AnyNumberOfSittingsGivesTheSameBundleBitForBit) {
  ASSERT_TRUE(Train("whole").ok());
  for (const int batches : {1, 4, 6, 7}) {  // six batches are an epoch
    const std::string name = absl::StrCat("by", batches);
    options_.resume = false;
    absl::Status status = Train(name, batches);
    options_.resume = true;
    int sittings = 1;
    for (; absl::IsCancelled(status) && sittings < 30; ++sittings) {
      EXPECT_FALSE(Exists(name));
      EXPECT_TRUE(Exists(name + ".checkpoint"));
      status = Train(name, batches);
    }
    ASSERT_TRUE(status.ok()) << status;
    // Stopped with the last batch, it still has to be calibrated.
    EXPECT_EQ(sittings, (18 + batches) / batches);
    EXPECT_EQ(Files(name), Files("whole"));
    EXPECT_FALSE(Exists(name + ".checkpoint"));
  }
}

// Patience counts over sittings; schedule, augmentation and the rest go on where they were.
TEST_F(ResumeTest, EverySettingGoesOnBitForBit) {
  plan_ = PlanOf(absl::StrReplaceAll(Spec(), {{"epochs: 3", R"(
        epochs: 30 patience: 3
        schedule { one_cycle { warm_up: 0.2 end: 0.01 } }
        weight_decay { rate: 0.05 batch_norm: true binary: true }
        class_weights { balanced: true }
        augmentation { view: 0 view: 2 shift: 1 crop: 0.1 brightness: 0.2 }
        augmentation { view: 1 flip: 0.5 })"}}));
  options_ = DefaultOptions(plan_);
  options_.stop = &stop_;
  ASSERT_TRUE(Train("whole").ok());
  const v1::Provenance whole = LoadBundle(folder_ + "/whole")->manifest.provenance();
  EXPECT_LT(whole.epochs(), 30);
  EXPECT_EQ(whole.epochs(), whole.best_epoch() + 3);
  for (const int batches : {5, 12}) {
    const std::string name = absl::StrCat("by", batches);
    options_.resume = false;
    absl::Status status = Train(name, batches);
    options_.resume = true;
    for (int i = 0; absl::IsCancelled(status) && i < 60; ++i) status = Train(name, batches);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(Files(name), Files("whole"));
  }
}

TEST_F(ResumeTest, AsksBeforeItGoesOnOrStartsAgain) {
  options_.resume = true;
  EXPECT_TRUE(absl::IsNotFound(Train("out")));
  options_.resume = false;
  ASSERT_TRUE(absl::IsCancelled(Train("out", 8)));
  const absl::Status status = Train("out");
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_NE(status.message().find("--resume"), std::string::npos) << status;
  EXPECT_NE(status.message().find("--restart"), std::string::npos) << status;
  options_.restart = true;
  EXPECT_TRUE(Train("out").ok());
  EXPECT_FALSE(Exists("out.checkpoint"));
}

TEST_F(ResumeTest, RefusesAnotherRunsCheckpoint) {
  ASSERT_TRUE(absl::IsCancelled(Train("out", 8)));
  options_.resume = true;
  const TrainOptions same = options_;
  options_.seed = 2;
  options_.threads = 1;
  absl::Status status = Train("out");
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("seed: 1 -> 2"), std::string::npos) << status;
  EXPECT_NE(status.message().find("threads: 2 -> 1"), std::string::npos) << status;
  options_ = same;
  ToyDataset::Options other;
  other.seed = 2;
  dataset_ = ToyDataset(plan_, other);
  status = Train("out");
  EXPECT_NE(status.message().find("data_fingerprint"), std::string::npos) << status;
  dataset_ = ToyDataset(plan_);
  EXPECT_TRUE(Train("out").ok());
}

TEST_F(ResumeTest, RefusesACheckpointThatCannotBeOfItsRun) {
  ASSERT_TRUE(absl::IsCancelled(Train("out", 8)));
  options_.resume = true;
  const std::string path = folder_ + "/out.checkpoint";
  const v1::Checkpoint good = *LoadCheckpoint(path, 1 << 20);
  const std::vector<std::pair<std::string, void (*)(v1::Checkpoint*)>> wrongs = {
      {"epoch is 5", [](v1::Checkpoint* c) { c->mutable_now()->set_epoch(5); }},
      {"steps: found -1, expected 8", [](v1::Checkpoint* c) { c->set_steps(-1); }},
      {"samples is 33", [](v1::Checkpoint* c) { c->mutable_now()->set_samples(33); }},
      {"samples is -16", [](v1::Checkpoint* c) { c->mutable_now()->set_samples(-16); }},
      {"best_epoch is 2", [](v1::Checkpoint* c) { c->set_best_epoch(2); }},
      {"exit: found 3", [](v1::Checkpoint* c) { c->mutable_now()->add_exit(); }},
      {"exit: found 0",
       [](v1::Checkpoint* c) { c->mutable_history()->mutable_epoch(0)->clear_exit(); }},
      {"epoch: found 0", [](v1::Checkpoint* c) { c->clear_history(); }},
      {"best_section: found 3", [](v1::Checkpoint* c) { c->mutable_best_section()->RemoveLast(); }},
      {"best_section: cloud", [](v1::Checkpoint* c) { c->mutable_best_section(3)->clear_body(); }},
      {"tensor: found", [](v1::Checkpoint* c) { c->add_tensor("1234"); }},
      {"device-0.body.0.weight has 4", [](v1::Checkpoint* c) { c->set_tensor(0, "1234"); }},
      {"moment 1 has 0", [](v1::Checkpoint* c) { c->set_moment(1, ""); }},
  };
  for (const auto& [words, spoil] : wrongs) {
    v1::Checkpoint wrong = good;
    spoil(&wrong);
    ASSERT_TRUE(SaveCheckpoint(path, wrong).ok());
    const absl::Status status = Train("out");
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_NE(status.message().find(words), std::string::npos) << status;
  }
  EXPECT_FALSE(Exists("out"));
}

}  // namespace
}  // namespace ddnn::train

#include "train/train_bundle.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <stdlib.h>

#include <filesystem>
#include <map>

#include "absl/strings/str_cat.h"
#include "runtime/core/bundle.h"
#include "runtime/torch/torch_engine.h"
#include "tests/train/toy_dataset.h"
#include "tests/train/well_formed.h"
#include "train/evaluate.h"
#include "train/html_text.h"
#include "train/measured_bundle.h"

namespace ddnn::train {
namespace {

class TrainBundleTest : public ::testing::Test {
 protected:
  TrainBundleTest() : plan_(PlanOf(TinySpec())), dataset_(plan_) {
    std::string name = ::testing::TempDir() + "/ddnn_train.XXXXXX";
    folder_ = mkdtemp(&name[0]);
    options_ = DefaultOptions(plan_);
  }
  ~TrainBundleTest() override { std::filesystem::remove_all(folder_); }

  absl::StatusOr<BundleResult> Train(const std::string& name) {
    Progress progress(nullptr, false);
    return TrainBundle(plan_, dataset_, folder_ + "/" + name, options_, CreateTorchEngine,
                       &progress);
  }
  std::map<std::string, std::string> Files(const std::string& name) const {
    return FileHashes(folder_ + "/" + name);
  }
  std::vector<std::string> Left() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  NetworkPlan plan_;
  ToyDataset dataset_;
  TrainOptions options_;
  std::string folder_;
};

TEST_F(TrainBundleTest, WritesABundleThatLoadsAndIsAsGoodAsReported) {
  options_.epochs = 8;
  ToyDataset::Options data;
  data.test = 300;
  dataset_ = ToyDataset(plan_, data);
  const auto result = Train("out");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Left(), std::vector<std::string>{"out"});
  EXPECT_GT(result->summary.accuracy().at("overall"), 0.9);
  EXPECT_EQ(result->trained.epochs, 8);

  const auto bundle = LoadBundle(folder_ + "/out");
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  EXPECT_EQ(bundle->sha256_hex(), result->summary.bundle_sha256());
  EXPECT_EQ(bundle->manifest.provenance().data(), "toy");
  EXPECT_EQ(bundle->manifest.provenance().best_epoch(), result->trained.best_epoch);
  const auto test = LoadSplit(dataset_, Split::kTest, 1);
  EvaluateOptions three;
  three.threads = 3;  // how many look must not change what is seen
  const auto again = Evaluate(*bundle, CreateTorchEngine, *test, "toy", bundle->thresholds, three);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(ToHex(Sha256(*ToJson(*again))), Files("out").at("report.json"));
}

TEST_F(TrainBundleTest, WritesAPageOfTheFiguresInItsReport) {
  ASSERT_TRUE(Train("out").ok());
  v1::RunSummary report;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(
                  *ReadFile(folder_ + "/out/report.json", 1 << 20), &report)
                  .ok());
  const std::string page = *ReadFile(folder_ + "/out/report.html", 1 << 24);
  EXPECT_EQ(WrongWith(page), "");
  std::vector<double> figures = {report.accuracy().at("overall"),
                                 report.accuracy_if_all_stop().at("local"),
                                 report.accuracy_if_all_stop().at("cloud")};
  for (const double alone : report.single_view_accuracy()) figures.push_back(alone);
  for (const double without : report.missing_view_accuracy()) figures.push_back(without);
  ASSERT_EQ(figures.size(), 9u);
  for (const double figure : figures) {
    EXPECT_NE(page.find("<td>" + PercentText(figure) + "</td>"), std::string::npos) << figure;
  }
  EXPECT_NE(page.find(NumberText(report.payload_bytes_per_view_sample()) + " bytes"),
            std::string::npos);
  EXPECT_NE(page.find(report.bundle_sha256()), std::string::npos);
  // Samples at the sweep's thresholds are points of the curve.
  for (const v1::SweepPoint& point : report.sweep()) {
    EXPECT_NE(page.find(absl::StrCat("bytes per view and sample ",
                                     NumberText(point.payload_bytes_per_view_sample()),
                                     ", accuracy ", PercentText(point.overall_accuracy()))),
              std::string::npos);
  }
  const auto history = ReadHistory(folder_ + "/out");
  ASSERT_TRUE(history.ok()) << history.status();
  EXPECT_EQ(history->epoch_size(), options_.epochs);
  // The bundle is the same one without its reports.
  const auto bundle = LoadBundle(folder_ + "/out");
  for (const char* name : {"report.html", "history.json", "report.json"}) {
    ASSERT_TRUE(std::filesystem::remove(folder_ + "/out/" + name)) << name;
  }
  const auto without = LoadBundle(folder_ + "/out");
  ASSERT_TRUE(without.ok()) << without.status();
  EXPECT_EQ(without->sha256, bundle->sha256);
}

TEST_F(TrainBundleTest, SameSeedAndThreadsGiveTheSameBundleBitForBit) {
  ASSERT_TRUE(Train("a").ok());
  ASSERT_TRUE(Train("b").ok());
  EXPECT_EQ(Files("a"), Files("b"));
  options_.seed = 2;
  ASSERT_TRUE(Train("c").ok());
  EXPECT_NE(Files("a"), Files("c"));
}

TEST_F(TrainBundleTest, TrainsOnNoMoreSamplesThanAsked) {
  options_.samples_per_epoch = 16;
  options_.batch = 5;
  const auto result = Train("out");
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->trained.history.epoch_size(), options_.epochs);
  for (const v1::EpochRecord& epoch : result->trained.history.epoch()) {
    EXPECT_EQ(epoch.samples(), 16);
    EXPECT_EQ(epoch.steps(), 4);
  }
}

TEST_F(TrainBundleTest, RefusesDataThatDoesNotFitAndWritesNothing) {
  dataset_.mutable_info()->views = 6;
  const auto result = Train("out");
  EXPECT_TRUE(absl::IsInvalidArgument(result.status())) << result.status();
  EXPECT_TRUE(Left().empty());
}

// Has no view 1.
class HalfBlind : public ToyDataset {
 public:
  using ToyDataset::ToyDataset;
  absl::Status Read(Split split, int64_t index, DatasetSample* sample) const override {
    absl::Status status = ToyDataset::Read(split, index, sample);
    sample->presence = (sample->presence | 1) & ~uint64_t{2};
    return status;
  }
};

class Notes : public Progress {
 public:
  Notes() : Progress(nullptr, false) {}
  void OnNote(const std::string& text) override { notes.push_back(text); }
  std::vector<std::string> notes;
};

TEST_F(TrainBundleTest, SaysBeforehandWhatTheDataDoesNotShow) {
  options_.epochs = 1;
  Notes all;
  ASSERT_TRUE(TrainBundle(plan_, dataset_, folder_ + "/a", options_, CreateTorchEngine, &all).ok());
  EXPECT_THAT(all.notes, testing::IsEmpty());
  Notes half;
  const HalfBlind data(plan_);
  ASSERT_TRUE(TrainBundle(plan_, data, folder_ + "/b", options_, CreateTorchEngine, &half).ok());
  EXPECT_THAT(half.notes,
              testing::ElementsAre("toy: in what it is trained on, no sample has view 1"));
}

TEST_F(TrainBundleTest, RefusesAnEmptySplit) {
  ToyDataset::Options options;
  options.calibration = 0;
  Progress progress(nullptr, false);
  const auto result = TrainBundle(plan_, ToyDataset(plan_, options), folder_ + "/out", options_,
                                  CreateTorchEngine, &progress);
  EXPECT_EQ(result.status().message(),
            "toy: the calibration split is empty; train, calibration and test are needed");
  EXPECT_TRUE(Left().empty());
}

TEST_F(TrainBundleTest, StoppedBeforeTheFirstEpochItLeavesWhatWasThere) {
  ASSERT_TRUE(Train("out").ok());
  const auto before = Files("out");
  const std::atomic<bool> stop{true};
  options_.stop = &stop;
  options_.seed = 9;
  EXPECT_TRUE(absl::IsCancelled(Train("out").status()));
  EXPECT_EQ(Files("out"), before);
  EXPECT_EQ(Left(), std::vector<std::string>{"out"});
}

TEST_F(TrainBundleTest, RemovesWhatAKilledRunLeftBesideIt) {
  const std::string gone = "2000000000", alive = std::to_string(getppid());
  const std::vector<std::string> leftovers = {"out.check." + gone, "out.tmp-" + gone,
                                              "out.check." + gone + ".tmp-" + gone};
  std::vector<std::string> others = {"out.check." + alive, "out.tmp-" + alive, "out.check.notes",
                                     "out.check." + gone + "-notes", "other.tmp-" + gone};
  for (const std::vector<std::string>& names : {leftovers, others}) {
    for (const std::string& name : names) {
      std::filesystem::create_directories(folder_ + "/" + name);
    }
  }
  ASSERT_TRUE(Train("out").ok());
  others.push_back("out");
  EXPECT_THAT(Left(), ::testing::UnorderedElementsAreArray(others));
}

TEST_F(TrainBundleTest, SaysThatThereIsNoGpu) {
  if (CudaAvailable()) return;
  options_.cuda = true;
  const auto result = Train("out");
  EXPECT_TRUE(absl::IsFailedPrecondition(result.status())) << result.status();
}

TEST_F(TrainBundleTest, SaysThatTheLossIsNoNumber) {
  options_.learning_rate = 1e38f;
  const auto result = Train("out");
  EXPECT_FALSE(result.ok());
  EXPECT_TRUE(Left().empty());
}

}  // namespace
}  // namespace ddnn::train

#include "train/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>
#include <utility>

#include "runtime/core/exit_criterion.h"
#include "runtime/torch/torch_engine.h"
#include "tests/train/three_exits.h"
#include "train/measured_bundle.h"
#include "train/thresholds.h"

namespace ddnn::train {
namespace {

using ::testing::HasSubstr;

CalibrateOptions Within(Quantity quantity, double limit, double confidence = 0.95) {
  CalibrateOptions options;
  options.constraint = {quantity, limit};
  options.confidence = confidence;
  return options;
}

// Drawn with replacement: what holds in expectation is what holds on the population.
ExitRecords Draw(const ExitRecords& population, int64_t samples, Random* random) {
  ExitRecords drawn;
  drawn.samples = samples;
  drawn.entropy.resize(population.entropy.size());
  drawn.right.resize(population.right.size());
  for (int64_t n = 0; n < samples; ++n) {
    const int64_t i = RandomInt(0, static_cast<int>(population.samples) - 1, random);
    for (size_t e = 0; e < drawn.entropy.size(); ++e) {
      drawn.entropy[e].push_back(population.entropy[e][i]);
      drawn.right[e].push_back(population.right[e][i]);
    }
  }
  return drawn;
}

double TrueValue(const NetworkPlan& plan, const ExitRecords& population, Quantity quantity,
                 const std::vector<ExitThreshold>& thresholds) {
  const Operation operation = Operate(plan, population, thresholds);
  switch (quantity) {
    case Quantity::kAccuracyDrop:
      return ExitAccuracy(population, static_cast<int>(plan.exits().size()) - 1) -
             operation.accuracy;
    case Quantity::kBytes:
      return operation.payload_bytes;
    case Quantity::kEscalation:
      return 1 - operation.exit_fraction[0];
  }
  return 0;
}

// 500 calibration sets: at 90 % confidence 50 may miss; four standard deviations more are 77.
class BoundTest : public ::testing::TestWithParam<CalibrateOptions> {};

TEST_P(BoundTest, HoldsAsOftenAsItSays) {
  const NetworkPlan plan = ThreeExits();
  Random random(5);
  const ExitRecords population = RandomRecords(3, 20000, 1000, &random);
  CalibrateOptions options = GetParam();
  const Quantity quantity = options.constraint.quantity;
  int violated = 0, found = 0;
  for (int draw = 0; draw < 500; ++draw) {
    options.seed = draw;
    const ExitRecords sample = Draw(population, 400, &random);
    const auto calibrated = Calibrate(plan, sample, {}, options);
    if (!calibrated.ok()) continue;
    ++found;
    violated += TrueValue(plan, population, quantity, calibrated->thresholds) >
                options.constraint.limit + 1e-9;
  }
  EXPECT_LE(violated, 77);
  EXPECT_GT(found, 250);
}

INSTANTIATE_TEST_SUITE_P(Constraints, BoundTest,
                         ::testing::Values(Within(Quantity::kAccuracyDrop, 0.03, 0.9),
                                           Within(Quantity::kBytes, 15.5, 0.9),
                                           Within(Quantity::kEscalation, 0.4, 0.9)));

// Scores of three over-confident exits; without a view they are noisier, and no less confident.
void AddScored(float difficulty, int label, bool without, Random* random, ExitRecords* records) {
  records->label.push_back(label);
  records->missing.push_back(without ? 1 : 0);
  for (int e = 0; e < 3; ++e) {
    std::vector<float> scores(3);
    const float noise = without ? 1.6f : 1.0f;
    for (float& score : scores) score = RandomFloat(-noise, noise, random);
    scores[label] += (1 - difficulty) * (1 + 0.5f * static_cast<float>(e));
    for (float& score : scores) score *= 6;
    records->right[e].push_back(ArgMax(scores) == label);
    records->scores[e].insert(records->scores[e].end(), scores.begin(), scores.end());
  }
}

void MeasureScored(ExitRecords* records) {
  records->samples = static_cast<int64_t>(records->label.size());
  records->index.resize(records->samples);
  std::iota(records->index.begin(), records->index.end(), int64_t{0});
  for (std::vector<float>& entropy : records->entropy) entropy.resize(records->samples);
  Remeasure(std::vector<ExitThreshold>(3), records);
}

ExitRecords NothingScored() {
  ExitRecords records;
  records.scores.resize(3);
  records.entropy.resize(3);
  records.right.resize(3);
  return records;
}

// Temperatures and thresholds for missing views are chosen from the same samples: the bound is of
// what comes out, on samples of which a third lack a view.
TEST(Calibrate, HoldsAsOftenAsItSaysWithTemperaturesAndMissingViews) {
  const NetworkPlan plan = ThreeExits();
  Random random(15);
  const auto draw = [&](int64_t samples, ExitRecords* records, ExitRecords* hidden) {
    for (int64_t n = 0; n < samples; ++n) {
      const float difficulty = RandomFloat(0, 1, &random);
      const int label = RandomInt(0, 2, &random);
      AddScored(difficulty, label, RandomInt(0, 2, &random) == 0, &random, records);
      AddScored(difficulty, label, true, &random, hidden);
    }
    MeasureScored(records);
    MeasureScored(hidden);
  };
  ExitRecords population = NothingScored(), unused = NothingScored();
  draw(20000, &population, &unused);
  CalibrateOptions options = Within(Quantity::kAccuracyDrop, 0.04, 0.9);
  int violated = 0, found = 0, with_missing = 0;
  for (int round = 0; round < 200; ++round) {
    ExitRecords sample = NothingScored(), hidden = NothingScored();
    draw(400, &sample, &hidden);
    options.seed = round;
    const auto calibrated = Calibrate(plan, sample, {hidden}, options);
    if (!calibrated.ok()) continue;
    ++found;
    with_missing += !calibrated->thresholds[0].missing.empty();
    EXPECT_GT(calibrated->thresholds[0].temperature, 1.5f);
    ExitRecords measured = population;
    Remeasure(calibrated->thresholds, &measured);
    violated += TrueValue(plan, measured, Quantity::kAccuracyDrop, calibrated->thresholds) >
                options.constraint.limit + 1e-9;
  }
  EXPECT_LE(violated, 37);  // 20 may; four standard deviations more
  EXPECT_GT(found, 100);
  EXPECT_GT(with_missing, found / 2);
}

TEST(Calibrate, UsesWhatTheConstraintAllows) {
  const NetworkPlan plan = ThreeExits();
  Random random(6);
  const ExitRecords records = RandomRecords(3, 6000, 1000, &random);
  const ExitRecords others = RandomRecords(3, 20000, 1000, &random);
  const auto half = Calibrate(plan, records, {}, Within(Quantity::kEscalation, 0.5));
  ASSERT_TRUE(half.ok()) << half.status();
  const double escalated = TrueValue(plan, others, Quantity::kEscalation, half->thresholds);
  EXPECT_LT(escalated, 0.5);
  EXPECT_GT(escalated, 0.42);
  EXPECT_EQ(half->search_samples + half->test_samples, 6000);
  EXPECT_NEAR(half->measured, escalated, 0.03);
  // More may be spent: fewer bytes, in the order of the limits.
  double bytes = 1e9;
  for (double drop : {0.01, 0.03, 0.08, 0.5}) {
    const auto calibrated = Calibrate(plan, records, {}, Within(Quantity::kAccuracyDrop, drop));
    ASSERT_TRUE(calibrated.ok()) << calibrated.status();
    const double now = TrueValue(plan, others, Quantity::kBytes, calibrated->thresholds);
    EXPECT_LE(now, bytes + 1e-9) << drop;
    bytes = now;
  }
  EXPECT_LT(bytes, DevicePayloadBytes(plan, 0) + 0.1);
}

TEST(Calibrate, DemandsMoreOfMoreConfidence) {
  const NetworkPlan plan = ThreeExits();
  Random random(7);
  const ExitRecords records = RandomRecords(3, 2000, 1000, &random);
  double before = 1;
  for (double confidence : {0.5, 0.9, 0.99, 0.9999}) {
    const auto calibrated =
        Calibrate(plan, records, {}, Within(Quantity::kEscalation, 0.5, confidence));
    ASSERT_TRUE(calibrated.ok()) << calibrated.status();
    const double now = TrueValue(plan, records, Quantity::kEscalation, calibrated->thresholds);
    EXPECT_LE(now, before + 1e-9) << confidence;
    before = now;
  }
}

TEST(Calibrate, SaysHowFarOffItIs) {
  const NetworkPlan plan = ThreeExits();
  Random random(8);
  const ExitRecords records = RandomRecords(3, 100, 1000, &random);
  const auto drop = Calibrate(plan, records, {}, Within(Quantity::kAccuracyDrop, 0.001));
  EXPECT_TRUE(absl::IsFailedPrecondition(drop.status()));
  EXPECT_THAT(std::string(drop.status().message()),
              HasSubstr("with 95 % confidence, 100 calibration samples show of no thresholds that "
                        "they lose at most 0.1 % accuracy against exit cloud; for the surest it "
                        "takes a limit of "));
  const auto bytes = Calibrate(plan, records, {}, Within(Quantity::kBytes, 5));
  EXPECT_THAT(std::string(bytes.status().message()), HasSubstr("always travel, are 12 bytes"));
  const auto exact = Calibrate(plan, records, {}, Within(Quantity::kBytes, 12));
  EXPECT_TRUE(absl::IsFailedPrecondition(exact.status())) << "nothing shows that none escalates";
}

TEST(Calibrate, TakesEverythingThatCannotBreakTheConstraint) {
  const NetworkPlan plan = ThreeExits();
  Random random(9);
  const ExitRecords records = RandomRecords(3, 50, 1000, &random);
  for (const CalibrateOptions& any :
       {Within(Quantity::kBytes, 1e9), Within(Quantity::kEscalation, 1)}) {
    const auto calibrated = Calibrate(plan, records, {}, any);
    ASSERT_TRUE(calibrated.ok()) << calibrated.status();
    EXPECT_EQ(calibrated->shown, calibrated->candidates);
  }
}

TEST(Calibrate, RefusesWhatMeansNothing) {
  const NetworkPlan plan = ThreeExits();
  Random random(10);
  const ExitRecords records = RandomRecords(3, 50, 1000, &random);
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for (double limit : {-0.1, 1.1, nan, infinity}) {
    EXPECT_TRUE(absl::IsInvalidArgument(
        Calibrate(plan, records, {}, Within(Quantity::kAccuracyDrop, limit)).status()));
    EXPECT_TRUE(absl::IsInvalidArgument(
        Calibrate(plan, records, {}, Within(Quantity::kEscalation, limit)).status()));
  }
  for (double limit : {-1.0, nan, infinity}) {
    EXPECT_TRUE(absl::IsInvalidArgument(
        Calibrate(plan, records, {}, Within(Quantity::kBytes, limit)).status()));
  }
  for (double confidence : {0.0, 1.0, -1.0, 2.0, nan}) {
    EXPECT_TRUE(absl::IsInvalidArgument(
        Calibrate(plan, records, {}, Within(Quantity::kEscalation, 0.5, confidence)).status()));
  }
  for (int64_t few : {0, 1}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(
        Calibrate(plan, RandomRecords(3, few, 10, &random), {}, Within(Quantity::kEscalation, 0.5))
            .status()));
  }
  // Two samples show nothing, and that is said rather than guessed.
  EXPECT_TRUE(absl::IsFailedPrecondition(
      Calibrate(plan, RandomRecords(3, 2, 10, &random), {}, Within(Quantity::kEscalation, 0.5))
          .status()));
}

TEST(Calibrate, IsTheSameForTheSameSeed) {
  const NetworkPlan plan = ThreeExits();
  Random random(11);
  const ExitRecords records = RandomRecords(3, 500, 1000, &random);
  CalibrateOptions options = Within(Quantity::kAccuracyDrop, 0.05);
  const auto once = Calibrate(plan, records, {}, options),
             again = Calibrate(plan, records, {}, options);
  ASSERT_TRUE(once.ok() && again.ok());
  EXPECT_EQ(once->thresholds, again->thresholds);
  EXPECT_EQ(once->measured, again->measured);
}

TEST(ParseFraction, ReadsSharesAndRefusesTheRest) {
  EXPECT_DOUBLE_EQ(*ParseFraction("1%"), 0.01);
  EXPECT_DOUBLE_EQ(*ParseFraction(" 2.5 % "), 0.025);
  EXPECT_DOUBLE_EQ(*ParseFraction("0.01"), 0.01);
  EXPECT_DOUBLE_EQ(*ParseFraction("100%"), 1);
  EXPECT_DOUBLE_EQ(*ParseFraction("0"), 0);
  for (const char* text : {"", "%", "1", "20", "-1%", "101%", "1%%", "nan", "nan%", "inf", "1e9%",
                           "one", "1 percent", "0.1x", "0,1"}) {
    const auto fraction = ParseFraction(text);
    EXPECT_TRUE(absl::IsInvalidArgument(fraction.status())) << text;
  }
}

TEST(SaveMeasuredBundle, WritesThresholdsWhereTheyComeFromAndWhatTheyDo) {
  const NetworkPlan plan = PlanOf(TinySpec());
  Random random(12);
  Bundle bundle = RandomBundle(plan, 0.5f, &random);
  CalibrateOptions options = Within(Quantity::kEscalation, 0.25);
  options.seed = 77;
  Calibrated calibrated;
  calibrated.thresholds = {0.125f, 0.75f};
  calibrated.thresholds[0].missing = {0.0625f, -1};
  calibrated.thresholds[0].criterion = v1::MARGIN;
  calibrated.thresholds[1].temperature = 1.5f;
  calibrated.search_samples = 30;
  calibrated.test_samples = 70;
  calibrated.measured = 0.2;
  bundle.manifest.mutable_provenance()->set_data("toy");
  bundle.manifest.mutable_provenance()->set_epochs(12);
  Record(plan, "toy", options, calibrated, &bundle.manifest);
  EXPECT_THAT(bundle.manifest.provenance().calibration(), HasSubstr("best of 12 epochs"));
  EXPECT_EQ(Reservation(bundle.manifest.provenance(), "other"), "");
  std::string folder = ::testing::TempDir() + "/ddnn_calibrate.XXXXXX";
  ASSERT_NE(mkdtemp(&folder[0]), nullptr);
  std::vector<v1::Section> sections;
  for (const auto& [place, section] : bundle.sections) sections.push_back(section);
  const auto test = LoadSplit(ToyDataset(plan), Split::kTest, 1);
  v1::TrainingHistory history;
  history.add_epoch()->set_loss_sum(1.0 / 3);
  const auto summary = SaveMeasuredBundle(folder + "/b", bundle.manifest, sections, history, *test,
                                          "toy", CreateTorchEngine, 1);
  ASSERT_TRUE(summary.ok()) << summary.status();
  const auto loaded = LoadBundle(folder + "/b");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->thresholds, calibrated.thresholds);
  EXPECT_EQ(loaded->sha256_hex(), summary->bundle_sha256());
  const v1::ThresholdCalibration& how = loaded->manifest.provenance().threshold_calibration();
  EXPECT_EQ(how.constraint(), "max_escalation");
  EXPECT_EQ(how.limit(), 0.25);
  EXPECT_EQ(how.confidence(), 0.95);
  EXPECT_THAT(how.bound(), HasSubstr("2110.01052"));
  EXPECT_EQ(how.split(), "calibration");
  EXPECT_EQ(how.seed(), 77u);
  EXPECT_EQ(how.test_samples(), 70);
  const auto kept = ReadHistory(folder + "/b");
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(kept->SerializeAsString(), history.SerializeAsString());

  const std::atomic<bool> stop{true};
  EXPECT_TRUE(absl::IsCancelled(SaveMeasuredBundle(folder + "/c", bundle.manifest, sections, {},
                                                   *test, "toy", CreateTorchEngine, 1, &stop)
                                    .status()));
  int left = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    left += entry.path().filename() != "b";
  }
  EXPECT_EQ(left, 0);
  std::filesystem::remove_all(folder);
}

std::string ReservationAfter(const std::string& trained_on, const std::string& data, int epochs,
                             const std::string& init = "") {
  v1::Provenance network;
  network.set_data(trained_on);
  network.set_epochs(epochs);
  network.set_init(init);
  return Reservation(network, data);
}

TEST(Reservation, KnowsADatasetBySeveralNames) {
  std::string folder = ::testing::TempDir() + "/ddnn_reservation.XXXXXX";
  ASSERT_NE(mkdtemp(&folder[0]), nullptr);
  std::filesystem::create_directory(folder + "/pictures");
  std::filesystem::create_directory(folder + "/others");
  std::filesystem::create_directory_symlink("pictures", folder + "/link");
  std::ofstream(folder + "/a.npz") << "a";
  const std::string here = std::filesystem::relative(folder).string();
  const std::pair<std::string, std::string> same[] = {
      {"toy", "toy"},
      {"folder:" + folder + "/pictures", "folder:" + folder + "/others/..//./pictures/"},
      {"folder:" + folder + "/pictures", "folder:" + folder + "/link"},
      {"folder:" + folder + "/pictures", "folder:" + here + "/pictures"},
      {"folder:" + folder + "/pictures?size=3x8x8", "folder:" + folder + "/pictures?views=2"},
      {"folder:absent", "folder:./absent/"},
      {"cifar10:" + folder + "/others", "cifar10:" + here + "/others/"},
      {"mvmc:" + folder + "/a.npz", "mvmc:" + here + "/a.npz,b.npz?classes=3"},
      {"mnist:" + folder + "/others", "six-cameras:mnist:" + here + "/others?params=p"},
      {"grid:fashion-mnist", "six-cameras:fashion-mnist:" + folder + "/others"}};
  for (const auto& [a, b] : same) {
    EXPECT_THAT(ReservationAfter(a, b, 3), HasSubstr("the best of 3 epochs was")) << a << " " << b;
    EXPECT_THAT(ReservationAfter(b, a, 3), HasSubstr("the best of 3 epochs was")) << b << " " << a;
  }
  const std::pair<std::string, std::string> different[] = {
      {"toy", "other"},
      {"folder:" + folder + "/pictures", "folder:" + folder + "/others"},
      {"folder:" + folder + "/pictures", "folder:" + folder + "/absent"},
      {"mvmc:" + folder + "/a.npz", "mvmc:" + folder + "/b.npz,a.npz"},
      {"grid:mnist", "grid:fashion-mnist"}};
  for (const auto& [a, b] : different) EXPECT_EQ(ReservationAfter(a, b, 3), "") << a << " " << b;
  std::filesystem::remove_all(folder);
}

TEST(Reservation, CountsTheBundleThatTrainingStartedFrom) {
  EXPECT_EQ(ReservationAfter("toy", "toy", 1), "");
  EXPECT_EQ(
      ReservationAfter("toy", "toy", 1, "5eed"),
      " (not counting that the best of the start and 1 epoch was chosen by the same samples)");
  EXPECT_THAT(ReservationAfter("toy", "toy", 4, "5eed"),
              HasSubstr("the best of the start and 4 epochs was"));
  EXPECT_EQ(ReservationAfter("toy", "other", 4, "5eed"), "");
}

TEST(ReadHistory, TakesNoneForEmptyAndRefusesWhatIsNone) {
  std::string folder = ::testing::TempDir() + "/ddnn_history.XXXXXX";
  ASSERT_NE(mkdtemp(&folder[0]), nullptr);
  const auto none = ReadHistory(folder);
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->epoch_size(), 0);
  for (const char* wrong : {"{\"epoch\":7}", "{\"epochs\":[]}", "[", ""}) {
    std::ofstream(folder + "/history.json") << wrong;
    const auto status = ReadHistory(folder).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << wrong;
    EXPECT_THAT(std::string(status.message()), HasSubstr("/history.json"));
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace ddnn::train

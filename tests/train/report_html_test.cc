#include "train/report_html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "tests/train/toy_dataset.h"
#include "tests/train/well_formed.h"
#include "train/report_words.h"

namespace ddnn::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Numbers = google::protobuf::Map<std::string, double>;
void Fill(const std::map<std::string, double>& from, Numbers* to) {
  for (const auto& [name, value] : from) (*to)[name] = value;
}

// With breaking spaces, to be written more easily here.
std::string Plain(std::string text) {
  for (size_t at; (at = text.find("\u00a0")) != std::string::npos;) text.replace(at, 2, " ");
  return text;
}

// Three views, four samples of classes 0, 1, 2, 0: right at local, right at cloud, wrong at cloud,
// right at local.
class ReportHtmlTest : public ::testing::Test {
 protected:
  ReportHtmlTest() : plan_(PlanOf(TinySpec())) {
    ToyDataset::Options options;
    options.test = 4;
    samples_ = *LoadSplit(ToyDataset(plan_, options), Split::kTest, 1);
    records_.samples = 4;
    records_.entropy = {{0.1f, 0.9f, 0.9f, 0.2f}, {0, 0, 0, 0}};
    records_.right = {{true, false, false, true}, {true, true, false, true}};
    records_.answer = {{0, 0, 0, 0}, {0, 1, 1, 0}};
    records_.confidence = {{0.95f, 0.55f, 0.55f, 0.85f}, {1, 1, 1, 1}};
    records_.index = {0, 1, 2, 3};
    summary_.set_network("tiny");
    summary_.set_data("toy");
    summary_.set_samples(4);
    summary_.set_payload_bytes_per_view_sample(20);
    summary_.set_raw_bytes_per_view_sample(64);
    Fill({{"overall", 0.75}, {"local", 1}, {"cloud", 0.5}}, summary_.mutable_accuracy());
    Fill({{"local", 0.5}, {"cloud", 0.5}}, summary_.mutable_exit_fraction());
    Fill({{"local", 0.5}, {"cloud", 0.75}}, summary_.mutable_accuracy_if_all_stop());
    Fill({{"local", 0.5}, {"cloud", 0.5}}, summary_.mutable_threshold());
    for (const double alone : {0.5, 0.58, 0.7}) summary_.add_single_view_accuracy(alone);
    for (const double without : {0.75, 0.71, 0.25}) summary_.add_missing_view_accuracy(without);
    v1::EpochRecord* epoch = history_.add_epoch();
    epoch->set_epoch(1);
    epoch->set_best(true);
    for (const char* name : {"local", "cloud"}) epoch->add_exit()->set_exit(name);
  }

  ReportInput Input() {
    bundle_ = std::make_unique<Bundle>(Bundle{manifest_, plan_, "", {0.5f, 0.5f}, {}});
    return {*bundle_, summary_, history_, records_, samples_, views_};
  }
  std::string Print() { return Plain(ReportHtml(Input())); }
  std::vector<std::string> Warn() {
    const ReportInput input = Input();
    std::vector<std::string> warnings = Warnings(input, CollectReportData(input));
    for (std::string& warning : warnings) warning = Plain(warning);
    return warnings;
  }

  // The same four samples so often that chance plays no part, with nothing to complain of.
  void MakeGood() {
    const SampleStore four = samples_;
    ExitRecords good;
    good.samples = 4000;
    good.entropy.resize(2);
    good.right.resize(2);
    good.answer.resize(2);
    good.confidence.resize(2);
    for (int64_t i = 0; i < good.samples; ++i) {
      const int64_t index = i % 3;  // one of each class
      good.index.push_back(index);
      for (size_t e = 0; e < 2; ++e) {
        good.entropy[e].push_back(i % 2 == 0 ? 0.1f : 0.9f);
        good.right[e].push_back(true);
        good.answer[e].push_back(four.labels[index]);
        good.confidence[e].push_back(0.97f);
      }
    }
    records_ = good;
    summary_.set_samples(4000);
    for (auto& [name, value] : *summary_.mutable_accuracy()) value = 0.99;
    for (auto& [name, value] : *summary_.mutable_accuracy_if_all_stop()) value = 0.99;
    for (double& without : *summary_.mutable_missing_view_accuracy()) without = 0.97;
    history_.add_epoch()->set_epoch(2);
    *history_.mutable_epoch(1)->mutable_exit() = history_.epoch(0).exit();
  }

  NetworkPlan plan_;
  v1::BundleManifest manifest_;
  SampleStore samples_;
  ExitRecords records_;
  v1::RunSummary summary_;
  v1::TrainingHistory history_;
  std::vector<ViewCount> views_ = {{1, 0.3, {0.3, 0.3}}, {2, 0.5, {0.5, 0.6}}};
  std::unique_ptr<Bundle> bundle_;
};

TEST_F(ReportHtmlTest, IsWellFormedAndNeedsNothingButItself) {
  const std::string page = Print();
  EXPECT_EQ(WrongWith(page), "");
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("://")));
  EXPECT_THAT(page, Not(HasSubstr("url(")));
  EXPECT_EQ(Count(page, "src=\""), Count(page, "src=\"data:image/png;base64,"));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  EXPECT_EQ(page, Print());  // the same bytes again
}

TEST_F(ReportHtmlTest, HasEverySection) {
  const std::string page = Print();
  for (const char* title :
       {"In plain words", "Accuracy of each view, of each exit and as deployed",
        "Accuracy when a device is lost", "Accuracy against number of devices",
        "Accuracy against bytes, over thresholds", "Reliability of exit local",
        "Reliability of exit cloud", "Training: loss of each exit",
        "Training: accuracy of each exit", "Exits", "Confusion matrix", "Right and early, at local",
        "Right but late, at cloud", "Wrong", "About this bundle"}) {
    EXPECT_THAT(page, HasSubstr("<h2>" + std::string(title) + "</h2>"));
  }
  EXPECT_EQ(Count(page, "<figure>"), 4);  // two early, one late, one wrong
  EXPECT_THAT(page, HasSubstr("c, answered <b>b</b> at cloud, 100.0 % sure"));
}

TEST_F(ReportHtmlTest, ShowsTheFiguresOfTheSummary) {
  const std::string page = Print();
  EXPECT_THAT(page, HasSubstr("<b>75.0 %</b>of 4 test samples answered right (30.1 % to 95.4 %"));
  EXPECT_THAT(page,
              HasSubstr("<b>50.0 %</b> of the samples are answered at local (100.0 % of them"));
  EXPECT_THAT(page, HasSubstr("A view sends <b>20 bytes</b> per sample on average; its raw picture "
                              "has 64, 3.2 times as many."));
  EXPECT_THAT(page, HasSubstr("The best view alone (2) is right in <b>70.0 %</b>"));
  EXPECT_THAT(page, HasSubstr("<b>5.0 points more often</b> than the best"));
  EXPECT_THAT(page, HasSubstr("<b>25.0 %</b> (view 2) to 75.0 % (view 0) are right"));
  for (const char* bar : {"view 1</th>", "without 1</th>"}) EXPECT_THAT(page, HasSubstr(bar));
  EXPECT_THAT(page, HasSubstr("<td>58.0 %</td>"));
  EXPECT_THAT(page, HasSubstr("<td>71.0 %</td>"));
  EXPECT_THAT(page, HasSubstr("number of devices, the worst first 2, accuracy 60.0 %"));
}

TEST_F(ReportHtmlTest, MeasuresHowSureAnExitIsAgainstHowRight) {
  // local: bins of .95 (right), .55 twice (wrong), .85 (right): (.05 + 1.1 + .15) / 4
  EXPECT_THAT(Print(), HasSubstr("(ECE) 32.5 points"));
  EXPECT_THAT(Print(), HasSubstr("local, area by samples: confidence 55.0 %, accuracy 0.0 %"));
}

TEST_F(ReportHtmlTest, WarnsOfWhatSpeaksAgainstIt) {
  EXPECT_THAT(
      Warn(),
      ElementsAre(
          HasSubstr("No better than guessing.</b> Always answering “a”"),
          HasSubstr("Few test samples.</b> 4 do not show more than that between 30.1 % and"),
          HasSubstr("Views that see little.</b> Alone hardly better than guessing (50.0 %): "
                    "view 0 (50.0 %)."),
          HasSubstr("Much depends on single views.</b> Lost with them: view 2 (50.0 points)."),
          HasSubstr("mostly missed:</b> “c” (0 of 1 right, mostly taken for “b”)."),
          HasSubstr("Hardly tested,</b> fewer than 20 test samples: “a” (2), “b” (1)."),
          HasSubstr("the last epoch was the best one")));
}

TEST_F(ReportHtmlTest, WarnsOfNothingWhereAllIsWell) {
  MakeGood();
  EXPECT_THAT(Warn(), IsEmpty());
  EXPECT_THAT(Print(), HasSubstr("Nothing to warn of"));
}

TEST_F(ReportHtmlTest, WarnsOfAnEndTooSoonOnlyWhileItStillLearns) {
  MakeGood();
  manifest_.mutable_provenance()->set_learning_rate(0.01);
  v1::EpochRecord* last = history_.mutable_epoch(history_.epoch_size() - 1);
  last->set_best(true);
  last->set_learning_rate(0.001);
  EXPECT_THAT(Warn(), ElementsAre(HasSubstr("the last epoch was the best one")));
  last->set_learning_rate(0.0009);
  EXPECT_THAT(Warn(), IsEmpty());
}

TEST_F(ReportHtmlTest, WarnsOfEachFaultAlone) {
  MakeGood();
  summary_.mutable_accuracy_if_all_stop()->at("cloud") = 1;
  summary_.mutable_accuracy()->at("overall") = 0.97;
  EXPECT_THAT(Warn(), ElementsAre(HasSubstr("Stopping early costs 3.0 points")));
  summary_.mutable_accuracy()->at("overall") = 0.99;

  summary_.set_payload_bytes_per_view_sample(65);
  EXPECT_THAT(Warn(), ElementsAre(HasSubstr("No bytes are saved")));
  summary_.set_payload_bytes_per_view_sample(20);

  summary_.mutable_exit_fraction()->at("local") = 0;
  EXPECT_THAT(Warn(), ElementsAre(HasSubstr("No sample stops at local")));
  summary_.mutable_exit_fraction()->at("local") = 0.5;

  for (int64_t i = 0; i < records_.samples; i += 10) records_.right[0][i] = false;
  EXPECT_THAT(Warn(),
              ElementsAre(HasSubstr("local is too sure of itself:</b> its confidence is 7.0")));
  records_.right[0].assign(records_.samples, true);

  summary_.set_single_view_accuracy(1, 0.995);
  EXPECT_THAT(Warn(), ElementsAre(HasSubstr("One view is better than all.</b> View 1")));
  summary_.set_single_view_accuracy(1, 0.9);

  const std::vector<uint64_t> presence = samples_.presence;
  for (uint64_t& views : samples_.presence) views &= 5;
  summary_.set_single_view_accuracy(1, 0);
  EXPECT_THAT(Warn(), ElementsAre(HasSubstr("Views that no test sample has:</b> view 1.")));
  EXPECT_THAT(Print(), HasSubstr("the worst (0)"));
  summary_.set_single_view_accuracy(1, 0.9);
  samples_.presence = presence;

  v1::ExitEpoch* last = history_.mutable_epoch(1)->mutable_exit(1);
  last->set_right(99);
  last->set_counted(100);
  last->set_calibration_right(80);
  last->set_calibration_counted(100);
  EXPECT_THAT(Warn(), ElementsAre(HasSubstr("Learnt by heart:</b>")));
}

TEST_F(ReportHtmlTest, WarnsWhereACalibratedLimitIsNotKept) {
  MakeGood();
  v1::ThresholdCalibration* how = manifest_.mutable_provenance()->mutable_threshold_calibration();
  how->set_data("toy");
  how->set_constraint("max_escalation");
  how->set_limit(0.6);
  EXPECT_THAT(Warn(), IsEmpty());
  how->set_limit(0.4);
  EXPECT_THAT(Warn(), ElementsAre(HasSubstr("max_escalation is 50.0 %, the thresholds were chosen "
                                            "for 40.0 %")));
  how->set_constraint("max_bytes");
  how->set_limit(19);
  EXPECT_THAT(Warn(), ElementsAre(HasSubstr("max_bytes is 20, the thresholds were chosen for 19")));
  how->set_limit(20);
  how->set_data("another");
  EXPECT_THAT(Warn(), ElementsAre(HasSubstr("chosen on another.")));
}

TEST_F(ReportHtmlTest, EscapesEveryName) {
  const std::string evil = "<img onerror='&'>\"";
  v1::NetworkSpec spec = plan_.spec();
  for (std::string& name : *spec.mutable_class_name()) name = evil + name;
  const auto plan = NetworkPlan::Create(spec);
  ASSERT_TRUE(plan.ok()) << plan.status();
  plan_ = *plan;
  summary_.set_network(evil);
  summary_.set_data(evil);
  summary_.set_bundle_sha256(evil);
  manifest_.mutable_provenance()->set_data(evil);
  manifest_.mutable_provenance()->set_calibration(evil);
  manifest_.mutable_provenance()->mutable_threshold_calibration()->set_data(evil + evil);
  manifest_.mutable_provenance()->mutable_threshold_calibration()->set_constraint(evil);
  manifest_.mutable_provenance()->mutable_threshold_calibration()->set_limit(-1);
  const std::string page = Print();
  EXPECT_EQ(WrongWith(page), "");
  EXPECT_THAT(page, Not(HasSubstr("<img onerror")));
  EXPECT_GT(Count(page, "&lt;img onerror=&#39;&amp;&#39;&gt;&quot;"), 12);
}

TEST_F(ReportHtmlTest, DoesWithoutWhatASingleViewDoesNotHave) {
  summary_.clear_single_view_accuracy();
  summary_.clear_missing_view_accuracy();
  views_.clear();
  history_.Clear();
  const std::string page = Print();
  EXPECT_EQ(WrongWith(page), "");
  EXPECT_THAT(page, Not(HasSubstr("device is lost")));
  EXPECT_THAT(page, Not(HasSubstr("number of devices")));
  EXPECT_THAT(page, HasSubstr("without the history of its training"));
}

TEST_F(ReportHtmlTest, DoesNotBelieveTheHistoryOfAnotherNetwork) {
  history_.mutable_epoch(0)->mutable_exit(1)->set_exit("edge");
  EXPECT_THAT(Print(), HasSubstr("without the history of its training"));
  history_.mutable_epoch(0)->clear_exit();
  EXPECT_THAT(Print(), HasSubstr("without the history of its training"));
}

TEST_F(ReportHtmlTest, ListsMistakesWhereAMatrixWouldBeTooLarge) {
  v1::NetworkSpec spec = plan_.spec();
  for (int c = 3; c < 1000; ++c) spec.add_class_name(absl::StrCat("class ", c));
  spec.mutable_tier(0)->mutable_exit()->mutable_layer(1)->mutable_binary_linear()->set_outputs(
      1000);
  spec.mutable_tier(1)->mutable_exit()->mutable_layer(1)->mutable_linear()->set_outputs(1000);
  const auto plan = NetworkPlan::Create(spec);
  ASSERT_TRUE(plan.ok()) << plan.status();
  plan_ = *plan;
  const std::string page = Print();
  EXPECT_EQ(WrongWith(page), "");
  EXPECT_THAT(page, HasSubstr("<td>c</td><td>b</td><td>1</td><td>100.0 %</td>"));
  EXPECT_LT(page.size(), 60000u);
}

TEST(Wilson, IsTheTextbooksInterval) {
  // Newcombe 1998, table I: 81 of 263 and 0 of 20.
  EXPECT_NEAR(Wilson(81.0 / 263, 263).low, 0.2553, 1e-4);
  EXPECT_NEAR(Wilson(81.0 / 263, 263).high, 0.3662, 1e-4);
  EXPECT_EQ(Wilson(0, 20).low, 0);
  EXPECT_NEAR(Wilson(0, 20).high, 0.1611, 1e-4);
  EXPECT_EQ(Wilson(0, 0).high, 1);
}

}  // namespace
}  // namespace ddnn::train

// Nodes are killed while samples are under way.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "datasets/dataset.h"
#include "tests/end_to_end/harness.h"
#include "tests/support/random_network.h"
#include "tools/local/local_tree.h"

namespace ddnn {
namespace {

constexpr char kNetwork[] = "models/figure2/e.textproto";
constexpr char kTopology[] = "tools/topologies/e.textproto";

bool HasView(const v1::AnswerRecord& answer, int view) {
  return std::find(answer.present_view().begin(), answer.present_view().end(), view) !=
         answer.present_view().end();
}

TEST(AKilledDevice, IsMissingFromAllLaterSamplesAndNoneIsLost) {
  TestFolder folder;
  const std::string data = "six-cameras:" + WriteItems(folder, 800);
  const std::string bundle = SaveRandomBundle(folder, "bundle", kNetwork, data, 0.4, 21);
  const Ran ran =
      ddnn::Run({Program("ddnn-local"), "--topology=" + SourcePath(kTopology), "--bundle=" + bundle,
                 "--data=" + data, "--samples=800", "--rate=200", "--kill=device=2@200",
                 "--json=" + (folder / "summary.json"), "--log_dir=" + (folder / "log")});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;

  const v1::RunSummary summary = ReadSummary(folder / "summary.json");
  EXPECT_EQ(summary.samples(), 800u);
  EXPECT_EQ(summary.answered(), 800u);
  EXPECT_EQ(summary.degraded(), 0u);
  EXPECT_EQ(summary.parity_compared(), 800u);
  EXPECT_EQ(summary.parity_mismatches(), 0u);

  const std::vector<v1::AnswerRecord> answers = ReadAnswers(folder / "log/answers.jsonl");
  ASSERT_EQ(answers.size(), 800u);
  auto dataset = OpenDataset(data);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  uint64_t last_with_it = 0;
  for (const v1::AnswerRecord& answer : answers) {
    if (HasView(answer, 2)) last_with_it = std::max(last_with_it, answer.sequence());
  }
  EXPECT_GE(last_with_it, 150u) << "killed after 200 samples";
  EXPECT_LT(last_with_it, 700u);
  for (const v1::AnswerRecord& answer : answers) {
    DatasetSample sample;
    ASSERT_TRUE((*dataset)->Read(Split::kTest, answer.sequence(), &sample).ok());
    for (int view = 0; view < 6; ++view) {
      if (view == 2) continue;
      EXPECT_EQ(HasView(answer, view), ((sample.presence >> view) & 1) == 1)
          << "view " << view << " of sample " << answer.sequence();
    }
  }
}

TEST(AKilledCloud, LeavesDegradedAnswersOfTheEdgeUntilItIsBack) {
  TestFolder folder;
  const std::string data = "six-cameras:" + WriteItems(folder, 6000);
  LocalTreeOptions options;
  options.bundle = SaveRandomBundle(folder, "bundle", kNetwork, data, 0.4, 21);
  auto bundle = LoadBundle(options.bundle);
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  options.source = data;
  options.samples = 6000;
  options.rate = 60;
  options.bin_dir = std::filesystem::path(Program("x")).parent_path().string();
  options.log_dir = folder / "log";
  std::filesystem::create_directory(options.log_dir);
  // The events' "samples" are steps of this test: killed at step 1, back at step 2, over at step 3.
  int step = 0;
  options.events = {{false, 2, 0, 1}, {true, 2, 0, 2}};
  options.interrupted = [&step] { return step == 3; };
  options.stall_timeout = absl::Minutes(1);

  LocalTree tree(bundle->plan, options);
  ASSERT_TRUE(tree.Start().ok());
  std::set<uint64_t> ended;
  int full_before = 0, degraded = 0, full_after = 0;
  const auto sink = [&](int view, const v1::AnswerRecord& record) -> absl::Status {
    EXPECT_EQ(record.outcome(), "answered") << record.ShortDebugString();
    if (view != 0) return absl::OkStatus();
    ended.insert(record.sequence());
    if (record.degraded()) {
      EXPECT_GE(step, 1) << record.ShortDebugString();
      EXPECT_NE(record.exit(), "cloud") << record.ShortDebugString();
      ++degraded;
    } else if (record.exit() == "cloud") {
      (degraded == 0 ? full_before : full_after) += 1;
    }
    if (step == 0 && full_before >= 20) step = 1;
    if (step == 1 && degraded >= 20) step = 2;
    if (step == 2 && full_after >= 20) step = 3;
    return absl::OkStatus();
  };
  const absl::Status ran = tree.Run(sink, [&step] { return step; });
  EXPECT_EQ(step, 3) << ran << " after " << ended.size() << " samples, " << degraded
                     << " of them degraded";
  EXPECT_TRUE(tree.Stop().ok());

  // Nothing that entered was lost on the way.
  EXPECT_EQ(*ended.rbegin() + 1, ended.size());
  for (const v1::NodeStats& stats : tree.Stats()) {
    EXPECT_EQ(stats.entered(), stats.answered() + stats.shed() + stats.expired()) << stats.node();
    if (stats.node() == "edge") {
      EXPECT_GE(stats.degraded(), 20u);
    }
  }
}

}  // namespace
}  // namespace ddnn

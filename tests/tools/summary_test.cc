#include "tools/local/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/core/exit_criterion.h"
#include "tests/tools/small_network.h"

namespace ddnn {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// Sample i has label i % 2; view 1 does not see every third one.
class SmallDataset : public Dataset {
 public:
  SmallDataset() {
    info_.spec = "small-data";
    info_.views = 3;
    info_.channels = 1;
    info_.height = info_.width = 4;
    info_.class_names = {"a", "b"};
  }
  const DatasetInfo& info() const override { return info_; }
  int64_t size(Split) const override { return 12; }
  absl::Status Read(Split, int64_t index, DatasetSample* sample) const override {
    if (index >= 12) return absl::OutOfRangeError("no such sample");
    sample->pixels.assign(3 * 16, '\x40');
    sample->presence = index % 3 == 0 ? 0b101 : 0b111;
    sample->label = static_cast<int>(index % 2);
    sample->view_labels = {sample->label, index % 3 == 0 ? 2 : sample->label, sample->label};
    return absl::OkStatus();
  }

 private:
  DatasetInfo info_;
};

v1::AnswerRecord Told(uint64_t sequence, const std::string& exit, int class_index) {
  v1::AnswerRecord record;
  record.set_sequence(sequence);
  record.set_outcome("answered");
  record.set_exit(exit);
  record.set_class_index(class_index);
  record.set_latency_ms(static_cast<double>(sequence));
  return record;
}

v1::AnswerRecord Ended(uint64_t sequence, const std::string& outcome) {
  v1::AnswerRecord record;
  record.set_sequence(sequence);
  record.set_outcome(outcome);
  return record;
}

Bundle SmallBundle() {
  Bundle bundle;
  bundle.plan = SmallPlan();
  bundle.manifest.mutable_network()->CopyFrom(bundle.plan.spec());
  bundle.sha256 = std::string(32, '\x12');
  bundle.thresholds = {0.5f, 0.6f, 0.7f};
  return bundle;
}

// Twelve samples: 0 to 5 stop at "local" (all right), 6 to 8 at "cloud" (one right), 9 and 10 are
// shed, 11 expires.
AnswerBook SmallBook() {
  AnswerBook book;
  for (int i = 0; i < 12; ++i) {
    v1::AnswerRecord record = Told(i, "local", i % 2);
    if (i >= 6) record = Told(i, "cloud", 0);
    if (i == 6) record.set_class_index(1);
    if (i == 8) record.set_class_index(0);
    if (i >= 9) record = Ended(i, i == 11 ? "expired" : "shed");
    EXPECT_TRUE(book.Add(0, record, absl::UnixEpoch() + absl::Seconds(i)).ok());
    EXPECT_TRUE(book.Add(2, record, absl::UnixEpoch() + absl::Seconds(i)).ok());
  }
  return book;
}

TEST(Summarize, CountsAddUpAndFractionsAreOfTheAnswered) {
  const auto summary =
      Summarize(SmallBundle(), SmallDataset(), {0.5f, 0.6f, 0.7f}, SmallBook(), {});
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->samples(), 12u);
  EXPECT_EQ(summary->answered(), 9u);
  EXPECT_EQ(summary->shed(), 2u);
  EXPECT_EQ(summary->expired(), 1u);
  EXPECT_NEAR(summary->exit_fraction().at("local"), 6.0 / 9, 1e-12);
  EXPECT_EQ(summary->exit_fraction().at("edge"), 0);
  EXPECT_NEAR(summary->exit_fraction().at("cloud"), 3.0 / 9, 1e-12);
  EXPECT_NEAR(summary->accuracy().at("local"), 1, 1e-12);
  EXPECT_NEAR(summary->accuracy().at("cloud"), 1.0 / 3, 1e-12);
  EXPECT_EQ(summary->accuracy().at("edge"), 0);
  EXPECT_NEAR(summary->accuracy().at("overall"), 7.0 / 9, 1e-12);
  EXPECT_EQ(summary->latency_ms().p50(), 4);
  EXPECT_EQ(summary->latency_ms().p99(), 8);
  EXPECT_NEAR(summary->samples_per_second(), 12.0 / 11, 1e-12);
}

TEST(Summarize, DividesBytesByWhatLivingDevicesSaw) {
  v1::NodeStats zero, one, edge;
  zero.set_node("device-0");
  zero.set_payload_bytes(120);
  zero.set_wire_bytes_sent(240);
  one.set_node("device-1");  // does not see four of the twelve
  one.set_payload_bytes(80);
  one.set_wire_bytes_sent(80);
  edge.set_node("edge");
  edge.set_payload_bytes(1e6);
  const auto summary =
      Summarize(SmallBundle(), SmallDataset(), {0.5f, 0.6f, 0.7f}, SmallBook(), {zero, one, edge});
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_DOUBLE_EQ(summary->payload_bytes_per_view_sample(), 200.0 / 20);
  EXPECT_DOUBLE_EQ(summary->wire_bytes_per_view_sample(), 320.0 / 20);
  EXPECT_EQ(summary->raw_bytes_per_view_sample(), 16);
  EXPECT_EQ(summary->node_size(), 3);
}

TEST(Summarize, RefusesAnExitThatTheNetworkDoesNotHave) {
  AnswerBook book;
  ASSERT_TRUE(book.Add(0, Told(0, "fog", 0), absl::UnixEpoch()).ok());
  EXPECT_FALSE(Summarize(SmallBundle(), SmallDataset(), {0.5f, 0.6f, 0.7f}, book, {}).ok());
}

TEST(EffectiveThresholds, TakesTheOneOfTheNodesThatDecide) {
  v1::Topology topology;
  (*topology.mutable_edge()->mutable_threshold())["local"] = 0.1f;
  (*topology.mutable_device()->mutable_threshold())["local"] = 0.9f;  // devices do not decide it
  (*topology.mutable_cloud()->mutable_threshold())["cloud"] = 0.2f;
  EXPECT_EQ(EffectiveThresholds(SmallBundle(), topology),
            (std::vector<ExitThreshold>{0.1f, 0.6f, 0.2f}));
}

class DifferenceTest : public testing::Test {
 protected:
  DifferenceTest() {
    // Local unsure, edge sure of class 1, cloud sure of class 0.
    output_.exit_scores = {{0.1f, 0.f}, {0.f, 5.f}, {6.f, 0.f}};
    told_ = Told(3, "edge", 1);
    told_.set_entropy(NormalizedEntropy(output_.exit_scores[1]));
    for (int view : {0, 1, 2}) told_.add_present_view(view);
  }

  std::string Compare(uint64_t seen = 0b111) {
    return Difference(plan_, {0.5f, 0.6f, 0.7f}, told_, output_, seen, &entropy_difference_);
  }

  const NetworkPlan plan_ = SmallPlan();
  WholeOutput output_;
  v1::AnswerRecord told_;
  double entropy_difference_ = 0;
};

TEST_F(DifferenceTest, IsNoneForTheSameAnswer) {
  EXPECT_THAT(Compare(), IsEmpty());
  EXPECT_EQ(entropy_difference_, 0);
}

TEST_F(DifferenceTest, NamesBothWhenTheClassDiffers) {
  told_.set_class_index(0);
  EXPECT_THAT(Compare(), HasSubstr("the tree said class 0 at edge"));
  EXPECT_THAT(Compare(), HasSubstr("the whole network says class 1 at edge"));
}

TEST_F(DifferenceTest, IsSeenInEntropyAndInHard) {
  told_.set_entropy(told_.entropy() + 2e-4);
  EXPECT_THAT(Compare(), HasSubstr("entropy"));
  EXPECT_NEAR(entropy_difference_, 2e-4, 1e-6);
  told_.set_entropy(told_.entropy() - 2e-4);
  told_.set_hard(true);
  EXPECT_THAT(Compare(), HasSubstr("hard"));
}

TEST_F(DifferenceTest, IsSeenInTheExitUnlessViewsWereLostOnTheWay) {
  told_ = Told(3, "cloud", 0);
  told_.set_entropy(NormalizedEntropy(output_.exit_scores[2]));
  for (int view : {0, 2}) told_.add_present_view(view);
  EXPECT_THAT(Compare(0b101), HasSubstr("the whole network says class 1 at edge"));
  EXPECT_THAT(Compare(0b111), IsEmpty());
  told_.set_class_index(1);
  EXPECT_THAT(Compare(0b111), HasSubstr("the whole network says class 0 at cloud"));
}

TEST(PrintSummary, ShowsWhatPeopleAskFor) {
  auto summary = Summarize(SmallBundle(), SmallDataset(), {0.5f, 0.6f, 0.7f}, SmallBook(), {});
  ASSERT_TRUE(summary.ok());
  summary->set_parity_compared(9);
  summary->set_parity_mismatches(2);
  std::ostringstream out;
  PrintSummary(SmallPlan(), *summary, out);
  EXPECT_THAT(out.str(), HasSubstr("12 = 9 answered + 2 shed + 1 expired"));
  EXPECT_THAT(out.str(), HasSubstr("7 of 9 answers, 2 mismatches"));
  EXPECT_LT(out.str().find("exit local"), out.str().find("exit cloud"));
}

}  // namespace
}  // namespace ddnn

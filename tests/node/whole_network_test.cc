#include "runtime/node/whole_network.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/core/exit_criterion.h"
#include "tests/node/fake_engine.h"
#include "tests/node/networks.h"

namespace ddnn {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::unique_ptr<WholeNetwork> Whole(const NetworkPlan& plan) {
  auto network = WholeNetwork::Create(FakeBundle(plan), CreateFakeEngine);
  EXPECT_TRUE(network.ok()) << network.status();
  return *std::move(network);
}

WholeInput Input(const NetworkPlan& plan, uint64_t presence, char salt = 1) {
  WholeInput input;
  input.presence = presence;
  for (int i = 0; i < plan.views() * plan.view_shape().size(); ++i) {
    input.pixels.push_back(static_cast<char>(i * 7 + salt));
  }
  return input;
}

WholeOutput RunOne(const NetworkPlan& plan, const WholeInput& input) {
  auto outputs = Whole(plan)->Run({input});
  EXPECT_TRUE(outputs.ok()) << outputs.status();
  return outputs->front();
}

TEST(WholeNetwork, GivesEveryExitsScoresAndEveryViews) {
  const NetworkPlan plan = SmallNetwork('e');
  const WholeOutput output = RunOne(plan, Input(plan, 0b111));
  ASSERT_THAT(output.exit_scores, SizeIs(3));
  for (const auto& scores : output.exit_scores) EXPECT_THAT(scores, SizeIs(3));
  ASSERT_THAT(output.view_scores, SizeIs(3));
  ASSERT_THAT(output.view_features, SizeIs(3));
  for (int view = 0; view < 3; ++view) {
    EXPECT_THAT(output.view_scores[view], SizeIs(3));
    EXPECT_EQ(output.view_features[view].size(), 4u);
  }
  // The exit over the devices' scores is their maximum.
  for (int c = 0; c < 3; ++c) {
    EXPECT_EQ(
        output.exit_scores[0][c],
        std::max({output.view_scores[0][c], output.view_scores[1][c], output.view_scores[2][c]}));
  }
}

TEST(WholeNetwork, LeavesMissingViewsOut) {
  const NetworkPlan plan = SmallNetwork('e');
  const WholeOutput all = RunOne(plan, Input(plan, 0b111));
  const WholeOutput some = RunOne(plan, Input(plan, 0b101));
  EXPECT_THAT(some.view_scores[1], IsEmpty());
  EXPECT_THAT(some.view_features[1], IsEmpty());
  EXPECT_EQ(some.view_scores[0], all.view_scores[0]);
  EXPECT_EQ(some.view_scores[2], all.view_scores[2]);
  EXPECT_NE(some.exit_scores[2], all.exit_scores[2]);
}

TEST(WholeNetwork, IgnoresThePixelsOfMissingViews) {
  for (char figure : {'a', 'c', 'e', 'f'}) {
    const NetworkPlan plan = SmallNetwork(figure);
    WholeInput input = Input(plan, 0b101);
    const WholeOutput before = RunOne(plan, input);
    input.pixels[16] = static_cast<char>(input.pixels[16] + 1);  // the first of view 1
    EXPECT_EQ(RunOne(plan, input).exit_scores, before.exit_scores) << figure;
    input.pixels[32] = static_cast<char>(input.pixels[32] + 1);  // the first of view 2
    EXPECT_NE(RunOne(plan, input).exit_scores, before.exit_scores) << figure;
  }
}

TEST(WholeNetwork, RunsWithoutANodeWhoseViewsAreAllMissing) {
  const NetworkPlan plan = SmallNetwork('f');
  const WholeOutput output = RunOne(plan, Input(plan, 0b0011));
  EXPECT_THAT(output.exit_scores[0], SizeIs(3));
  EXPECT_THAT(output.exit_scores[1], SizeIs(3));
  EXPECT_THAT(output.view_scores[0], IsEmpty());  // devices of (f) have no exit
}

TEST(WholeNetwork, RefusesASampleWithoutAnyView) {
  const NetworkPlan plan = SmallNetwork('e');
  auto network = Whole(plan);
  const auto outputs = network->Run({Input(plan, 0b111), Input(plan, 0)});
  EXPECT_EQ(outputs.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(outputs.status().ToString(), HasSubstr("sample 1 of the batch has the views 0x0"));
}

TEST(WholeNetwork, RefusesViewsItDoesNotHave) {
  const NetworkPlan plan = SmallNetwork('e');
  const auto outputs = Whole(plan)->Run({Input(plan, 0b1001)});
  EXPECT_EQ(outputs.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(outputs.status().ToString(), HasSubstr("expected some of 0x7"));
}

TEST(WholeNetwork, RefusesPixelsOfTheWrongSize) {
  const NetworkPlan plan = SmallNetwork('e');
  for (size_t size : {0, 47, 49}) {
    const auto outputs = Whole(plan)->Run({WholeInput{std::string(size, 'p'), 0b1}});
    EXPECT_EQ(outputs.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(outputs.status().ToString(), HasSubstr("expected 48"));
  }
}

TEST(WholeNetwork, GivesASampleTheSameInAnyBatch) {
  const NetworkPlan plan = SmallNetwork('e', v1::CC);
  std::vector<WholeInput> batch;
  for (uint64_t presence = 1; presence < 8; ++presence) {
    batch.push_back(Input(plan, presence, static_cast<char>(presence)));
  }
  auto network = Whole(plan);
  const auto together = network->Run(batch);
  ASSERT_TRUE(together.ok()) << together.status();
  ASSERT_THAT(*together, SizeIs(7));
  for (size_t n = 0; n < batch.size(); ++n) {
    const WholeOutput alone = RunOne(plan, batch[n]);
    EXPECT_EQ((*together)[n].exit_scores, alone.exit_scores);
    EXPECT_EQ((*together)[n].view_features, alone.view_features);
  }
}

TEST(WholeNetwork, NeedsEverySection) {
  Bundle bundle = FakeBundle(SmallNetwork('e'));
  bundle.sections.erase({0, 2});
  const auto network = WholeNetwork::Create(bundle, CreateFakeEngine);
  EXPECT_EQ(network.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(network.status().ToString(), HasSubstr("node 2 of tier device"));
}

TEST(WholeNetwork, NeedsNoSectionWhereNothingRuns) {
  Bundle bundle = FakeBundle(SmallNetwork('c'));
  bundle.sections.erase({1, 0});
  EXPECT_TRUE(WholeNetwork::Create(bundle, CreateFakeEngine).ok());
}

TEST(Decide, TakesTheFirstSureExit) {
  const NetworkPlan plan = SmallNetwork('e');
  WholeOutput output;
  output.exit_scores = {UnsureScores(), SureScores(1), SureScores(2)};
  const Answer answer = Decide(plan, std::vector<ExitThreshold>{0.5f, 0.5f, 0.5f}, output, 0b110);
  EXPECT_EQ(answer.exit, 1);
  EXPECT_EQ(answer.class_index, 1);
  EXPECT_EQ(answer.presence, 0b110u);
  EXPECT_EQ(answer.entropy, NormalizedEntropy(SureScores(1)));
  EXPECT_EQ(answer.scores, SureScores(1));
  EXPECT_FALSE(answer.hard);
}

TEST(Decide, TakesTheRootsWhenNoneIsSure) {
  const NetworkPlan plan = SmallNetwork('e');
  WholeOutput output;
  output.exit_scores = {UnsureScores(), UnsureScores(), {0, 1, 0}};
  const Answer answer = Decide(plan, std::vector<ExitThreshold>{0.5f, 0.5f, 0.5f}, output, 1);
  EXPECT_EQ(answer.exit, 2);
  EXPECT_EQ(answer.class_index, 1);
  EXPECT_TRUE(answer.hard);
}

TEST(Decide, StopsAtTheThresholdItself) {
  const NetworkPlan plan = SmallNetwork('e');
  WholeOutput output;
  output.exit_scores = {{2, 1, 0}, SureScores(0), SureScores(0)};
  const float entropy = NormalizedEntropy({2, 1, 0});
  EXPECT_EQ(Decide(plan, std::vector<ExitThreshold>{entropy, 1.0f, 1.0f}, output, 1).exit, 0);
}

TEST(DevicePayloadBytes, IsThePapersFormula) {
  const NetworkPlan plan = SmallNetwork('e');  // 4 |C| = 12, f o / 8 = 4
  EXPECT_EQ(DevicePayloadBytes(plan, 0), 12);
  EXPECT_EQ(DevicePayloadBytes(plan, 1), 16);
  EXPECT_EQ(DevicePayloadBytes(plan, 2), 16);
}

TEST(DevicePayloadBytes, HasNoScoresWhereTheDeviceDecides) {
  const NetworkPlan plan = SmallNetwork('b');
  EXPECT_EQ(DevicePayloadBytes(plan, 0), 0);
  EXPECT_EQ(DevicePayloadBytes(plan, 1), 4);
}

TEST(DevicePayloadBytes, IsTheFeaturesAlwaysWhereTheDeviceHasNoExit) {
  EXPECT_EQ(DevicePayloadBytes(SmallNetwork('a'), 0), 16);
  EXPECT_EQ(DevicePayloadBytes(SmallNetwork('f'), 0), 4);
  EXPECT_EQ(DevicePayloadBytes(SmallNetwork('f'), 1), 4);
}

}  // namespace
}  // namespace ddnn

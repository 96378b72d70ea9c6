#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/node/networks.h"
#include "tests/node/one_node.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The edge of figure (e) with all features of a sample, before its section is through.
void Escalate(OneNode* edge, SampleKey key) {
  for (int child : {0, 1, 2}) edge->Scores(child, key, UnsureScores());
  for (int child : {0, 1, 2}) edge->Features(child, key);
}

TEST(ParentLoss, AnswersWhatWaitsForTheParentWithTheBestExitSoFar) {
  OneNode edge(SmallNetwork('e'), 1);
  Escalate(&edge, kOne);
  edge.Section(kOne, {0, 1, 0});
  const auto gives = Of<GiveAnswer>(edge.ParentGone());
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.outcome, Outcome::kAnswered);
  EXPECT_EQ(gives[0].answer.exit, 1);
  EXPECT_EQ(gives[0].answer.class_index, 1);
  EXPECT_TRUE(gives[0].answer.degraded);
  EXPECT_EQ(gives[0].answer.reason, "the parent is gone");
  EXPECT_THAT(gives[0].children, ElementsAre(0, 1, 2));
}

TEST(ParentLoss, LeavesAloneWhatDoesNotWaitForTheParentYet) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, SureScores(0));
  EXPECT_THAT(edge.ParentGone(), IsEmpty());
  edge.Scores(1, kOne, SureScores(0));
  const auto gives = Of<GiveAnswer>(edge.Scores(2, kOne, SureScores(0)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_FALSE(gives[0].answer.degraded);
}

TEST(ParentLoss, StillTriesItsOwnExit) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.ParentGone();
  Escalate(&edge, kOne);
  const auto gives = Of<GiveAnswer>(edge.Section(kOne, SureScores(1)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.exit, 1);
  EXPECT_FALSE(gives[0].answer.degraded);
}

TEST(ParentLoss, AnswersDegradedWhenItsOwnExitIsUnsure) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.ParentGone();
  Escalate(&edge, kOne);
  const auto actions = edge.Section(kOne, UnsureScores());
  const auto gives = Of<GiveAnswer>(actions);
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_TRUE(gives[0].answer.degraded);
  EXPECT_EQ(gives[0].answer.exit, 1);
  EXPECT_FALSE(gives[0].answer.hard);  // only the root can say so
  EXPECT_THAT(Of<SendFeatures>(actions), IsEmpty());
  EXPECT_EQ(edge.counters().degraded, 1u);
}

TEST(ParentLoss, WithoutAnExitOfItsOwnDoesNotAskForFeatures) {
  OneNode edge(SmallNetwork('c'), 1);
  edge.ParentGone();
  edge.Scores(0, kOne, UnsureScores());
  edge.Scores(1, kOne, UnsureScores());
  const auto actions = edge.Scores(2, kOne, UnsureScores());
  EXPECT_THAT(Of<RequestFeatures>(actions), IsEmpty());
  const auto gives = Of<GiveAnswer>(actions);
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.exit, 0);
  EXPECT_TRUE(gives[0].answer.degraded);
}

TEST(ParentLoss, OfADeviceAnswersWithItsOwnScores) {
  OneNode device(SmallNetwork('e'), 0, {}, 2);
  device.Features(0, kOne);
  device.Section(kOne, {0, 0, 1});
  const auto gives = Of<GiveAnswer>(device.ParentGone());
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.class_index, 2);
  EXPECT_EQ(gives[0].answer.presence, 0b100u);
  EXPECT_TRUE(gives[0].answer.degraded);
}

TEST(ParentLoss, ExpiresWhatHasNoScores) {
  OneNode device(SmallNetwork('a'), 0);
  device.Features(0, kOne);
  const auto gives = Of<GiveAnswer>(device.ParentGone());
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.outcome, Outcome::kExpired);
  EXPECT_EQ(gives[0].answer.reason, "the parent is gone");
  EXPECT_FALSE(gives[0].answer.degraded);
}

TEST(ParentLoss, ExpiresWhatNobodySaw) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.ParentGone();
  for (int child : {0, 1}) edge.Absent(child, kOne);
  const auto actions = edge.Absent(2, kOne);
  EXPECT_THAT(Of<SendAbsent>(actions), IsEmpty());
  const auto gives = Of<GiveAnswer>(actions);
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.outcome, Outcome::kExpired);
}

TEST(ParentLoss, IsHowANodeStarts) {
  const NetworkPlan plan = SmallNetwork('b');
  NodeOptions options;
  options.thresholds = {0.5f, 0.5f};
  Node device(plan, options);
  std::vector<Action> actions;
  const absl::Time now = absl::FromUnixSeconds(5);
  const std::string pixels(16, 'x');
  ASSERT_TRUE(device.OnChildFeatures(0, kOne, pixels, 0, now, &actions).ok());
  actions.clear();
  device.SectionDone(kOne, SectionOutput{"feat", UnsureScores()}, now, &actions);
  ASSERT_THAT(Of<GiveAnswer>(actions), SizeIs(1));
  EXPECT_TRUE(Of<GiveAnswer>(actions)[0].answer.degraded);
}

TEST(ParentLoss, IsOverWhenTheParentIsBack) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.ParentGone();
  Escalate(&edge, kOne);
  edge.Section(kOne, UnsureScores());
  edge.ParentUp();
  Escalate(&edge, kTwo);
  EXPECT_THAT(Of<SendFeatures>(edge.Section(kTwo, UnsureScores())), SizeIs(1));
  const auto gives = Of<GiveAnswer>(edge.AnswerFromAbove(FromAbove(kTwo, 2, 0b111)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_FALSE(gives[0].answer.degraded);
  EXPECT_EQ(gives[0].answer.exit, 2);
}

TEST(ParentLoss, EscalatesASampleForWhichTheParentCameBackInTime) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.ParentGone();
  Escalate(&edge, kOne);
  edge.ParentUp();
  EXPECT_THAT(Of<SendFeatures>(edge.Section(kOne, UnsureScores())), SizeIs(1));
}

TEST(ParentLoss, ForgetsTheFeaturesKeptForTheParent) {
  OneNode device(SmallNetwork('e'), 0);
  device.Features(0, kOne);
  device.Section(kOne, UnsureScores());
  device.ParentGone();
  EXPECT_EQ(device.node().cached_bytes(), 0u);
}

TEST(SlowParent, CostsTheSampleItsFullAnswerAtTheDeadline) {
  OneNode edge(SmallNetwork('e'), 1);
  Escalate(&edge, kOne);
  edge.Section(kOne, UnsureScores());
  EXPECT_THAT(edge.Pass(absl::Milliseconds(1999)), IsEmpty());
  const auto gives = Of<GiveAnswer>(edge.Pass(absl::Milliseconds(1)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_TRUE(gives[0].answer.degraded);
  EXPECT_EQ(gives[0].answer.reason, "no answer from the parent in time");
}

TEST(SlowParent, IsNotHeardAnyMoreAfterTheDeadline) {
  OneNode edge(SmallNetwork('e'), 1);
  Escalate(&edge, kOne);
  edge.Section(kOne, UnsureScores());
  edge.Pass(absl::Seconds(2));
  EXPECT_THAT(edge.AnswerFromAbove(FromAbove(kOne, 2, 0b111)), IsEmpty());
  EXPECT_EQ(edge.counters().late_messages, 1u);
  EXPECT_EQ(edge.counters().answered, 1u);
}

}  // namespace
}  // namespace ddnn

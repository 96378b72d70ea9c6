#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/core/feature_codec.h"
#include "runtime/core/score_codec.h"
#include "tests/node/networks.h"
#include "tests/node/one_node.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<int> Asked(const std::vector<Action>& actions) {
  std::vector<int> asked;
  for (const RequestFeatures& ask : Of<RequestFeatures>(actions)) asked.push_back(ask.child);
  return asked;
}

// The edge of figure (e) after its three devices' scores left it unsure.
std::vector<Action> GatherUnsure(OneNode* edge, SampleKey key) {
  edge->Scores(0, key, UnsureScores());
  edge->Scores(1, key, UnsureScores());
  return edge->Scores(2, key, UnsureScores());
}

TEST(Escalation, AsksEveryPresentChildForItsFeatures) {
  OneNode edge(SmallNetwork('e'), 1);
  EXPECT_THAT(Asked(GatherUnsure(&edge, kOne)), ElementsAre(0, 1, 2));
}

TEST(Escalation, AsksNobodyWhenSure) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, SureScores(0));
  edge.Scores(1, kOne, SureScores(0));
  EXPECT_THAT(Asked(edge.Scores(2, kOne, SureScores(0))), IsEmpty());
}

TEST(Escalation, DoesNotAskTheAbsent) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Absent(1, kOne);
  edge.Scores(0, kOne, UnsureScores());
  EXPECT_THAT(Asked(edge.Scores(2, kOne, UnsureScores())), ElementsAre(0, 2));
}

TEST(Escalation, DoesNotAskTheLate) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(2, kOne, UnsureScores());
  EXPECT_THAT(Asked(edge.Pass(absl::Milliseconds(200))), ElementsAre(2));
}

TEST(Escalation, DoesNotAskAChildThatHasGone) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, UnsureScores());
  edge.Gone(0);
  edge.Scores(1, kOne, UnsureScores());
  EXPECT_THAT(Asked(edge.Scores(2, kOne, UnsureScores())), ElementsAre(1, 2));
}

TEST(Escalation, DoesNotAskAChildThatWentAndCameBack) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, UnsureScores());
  edge.Gone(0);
  edge.Joined(0);
  edge.Scores(1, kOne, UnsureScores());
  EXPECT_THAT(Asked(edge.Scores(2, kOne, UnsureScores())), ElementsAre(1, 2));
}

TEST(Escalation, DoesNotAskForFeaturesThatCameAlready) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, UnsureScores());
  edge.Features(0, kOne);
  edge.Scores(1, kOne, UnsureScores());
  EXPECT_THAT(Asked(edge.Scores(2, kOne, UnsureScores())), ElementsAre(1, 2));
}

TEST(Escalation, RunsTheSectionOnceAllAskedHaveSent) {
  OneNode edge(SmallNetwork('e'), 1);
  GatherUnsure(&edge, kOne);
  EXPECT_THAT(edge.Features(2, kOne), IsEmpty());
  EXPECT_THAT(edge.Features(0, kOne), IsEmpty());
  EXPECT_THAT(Of<RunSection>(edge.Features(1, kOne)), SizeIs(1));
}

TEST(Escalation, GivesTheFeaturesADeadlineOfTheirOwn) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, UnsureScores());
  edge.Scores(1, kOne, UnsureScores());
  edge.Pass(absl::Milliseconds(150));
  edge.Scores(2, kOne, UnsureScores());
  edge.Features(0, kOne);
  EXPECT_THAT(edge.Pass(absl::Milliseconds(199)), IsEmpty());
  EXPECT_THAT(Of<RunSection>(edge.Pass(absl::Milliseconds(1))), SizeIs(1));
}

TEST(Escalation, GoesOnWithoutAChildThatLostItsFeatures) {
  OneNode edge(SmallNetwork('e'), 1);
  GatherUnsure(&edge, kOne);
  edge.Features(0, kOne);
  edge.Absent(1, kOne);
  EXPECT_THAT(Of<RunSection>(edge.Features(2, kOne)), SizeIs(1));
  const auto sends = Of<SendFeatures>(edge.Section(kOne, UnsureScores()));
  ASSERT_THAT(sends, SizeIs(1));
  EXPECT_EQ(sends[0].presence, 0b101u);
}

TEST(Escalation, GoesOnWithoutAnAskedChildThatGoes) {
  OneNode edge(SmallNetwork('e'), 1);
  GatherUnsure(&edge, kOne);
  edge.Features(0, kOne);
  edge.Features(1, kOne);
  EXPECT_THAT(Of<RunSection>(edge.Gone(2)), SizeIs(1));
}

TEST(Escalation, WithoutAnyFeaturesAnswersWithTheScoresDegraded) {
  OneNode edge(SmallNetwork('e'), 1);
  GatherUnsure(&edge, kOne);
  edge.Absent(0, kOne);
  edge.Absent(1, kOne);
  const auto gives = Of<GiveAnswer>(edge.Absent(2, kOne));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.exit, 0);
  EXPECT_EQ(gives[0].answer.presence, 0b111u);
  EXPECT_TRUE(gives[0].answer.degraded);
  EXPECT_EQ(gives[0].answer.reason, "no child sent its features");
}

TEST(Escalation, AnswersAtTheOwnExitWhenThatIsSure) {
  OneNode edge(SmallNetwork('e'), 1);
  GatherUnsure(&edge, kOne);
  for (int child : {0, 1, 2}) edge.Features(child, kOne);
  const auto actions = edge.Section(kOne, SureScores(2));
  const auto gives = Of<GiveAnswer>(actions);
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.exit, 1);
  EXPECT_EQ(gives[0].answer.class_index, 2);
  EXPECT_THAT(Of<SendFeatures>(actions), IsEmpty());
}

TEST(Escalation, PushesTheSectionsFeaturesUpWhenUnsure) {
  OneNode edge(SmallNetwork('e'), 1);
  GatherUnsure(&edge, kOne);
  for (int child : {0, 1, 2}) edge.Features(child, kOne);
  const auto actions = edge.Section(kOne, UnsureScores());
  const auto sends = Of<SendFeatures>(actions);
  ASSERT_THAT(sends, SizeIs(1));
  EXPECT_EQ(sends[0].features, edge.OwnFeatures());
  EXPECT_EQ(sends[0].presence, 0b111u);
  EXPECT_THAT(Of<GiveAnswer>(actions), IsEmpty());
}

TEST(Escalation, WithoutLayersHandsOnWhatItJoined) {
  OneNode edge(SmallNetwork('c'), 1);
  GatherUnsure(&edge, kOne);
  edge.Features(0, kOne);
  edge.Features(1, kOne);
  const auto actions = edge.Features(2, kOne);
  EXPECT_THAT(Of<RunSection>(actions), IsEmpty());
  const auto sends = Of<SendFeatures>(actions);
  ASSERT_THAT(sends, SizeIs(1));
  // Three times 32 bits, side by side.
  EXPECT_EQ(sends[0].features, edge.FeaturesOf(0) + edge.FeaturesOf(1) + edge.FeaturesOf(2));
}

TEST(Escalation, OfADeviceWithoutLayersPushesThePixels) {
  OneNode device(SmallNetwork('a'), 0);
  const auto sends = Of<SendFeatures>(device.Features(0, kOne));
  ASSERT_THAT(sends, SizeIs(1));
  EXPECT_EQ(sends[0].features, device.FeaturesOf(0));
}

TEST(Escalation, ADeviceSendsScoresAndKeepsItsFeatures) {
  OneNode device(SmallNetwork('e'), 0);
  device.Features(0, kOne);
  const auto actions = device.Section(kOne, {1, 2, 3});
  const auto sends = Of<SendScores>(actions);
  ASSERT_THAT(sends, SizeIs(1));
  EXPECT_EQ(sends[0].scores, PackScores({1, 2, 3}));
  EXPECT_THAT(Of<SendFeatures>(actions), IsEmpty());
  EXPECT_EQ(device.node().cached_bytes(), 4u);
}

TEST(Escalation, ADeviceSendsItsFeaturesWhenAsked) {
  OneNode device(SmallNetwork('e'), 0);
  device.Features(0, kOne);
  device.Section(kOne, UnsureScores());
  const auto sends = Of<SendFeatures>(device.Wanted(kOne));
  ASSERT_THAT(sends, SizeIs(1));
  EXPECT_EQ(sends[0].features, device.OwnFeatures());
  EXPECT_EQ(device.node().cached_bytes(), 0u);
}

TEST(Escalation, ADeviceSendsItsFeaturesOnce) {
  OneNode device(SmallNetwork('e'), 0);
  device.Features(0, kOne);
  device.Section(kOne, UnsureScores());
  device.Wanted(kOne);
  EXPECT_THAT(device.Wanted(kOne), IsEmpty());
  EXPECT_EQ(device.counters().late_messages, 1u);
}

TEST(Escalation, ADeviceSaysAbsentWhenItsFeaturesWereEvicted) {
  NodeOptions options;
  options.cache_bytes = 7;  // one sample's 4 bytes, not two
  OneNode device(SmallNetwork('e'), 0, options);
  for (SampleKey key : {kOne, kTwo}) {
    device.Features(0, key);
    device.Section(key, UnsureScores());
  }
  EXPECT_EQ(device.counters().evicted_features, 1u);
  EXPECT_THAT(Of<SendAbsent>(device.Wanted(kOne)), SizeIs(1));
  EXPECT_THAT(Of<SendFeatures>(device.Wanted(kTwo)), SizeIs(1));
}

TEST(Escalation, ADeviceSaysAbsentWhenItsFeaturesAreTooOld) {
  NodeOptions options;
  options.cache_time = absl::Milliseconds(100);
  OneNode device(SmallNetwork('e'), 0, options);
  device.Features(0, kOne);
  device.Section(kOne, UnsureScores());
  device.Stall(absl::Milliseconds(100));
  const auto actions = device.Wanted(kOne);
  EXPECT_THAT(Of<SendAbsent>(actions), SizeIs(1));
  EXPECT_THAT(Of<SendFeatures>(actions), IsEmpty());
}

TEST(Escalation, ForgetsTheFeaturesOnceTheSampleIsAnswered) {
  OneNode device(SmallNetwork('e'), 0);
  device.Features(0, kOne);
  device.Section(kOne, UnsureScores());
  device.AnswerFromAbove(FromAbove(kOne, 0, 0b1));
  EXPECT_EQ(device.node().cached_bytes(), 0u);
  EXPECT_EQ(device.counters().evicted_features, 0u);
}

TEST(Escalation, WakesToForgetOldFeatures) {
  NodeOptions options;
  options.cache_time = absl::Milliseconds(100);
  OneNode device(SmallNetwork('e'), 0, options);
  device.Features(0, kOne);
  device.Section(kOne, UnsureScores());
  EXPECT_EQ(device.node().NextDeadline(), device.now() + absl::Milliseconds(100));
  device.Pass(absl::Milliseconds(100));
  EXPECT_EQ(device.node().cached_bytes(), 0u);
  EXPECT_EQ(device.node().under_way(), 1);
}

TEST(Escalation, TellsTheParentSevenEighthsOfTheTimeLeft) {
  OneNode device(SmallNetwork('e'), 0);
  device.Features(0, kOne);
  device.Stall(absl::Milliseconds(400));  // 1.6 s of 2 s are left
  const auto scores = Of<SendScores>(device.Section(kOne, UnsureScores()));
  ASSERT_THAT(scores, SizeIs(1));
  EXPECT_EQ(scores[0].time_left, absl::Milliseconds(1400));
  device.Stall(absl::Milliseconds(800));
  const auto features = Of<SendFeatures>(device.Wanted(kOne));
  ASSERT_THAT(features, SizeIs(1));
  EXPECT_EQ(features[0].time_left, absl::Milliseconds(700));
}

TEST(Escalation, RequestsAndAnswersKnowHowLongTheChildWaits) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, UnsureScores(), absl::Milliseconds(800));
  edge.Scores(1, kOne, UnsureScores(), absl::Milliseconds(900));
  edge.Stall(absl::Milliseconds(100));
  const auto asked = Of<RequestFeatures>(edge.Scores(2, kOne, UnsureScores()));
  ASSERT_THAT(asked, SizeIs(3));
  EXPECT_EQ(asked[0].time_left, absl::Milliseconds(700));
  edge.Stall(absl::Milliseconds(200));
  const auto gives = Of<GiveAnswer>(edge.ParentGone());
  EXPECT_THAT(gives, IsEmpty());
  for (int child : {0, 1, 2}) edge.Features(child, kOne);
  const auto given = Of<GiveAnswer>(edge.Section(kOne, SureScores(1)));
  ASSERT_THAT(given, SizeIs(1));
  EXPECT_EQ(given[0].time_left, absl::Milliseconds(500));
}

}  // namespace
}  // namespace ddnn

#include <limits>
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/node/networks.h"
#include "tests/node/one_node.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The edge of figure (e), waiting for the cloud's answer about a sample that all devices saw.
std::unique_ptr<OneNode> WaitingEdge(SampleKey key) {
  auto edge = std::make_unique<OneNode>(SmallNetwork('e'), 1);
  for (int child : {0, 1, 2}) edge->Scores(child, key, UnsureScores());
  for (int child : {0, 1, 2}) edge->Features(child, key);
  edge->Section(key, UnsureScores());
  return edge;
}

TEST(AnswersDown, GoToEveryChildThatSpoke) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, SureScores(0));
  edge.Absent(1, kOne);
  EXPECT_THAT(ChildrenTold(edge.Scores(2, kOne, SureScores(0))), ElementsAre(0, 1, 2));
}

TEST(AnswersDown, DoNotGoToAChildThatSaidNothing) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(1, kOne, SureScores(0));
  EXPECT_THAT(ChildrenTold(edge.Pass(absl::Milliseconds(200))), ElementsAre(1));
}

TEST(AnswersDown, DoNotGoToAChildThatHasLeft) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, SureScores(0));
  edge.Gone(0);
  edge.Scores(1, kOne, SureScores(0));
  EXPECT_THAT(ChildrenTold(edge.Scores(2, kOne, SureScores(0))), ElementsAre(1, 2));
}

TEST(AnswersDown, DoNotGoToAChildThatLeftWhileTheParentThought) {
  auto edge = WaitingEdge(kOne);
  edge->Gone(2);
  EXPECT_THAT(ChildrenTold(edge->AnswerFromAbove(FromAbove(kOne, 2, 0b111))), ElementsAre(0, 1));
}

TEST(AnswersDown, DoNotGoToAChildThatLeftAndCameBackSilent) {
  auto edge = WaitingEdge(kOne);
  edge->Gone(2);
  edge->Joined(2);
  EXPECT_THAT(ChildrenTold(edge->AnswerFromAbove(FromAbove(kOne, 2, 0b111))), ElementsAre(0, 1));
}

TEST(AnswersDown, FromADeviceGoToNoCamera) {
  OneNode device(SmallNetwork('b'), 0);
  device.Features(0, kOne);
  const auto actions = device.Section(kOne, SureScores(0));
  EXPECT_THAT(Of<GiveAnswer>(actions), SizeIs(1));
  EXPECT_THAT(ChildrenTold(actions), IsEmpty());
}

TEST(AnswersDown, PassOnWhatTheParentSaid) {
  auto edge = WaitingEdge(kOne);
  Answer above = FromAbove(kOne, 2, 0b101, 2);
  above.hard = true;
  above.scores = {1, 2, 3};
  edge->Stall(absl::Milliseconds(70));
  const auto gives = Of<GiveAnswer>(edge->AnswerFromAbove(above));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.exit, 2);
  EXPECT_EQ(gives[0].answer.class_index, 2);
  EXPECT_EQ(gives[0].answer.presence, 0b101u);
  EXPECT_EQ(gives[0].answer.entropy, 0.25f);
  EXPECT_TRUE(gives[0].answer.hard);
  EXPECT_THAT(gives[0].answer.scores, IsEmpty());
  EXPECT_EQ(gives[0].answer.latency, absl::Milliseconds(70));
}

TEST(AnswersDown, AreTakenOnceOnly) {
  auto edge = WaitingEdge(kOne);
  edge->AnswerFromAbove(FromAbove(kOne, 2, 0b111));
  EXPECT_THAT(edge->AnswerFromAbove(FromAbove(kOne, 2, 0b111)), IsEmpty());
  EXPECT_EQ(edge->counters().answered, 1u);
  EXPECT_EQ(edge->counters().late_messages, 1u);
}

TEST(AnswersDown, AboutUnknownSamplesBeginNothing) {
  OneNode edge(SmallNetwork('e'), 1);
  EXPECT_THAT(edge.AnswerFromAbove(FromAbove(kOne, 2, 0b111)), IsEmpty());
  EXPECT_EQ(edge.counters().entered, 0u);
  EXPECT_FALSE(edge.node().Knows(kOne));
}

TEST(AnswersDown, AboutWhatWasNotAskedAreNotTaken) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, UnsureScores());
  EXPECT_THAT(edge.AnswerFromAbove(FromAbove(kOne, 2, 0b111)), IsEmpty());
  EXPECT_EQ(edge.node().under_way(), 1);
}

TEST(AnswersDown, ThatMakeNoSenseAreNotTaken) {
  const Answer sane = FromAbove(kOne, 2, 0b111);
  std::vector<Answer> insane(8, sane);
  insane[0].class_index = 3;
  insane[1].class_index = -1;
  insane[2].exit = 3;
  insane[3].exit = -1;
  insane[4].entropy = 1.5f;
  insane[5].entropy = -0.5f;
  insane[6].entropy = std::numeric_limits<float>::quiet_NaN();
  insane[7].presence = 0b1000;
  auto edge = WaitingEdge(kOne);
  for (const Answer& answer : insane) EXPECT_THAT(edge->AnswerFromAbove(answer), IsEmpty());
  EXPECT_EQ(edge->node().under_way(), 1);
  EXPECT_THAT(Of<GiveAnswer>(edge->AnswerFromAbove(sane)), SizeIs(1));
}

TEST(LateChild, IsToldTheAnswerTheOthersHad) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, SureScores(2));
  edge.Pass(absl::Milliseconds(200));
  const auto gives = Of<GiveAnswer>(edge.Scores(1, kOne, SureScores(0)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_TRUE(gives[0].repeated);
  EXPECT_THAT(gives[0].children, ElementsAre(1));
  EXPECT_EQ(gives[0].answer.class_index, 2);
  EXPECT_EQ(gives[0].answer.presence, 0b1u);
  EXPECT_EQ(edge.counters().late_messages, 1u);
}

TEST(LateChild, IsNotCountedAsASampleOfItsOwn) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, SureScores(2));
  edge.Pass(absl::Milliseconds(200));
  edge.Scores(1, kOne, SureScores(0));
  EXPECT_EQ(edge.counters().entered, 1u);
  EXPECT_EQ(edge.counters().answered, 1u);
}

TEST(LateChild, IsToldOnce) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, SureScores(2));
  edge.Pass(absl::Milliseconds(200));
  edge.Scores(1, kOne, SureScores(0));
  EXPECT_THAT(edge.Scores(1, kOne, SureScores(0)), IsEmpty());
  EXPECT_THAT(edge.Scores(0, kOne, SureScores(0)), IsEmpty());
}

TEST(LateChild, WhoIsAbsentIsToldToo) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, SureScores(2));
  edge.Pass(absl::Milliseconds(200));
  EXPECT_THAT(ChildrenTold(edge.Absent(2, kOne)), ElementsAre(2));
}

TEST(LateChild, WhoSpeaksDuringTheFeaturesGatherGetsTheAnswerWithTheOthers) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, UnsureScores());
  edge.Pass(absl::Milliseconds(200));
  EXPECT_THAT(edge.Scores(1, kOne, SureScores(1)), IsEmpty());
  EXPECT_EQ(edge.counters().late_messages, 1u);
  edge.Features(0, kOne);
  const auto actions = edge.Section(kOne, SureScores(0));
  EXPECT_THAT(ChildrenTold(actions), ElementsAre(0, 1));
  EXPECT_EQ(Of<GiveAnswer>(actions)[0].answer.presence, 0b1u);
}

TEST(LateChild, WhoLeftBeforeTheAnswerIsToldWhenItAsksAgain) {
  auto edge = WaitingEdge(kOne);
  edge->Gone(2);
  edge->AnswerFromAbove(FromAbove(kOne, 2, 0b111));
  edge->Joined(2);
  EXPECT_THAT(ChildrenTold(edge->Scores(2, kOne, UnsureScores())), ElementsAre(2));
}

// A device that was started anew feeds the same samples again and knows none of the answers.
TEST(LateChild, WhoLeftAfterTheAnswerIsToldAgainWhenItAsksAgain) {
  auto edge = WaitingEdge(kOne);
  edge->AnswerFromAbove(FromAbove(kOne, 2, 0b111));
  edge->Gone(2);
  edge->Joined(2);
  EXPECT_THAT(ChildrenTold(edge->Scores(2, kOne, UnsureScores())), ElementsAre(2));
}

TEST(Absence, IsReportedToTheParentOfASampleThatEndedBelow) {
  OneNode left(SmallNetwork('f'), 1, {}, 0);  // its sibling's scores meet at the cloud
  left.Features(0, kOne);
  left.Features(1, kOne);
  const auto actions = left.Failed(kOne);
  ASSERT_THAT(Of<SendAbsent>(actions), SizeIs(1));
  EXPECT_EQ(Of<SendAbsent>(actions)[0].sample, kOne);
}

TEST(Absence, IsReportedToTheParentOfASampleThatWasShed) {
  NodeOptions options;
  options.max_samples = 0;
  OneNode device(SmallNetwork('e'), 0, options);
  EXPECT_THAT(Of<SendAbsent>(device.Features(0, kOne)), SizeIs(1));
}

TEST(Absence, IsReportedToTheParentOfASampleThatExpired) {
  OneNode device(SmallNetwork('e'), 0);
  device.Features(0, kOne);
  EXPECT_THAT(Of<SendAbsent>(device.Pass(absl::Seconds(2))), SizeIs(1));
}

TEST(Absence, IsReportedByADeviceWhoseCameraSeesNothing) {
  OneNode device(SmallNetwork('e'), 0);
  const auto actions = device.Absent(0, kOne);
  EXPECT_THAT(Of<SendAbsent>(actions), SizeIs(1));
  EXPECT_THAT(Of<GiveAnswer>(actions), IsEmpty());
}

TEST(Absence, IsNotReportedOfASampleTheParentWasTold) {
  OneNode device(SmallNetwork('e'), 0);
  device.Features(0, kOne);
  device.Section(kOne, UnsureScores());
  EXPECT_THAT(Of<SendAbsent>(device.Pass(absl::Seconds(2))), IsEmpty());
}

TEST(Absence, IsReportedOnceOnly) {
  OneNode device(SmallNetwork('e'), 0);
  EXPECT_THAT(Of<SendAbsent>(device.Absent(0, kOne)), SizeIs(1));
  EXPECT_THAT(Of<SendAbsent>(device.Pass(absl::Seconds(2))), IsEmpty());
}

TEST(Absence, IsNotReportedWhereNoSiblingWaits) {
  OneNode device(SmallNetwork('b'), 0);
  device.Features(0, kOne);
  EXPECT_THAT(Of<SendAbsent>(device.Failed(kOne)), IsEmpty());
}

TEST(Absence, IsNotReportedToAParentThatIsGone) {
  OneNode device(SmallNetwork('e'), 0);
  device.ParentGone();
  device.Features(0, kOne);
  EXPECT_THAT(Of<SendAbsent>(device.Failed(kOne)), IsEmpty());
}

TEST(Absence, IsToldAParentThatAsksForFeaturesOfASampleGivenUp) {
  OneNode device(SmallNetwork('e'), 0);
  device.Features(0, kOne);
  device.Section(kOne, UnsureScores());
  device.Pass(absl::Seconds(2));
  EXPECT_THAT(Of<SendAbsent>(device.Wanted(kOne)), SizeIs(1));
  EXPECT_THAT(Of<SendAbsent>(device.Wanted(kTwo)), SizeIs(1));
}

TEST(Absence, IsNotToldAParentThatAsksForWhatItAnswered) {
  OneNode device(SmallNetwork('e'), 0);
  device.Features(0, kOne);
  device.Section(kOne, UnsureScores());
  device.AnswerFromAbove(FromAbove(kOne, 0, 0b1));
  EXPECT_THAT(device.Wanted(kOne), IsEmpty());
}

}  // namespace
}  // namespace ddnn

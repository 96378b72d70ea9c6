#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/node/networks.h"
#include "tests/node/one_node.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

NodeOptions AtMost(int samples) {
  NodeOptions options;
  options.max_samples = samples;
  return options;
}

TEST(Overload, ShedsOneSampleMoreThanMayBeUnderWay) {
  OneNode edge(SmallNetwork('e'), 1, AtMost(2));
  EXPECT_THAT(edge.Scores(0, kOne, SureScores(0)), IsEmpty());
  EXPECT_THAT(edge.Scores(0, kTwo, SureScores(0)), IsEmpty());
  const auto gives = Of<GiveAnswer>(edge.Scores(0, kThree, SureScores(0)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.outcome, Outcome::kShed);
  EXPECT_EQ(gives[0].answer.reason, "overloaded");
  EXPECT_THAT(gives[0].children, ElementsAre(0));
  EXPECT_EQ(edge.node().under_way(), 2);
  EXPECT_EQ(edge.counters().entered, 3u);
  EXPECT_EQ(edge.counters().shed, 1u);
}

TEST(Overload, DoesNotShedWordsAboutSamplesUnderWay) {
  OneNode edge(SmallNetwork('e'), 1, AtMost(1));
  edge.Scores(0, kOne, SureScores(0));
  EXPECT_THAT(edge.Scores(1, kOne, SureScores(0)), IsEmpty());
  EXPECT_THAT(Of<GiveAnswer>(edge.Scores(2, kOne, SureScores(0))), SizeIs(1));
  EXPECT_EQ(edge.counters().shed, 0u);
}

TEST(Overload, IsOverWhenASampleEnds) {
  OneNode edge(SmallNetwork('e'), 1, AtMost(1));
  for (int child : {0, 1, 2}) edge.Scores(child, kOne, SureScores(0));
  EXPECT_THAT(edge.Scores(0, kTwo, SureScores(0)), IsEmpty());
  EXPECT_EQ(edge.node().under_way(), 1);
}

TEST(Overload, TellsTheOtherChildrenOfAShedSampleTheSame) {
  OneNode edge(SmallNetwork('e'), 1, AtMost(1));
  edge.Scores(0, kOne, SureScores(0));
  edge.Scores(0, kTwo, SureScores(0));
  const auto gives = Of<GiveAnswer>(edge.Scores(1, kTwo, SureScores(0)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.outcome, Outcome::kShed);
  EXPECT_TRUE(gives[0].repeated);
  EXPECT_EQ(edge.counters().shed, 1u);
}

TEST(Accounting, AddsUpThroughEveryEnding) {
  OneNode edge(SmallNetwork('e'), 1, AtMost(3));
  auto balanced = [&edge] {
    const NodeCounters& count = edge.counters();
    return count.entered == count.answered + count.shed + count.expired + edge.node().under_way();
  };
  for (int child : {0, 1, 2}) edge.Scores(child, kOne, SureScores(0));  // answered
  EXPECT_TRUE(balanced());
  for (uint64_t i = 10; i < 14; ++i) edge.Absent(0, SampleKey{7, i});  // the last is shed
  EXPECT_TRUE(balanced());
  edge.Pass(absl::Milliseconds(200));  // three went up as absent
  EXPECT_TRUE(balanced());
  edge.AnswerFromAbove(FromAbove(SampleKey{7, 10}, 2, 0b111));
  EXPECT_TRUE(balanced());
  edge.Pass(absl::Seconds(2));  // two expire
  EXPECT_EQ(edge.counters().entered, 5u);
  EXPECT_EQ(edge.counters().answered, 2u);
  EXPECT_EQ(edge.counters().shed, 1u);
  EXPECT_EQ(edge.counters().expired, 2u);
  EXPECT_EQ(edge.counters().degraded, 0u);
  EXPECT_EQ(edge.node().under_way(), 0);
  EXPECT_EQ(edge.node().NextDeadline(), absl::InfiniteFuture());
}

TEST(Accounting, CountsWhatTheParentShedAsShed) {
  OneNode device(SmallNetwork('e'), 0);
  device.Features(0, kOne);
  device.Section(kOne, UnsureScores());
  Answer shed;
  shed.sample = kOne;
  shed.outcome = Outcome::kShed;
  shed.reason = "overloaded";
  const auto gives = Of<GiveAnswer>(device.AnswerFromAbove(shed));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.reason, "overloaded");
  EXPECT_EQ(device.counters().shed, 1u);
  EXPECT_EQ(device.counters().answered, 0u);
}

TEST(Accounting, CountsPayloadSentUp) {
  OneNode device(SmallNetwork('e'), 0);
  device.Features(0, kOne);
  device.Section(kOne, UnsureScores());
  EXPECT_EQ(device.counters().payload_bytes, 12u);  // three floats
  device.Wanted(kOne);
  EXPECT_EQ(device.counters().payload_bytes, 16u);  // and 32 bits
  const auto gives = Of<GiveAnswer>(device.AnswerFromAbove(FromAbove(kOne, 0, 0b1)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.payload_bytes, 16u);
}

TEST(Accounting, CountsPayloadReceivedAtTheRoot) {
  OneNode cloud(SmallNetwork('a'), 1);
  for (int child : {0, 1, 2}) cloud.Features(child, kOne);
  const auto gives = Of<GiveAnswer>(cloud.Section(kOne, SureScores(0)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.payload_bytes, 48u);
  cloud.Features(0, kOne);  // too late for the sample, but it did travel
  EXPECT_EQ(cloud.counters().payload_bytes, 64u);
}

TEST(Accounting, CountsNoPayloadReceivedBelowTheRoot) {
  OneNode edge(SmallNetwork('e'), 1);
  for (int child : {0, 1, 2}) edge.Scores(child, kOne, UnsureScores());
  for (int child : {0, 1, 2}) edge.Features(child, kOne);
  EXPECT_EQ(edge.counters().payload_bytes, 0u);
}

TEST(Deadline, ExpiresASampleWithoutScores) {
  OneNode cloud(SmallNetwork('a'), 1);
  for (int child : {0, 1, 2}) cloud.Features(child, kOne);  // the engine never answers
  EXPECT_THAT(cloud.Pass(absl::Milliseconds(1999)), IsEmpty());
  const auto gives = Of<GiveAnswer>(cloud.Pass(absl::Milliseconds(1)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.outcome, Outcome::kExpired);
  EXPECT_EQ(gives[0].answer.reason, "not done in time");
  EXPECT_EQ(cloud.counters().expired, 1u);
}

TEST(Deadline, IsNeverLaterThanTheChildsTimeLeft) {
  OneNode cloud(SmallNetwork('a'), 1);
  cloud.Features(0, kOne, absl::Milliseconds(300));
  cloud.Features(1, kOne, absl::Milliseconds(500));
  cloud.Features(2, kOne, absl::Milliseconds(400));
  EXPECT_EQ(cloud.node().NextDeadline(), cloud.now() + absl::Milliseconds(300));
}

TEST(Deadline, MovesForwardForAHastierChild) {
  OneNode cloud(SmallNetwork('a'), 1);
  cloud.Features(0, kOne);
  cloud.Features(1, kOne, absl::Milliseconds(30));
  EXPECT_EQ(cloud.node().NextDeadline(), cloud.now() + absl::Milliseconds(30));
}

TEST(Deadline, IsNotPutOffByAGenerousChild) {
  OneNode cloud(SmallNetwork('a'), 1);
  for (int child : {0, 1, 2}) cloud.Features(child, kOne, absl::Hours(5));
  EXPECT_EQ(cloud.node().NextDeadline(), cloud.now() + absl::Seconds(2));
}

TEST(Deadline, StillGivesTheAnswerThatTheScoresAreSureOf) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, SureScores(1), absl::Milliseconds(20));
  const auto gives = Of<GiveAnswer>(edge.Pass(absl::Milliseconds(20)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.outcome, Outcome::kAnswered);
  EXPECT_FALSE(gives[0].answer.degraded);
}

TEST(Deadline, StillGivesTheAnswerThatTheScoresAreUnsureOf) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, UnsureScores(), absl::Milliseconds(20));
  const auto actions = edge.Pass(absl::Milliseconds(20));
  const auto gives = Of<GiveAnswer>(actions);
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.outcome, Outcome::kAnswered);
  EXPECT_TRUE(gives[0].answer.degraded);
  EXPECT_EQ(gives[0].answer.reason, "not done in time");
  EXPECT_THAT(Of<RequestFeatures>(actions), IsEmpty());
}

TEST(Deadline, InThePastIsMetAtOnce) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, UnsureScores(), -absl::InfiniteDuration());
  EXPECT_LE(edge.node().NextDeadline(), edge.now());
  EXPECT_THAT(Of<GiveAnswer>(edge.Pass(absl::ZeroDuration())), SizeIs(1));
  EXPECT_EQ(edge.node().under_way(), 0);
}

TEST(Engine, FailureShedsASampleWithoutScores) {
  OneNode cloud(SmallNetwork('a'), 1);
  for (int child : {0, 1, 2}) cloud.Features(child, kOne);
  const auto gives = Of<GiveAnswer>(cloud.Failed(kOne));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.outcome, Outcome::kShed);
  EXPECT_EQ(gives[0].answer.reason, "the section failed: on purpose");
  EXPECT_EQ(cloud.counters().shed, 1u);
}

TEST(Engine, FailureLeavesTheBestAnswerThereIs) {
  OneNode edge(SmallNetwork('e'), 1);
  for (int child : {0, 1, 2}) edge.Scores(child, kOne, UnsureScores());
  for (int child : {0, 1, 2}) edge.Features(child, kOne);
  const auto gives = Of<GiveAnswer>(edge.Failed(kOne));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.outcome, Outcome::kAnswered);
  EXPECT_EQ(gives[0].answer.exit, 0);
  EXPECT_TRUE(gives[0].answer.degraded);
}

TEST(Engine, ResultsForASampleThatEndedAreDropped) {
  OneNode cloud(SmallNetwork('a'), 1);
  for (int child : {0, 1, 2}) cloud.Features(child, kOne);
  cloud.Pass(absl::Seconds(2));
  EXPECT_THAT(cloud.Section(kOne, SureScores(0)), IsEmpty());
  EXPECT_THAT(cloud.Failed(kOne), IsEmpty());
  EXPECT_THAT(cloud.JoinedScores(kOne, SureScores(0)), IsEmpty());
}

TEST(Engine, ResultsOfTheWrongStepAreDropped) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, SureScores(0));
  EXPECT_THAT(edge.Section(kOne, SureScores(0)), IsEmpty());
  EXPECT_THAT(edge.JoinedScores(kOne, SureScores(0)), IsEmpty());
  EXPECT_THAT(edge.Failed(kOne), IsEmpty());
  EXPECT_EQ(edge.node().under_way(), 1);
}

TEST(Memory, OfEndedSamplesIsBounded) {
  OneNode device(SmallNetwork('b'), 0, AtMost(1));
  auto end = [&device](uint64_t sequence) {
    device.Features(0, SampleKey{7, sequence});
    device.Section(SampleKey{7, sequence}, SureScores(0));
  };
  for (uint64_t i = 0; i < 256; ++i) end(i);
  EXPECT_TRUE(device.node().Knows(SampleKey{7, 0}));
  end(256);
  EXPECT_FALSE(device.node().Knows(SampleKey{7, 0}));
  EXPECT_TRUE(device.node().Knows(SampleKey{7, 1}));
}

}  // namespace
}  // namespace ddnn

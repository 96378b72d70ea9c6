#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/node/networks.h"
#include "tests/node/one_node.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The edge of figure (e) has three devices, decides the exit over their scores and then its own.
constexpr int kEdge = 1, kCloud = 2;

NodeOptions Deadlines(absl::Duration gather, absl::Duration sample) {
  NodeOptions options;
  options.gather_deadline = gather;
  options.sample_deadline = sample;
  return options;
}

TEST(Gather, DecidesOnceEveryConnectedChildSpoke) {
  OneNode edge(SmallNetwork('e'), kEdge);
  EXPECT_THAT(edge.Scores(0, kOne, SureScores(2)), IsEmpty());
  EXPECT_THAT(edge.Scores(2, kOne, UnsureScores()), IsEmpty());
  const auto gives = Of<GiveAnswer>(edge.Scores(1, kOne, UnsureScores()));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.presence, 0b111u);
  EXPECT_EQ(gives[0].answer.class_index, 2);
}

TEST(Gather, WaitsForTheDeadlineAndNoLonger) {
  OneNode edge(SmallNetwork('e'), kEdge, Deadlines(absl::Milliseconds(50), absl::Seconds(1)));
  edge.Scores(0, kOne, SureScores(0));
  EXPECT_EQ(edge.node().NextDeadline(), edge.now() + absl::Milliseconds(50));
  EXPECT_THAT(edge.Pass(absl::Milliseconds(49)), IsEmpty());
  EXPECT_THAT(Of<GiveAnswer>(edge.Pass(absl::Milliseconds(1))), SizeIs(1));
}

TEST(Gather, CountsTheDeadlineFromTheFirstWord) {
  OneNode edge(SmallNetwork('e'), kEdge, Deadlines(absl::Milliseconds(50), absl::Seconds(1)));
  edge.Scores(0, kOne, SureScores(0));
  edge.Pass(absl::Milliseconds(40));
  edge.Scores(1, kOne, SureScores(0));
  EXPECT_THAT(Of<GiveAnswer>(edge.Pass(absl::Milliseconds(10))), SizeIs(1));
}

TEST(Gather, LeavesTheLateOutOfThePresenceMask) {
  OneNode edge(SmallNetwork('e'), kEdge);
  edge.Scores(2, kOne, SureScores(1));
  const auto gives = Of<GiveAnswer>(edge.Pass(absl::Milliseconds(200)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.presence, 0b100u);
}

TEST(Gather, DoesNotWaitForAnAbsentChildNorCountIt) {
  OneNode edge(SmallNetwork('e'), kEdge);
  edge.Absent(0, kOne);
  edge.Scores(1, kOne, SureScores(1));
  const auto gives = Of<GiveAnswer>(edge.Scores(2, kOne, SureScores(1)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.presence, 0b110u);
}

TEST(Gather, DoesNotWaitForAChildThatIsGone) {
  OneNode edge(SmallNetwork('e'), kEdge);
  edge.Gone(1);
  edge.Scores(0, kOne, SureScores(0));
  EXPECT_THAT(Of<GiveAnswer>(edge.Scores(2, kOne, SureScores(0))), SizeIs(1));
}

TEST(Gather, EndsWhenTheOnlyChildItWaitsForGoes) {
  OneNode edge(SmallNetwork('e'), kEdge);
  edge.Scores(0, kOne, SureScores(0));
  edge.Scores(2, kOne, SureScores(0));
  const auto gives = Of<GiveAnswer>(edge.Gone(1));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.presence, 0b101u);
}

TEST(Gather, StillWaitsForTheOthersWhenOneChildGoes) {
  OneNode edge(SmallNetwork('e'), kEdge);
  edge.Scores(0, kOne, SureScores(0));
  EXPECT_THAT(edge.Gone(1), IsEmpty());
  EXPECT_EQ(edge.node().under_way(), 1);
  EXPECT_THAT(Of<GiveAnswer>(edge.Scores(2, kOne, SureScores(0))), SizeIs(1));
}

TEST(Gather, EndsEverySampleThatWaitedForTheChildThatWent) {
  OneNode edge(SmallNetwork('e'), kEdge);
  for (SampleKey key : {kOne, kTwo, kThree}) {
    edge.Scores(0, key, SureScores(0));
    edge.Scores(1, key, SureScores(0));
  }
  EXPECT_THAT(Of<GiveAnswer>(edge.Gone(2)), SizeIs(3));
}

TEST(Gather, KeepsTheScoresOfAChildThatSpokeAndWent) {
  OneNode edge(SmallNetwork('e'), kEdge);
  edge.Scores(0, kOne, SureScores(2));
  edge.Gone(0);
  edge.Scores(1, kOne, UnsureScores());
  const auto gives = Of<GiveAnswer>(edge.Scores(2, kOne, UnsureScores()));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.presence, 0b111u);
}

TEST(Gather, WaitsForAChildThatCameBack) {
  OneNode edge(SmallNetwork('e'), kEdge);
  edge.Gone(1);
  edge.Joined(1);
  edge.Scores(0, kOne, SureScores(0));
  EXPECT_THAT(edge.Scores(2, kOne, SureScores(0)), IsEmpty());
  EXPECT_THAT(Of<GiveAnswer>(edge.Scores(1, kOne, SureScores(0))), SizeIs(1));
}

TEST(Gather, DoesNotWaitForAChildThatJoinedAfterTheFirstWord) {
  OneNode edge(SmallNetwork('e'), kEdge);
  edge.Gone(1);
  edge.Scores(0, kOne, SureScores(0));
  edge.Joined(1);
  EXPECT_THAT(Of<GiveAnswer>(edge.Scores(2, kOne, SureScores(0))), SizeIs(1));
}

TEST(Gather, CountsTheScoresOfAChildItDidNotWaitFor) {
  OneNode edge(SmallNetwork('e'), kEdge);
  edge.Gone(1);
  edge.Scores(0, kOne, SureScores(0));
  edge.Joined(1);
  edge.Scores(1, kOne, SureScores(0));
  const auto gives = Of<GiveAnswer>(edge.Scores(2, kOne, SureScores(0)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.presence, 0b111u);
}

TEST(Gather, KeepsSamplesApart) {
  OneNode edge(SmallNetwork('e'), kEdge);
  edge.Scores(0, kOne, SureScores(0));
  edge.Scores(1, kTwo, SureScores(1));
  edge.Scores(2, SampleKey{8, 1}, SureScores(2));
  EXPECT_EQ(edge.node().under_way(), 3);
  edge.Scores(1, kOne, SureScores(0));
  const auto gives = Of<GiveAnswer>(edge.Scores(2, kOne, SureScores(0)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.sample, kOne);
  EXPECT_EQ(edge.node().under_way(), 2);
}

TEST(Gather, OfFeaturesAloneRunsTheSectionOnceAllCame) {
  OneNode cloud(SmallNetwork('a'), 1);
  EXPECT_THAT(cloud.Features(0, kOne), IsEmpty());
  EXPECT_THAT(cloud.Features(1, kOne), IsEmpty());
  EXPECT_THAT(Of<RunSection>(cloud.Features(2, kOne)), SizeIs(1));
}

TEST(Gather, OfFeaturesAloneJoinsZerosInThePlaceOfTheMissing) {
  OneNode cloud(SmallNetwork('a'), 1);
  cloud.Features(1, kOne);
  const auto runs = Of<RunSection>(cloud.Pass(absl::Milliseconds(200)));
  ASSERT_THAT(runs, SizeIs(1));
  const std::vector<float>& values = runs[0].input.values;
  ASSERT_THAT(values, SizeIs(3 * 16));
  const std::string pixels = cloud.FeaturesOf(1);
  for (int i = 0; i < 48; ++i) {
    const float expected = i / 16 == 1 ? static_cast<unsigned char>(pixels[i % 16]) / 256.0f : 0.0f;
    EXPECT_EQ(values[i], expected) << i;
  }
}

TEST(Gather, AtADeviceIsOverWithTheCamerasPicture) {
  OneNode device(SmallNetwork('e'), 0, {}, 1);
  const auto runs = Of<RunSection>(device.Features(0, kOne));
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0].input.pixels, device.FeaturesOf(0));
}

TEST(Gather, OfNothingGoesUpAsAbsent) {
  OneNode edge(SmallNetwork('c'), kEdge);
  edge.Absent(0, kOne);
  edge.Absent(1, kOne);
  EXPECT_THAT(Of<SendAbsent>(edge.Absent(2, kOne)), SizeIs(1));
  EXPECT_EQ(edge.node().under_way(), 1);
}

TEST(Gather, OfNothingAtTheRootIsShed) {
  OneNode cloud(SmallNetwork('a'), 1);
  for (int child : {0, 1}) cloud.Absent(child, kOne);
  const auto actions = cloud.Absent(2, kOne);
  const auto gives = Of<GiveAnswer>(actions);
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.outcome, Outcome::kShed);
  EXPECT_EQ(gives[0].answer.reason, "no view present");
  EXPECT_THAT(gives[0].children, ElementsAre(0, 1, 2));
  EXPECT_THAT(Of<RunSection>(actions), IsEmpty());
}

TEST(Gather, TakesMaximaOverThePresentOnly) {
  OneNode edge(SmallNetwork('e', v1::MP), kEdge);
  edge.Absent(1, kOne);
  edge.Scores(0, kOne, {-30, -40, -50});
  const auto gives = Of<GiveAnswer>(edge.Scores(2, kOne, {-35, -2, -60}));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_THAT(gives[0].answer.scores, ElementsAre(-30, -2, -50));
}

TEST(Gather, AveragesOverThePresentOnly) {
  OneNode edge(SmallNetwork('e', v1::AP), kEdge);
  edge.Absent(1, kOne);
  edge.Scores(0, kOne, {30, 0, 2});
  const auto gives = Of<GiveAnswer>(edge.Scores(2, kOne, {50, 4, 0}));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_THAT(gives[0].answer.scores, ElementsAre(40, 2, 1));
}

TEST(Gather, HandsConcatenatedScoresToTheEngineWithZerosForTheMissing) {
  OneNode edge(SmallNetwork('e', v1::CC), kEdge);
  edge.Absent(1, kOne);
  edge.Scores(0, kOne, {1, 2, 3});
  const auto actions = edge.Scores(2, kOne, {7, 8, 9});
  const auto runs = Of<RunScores>(actions);
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_THAT(runs[0].joined, ElementsAre(1, 2, 3, 0, 0, 0, 7, 8, 9));
  EXPECT_THAT(Of<GiveAnswer>(actions), IsEmpty());
  EXPECT_THAT(Of<GiveAnswer>(edge.JoinedScores(kOne, SureScores(1))), SizeIs(1));
}

TEST(Gather, AsksTheEngineForCloudInputOnceOnly) {
  OneNode cloud(SmallNetwork('e'), kCloud);
  EXPECT_THAT(Of<RunSection>(cloud.Features(0, kOne)), SizeIs(1));
  EXPECT_THAT(cloud.Pass(absl::Milliseconds(200)), IsEmpty());
}

}  // namespace
}  // namespace ddnn

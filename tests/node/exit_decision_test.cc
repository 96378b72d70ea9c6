#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/core/exit_criterion.h"
#include "tests/node/networks.h"
#include "tests/node/one_node.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
const std::vector<float> kHalfSure = {2, 1, 0};

NodeOptions Thresholds(std::vector<ExitThreshold> thresholds) {
  NodeOptions options;
  options.thresholds = std::move(thresholds);
  return options;
}

// Whether the edge of figure (d), with one device, stops a sample at its exit with that threshold.
bool Stops(const std::vector<float>& scores, float threshold) {
  OneNode edge(SmallNetwork('d'), 1, Thresholds({0.5f, threshold, 0.5f}));
  edge.Features(0, kOne);
  const auto actions = edge.Section(kOne, scores);
  EXPECT_EQ(Of<GiveAnswer>(actions).size() + Of<SendFeatures>(actions).size(), 1u);
  return !Of<GiveAnswer>(actions).empty();
}

TEST(ExitDecision, StopsAtTheThresholdItself) {
  const float entropy = NormalizedEntropy(kHalfSure);
  EXPECT_TRUE(Stops(kHalfSure, entropy));
  EXPECT_FALSE(Stops(kHalfSure, std::nextafter(entropy, 0.0f)));
}

TEST(ExitDecision, WithThresholdZeroStopsOnlyTheCertain) {
  EXPECT_TRUE(Stops({1000, 0, 0}, 0));
  EXPECT_FALSE(Stops(kHalfSure, 0));
}

TEST(ExitDecision, WithThresholdOneStopsEverything) { EXPECT_TRUE(Stops(UnsureScores(), 1)); }

TEST(ExitDecision, WithANegativeThresholdStopsNothing) { EXPECT_FALSE(Stops({1000, 0, 0}, -1)); }

TEST(ExitDecision, WithAThresholdThatIsNoNumberStopsNothing) {
  EXPECT_FALSE(Stops({1000, 0, 0}, kNan));
}

TEST(ExitDecision, TakesScoresThatAreNoNumbersForUnsure) {
  EXPECT_FALSE(Stops({kNan, 0, 0}, 0.99f));
  EXPECT_FALSE(Stops({std::numeric_limits<float>::infinity(), 0, 0}, 0.99f));
}

TEST(ExitDecision, WithoutAThresholdStopsNothing) {
  OneNode edge(SmallNetwork('d'), 1, Thresholds({0.5f}));
  edge.Features(0, kOne);
  EXPECT_THAT(Of<SendFeatures>(edge.Section(kOne, SureScores(0))), SizeIs(1));
}

TEST(ExitDecision, UsesTheThresholdOfItsOwnExit) {
  OneNode edge(SmallNetwork('e'), 1, Thresholds({0, 1, 0}));
  for (int child : {0, 1, 2}) edge.Scores(child, kOne, kHalfSure);
  for (int child : {0, 1, 2}) edge.Features(child, kOne);
  const auto gives = Of<GiveAnswer>(edge.Section(kOne, kHalfSure));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.exit, 1);
}

TEST(ExitDecision, NamesExitClassEntropyViewsAndScores) {
  OneNode edge(SmallNetwork('e'), 1, Thresholds({1, 0, 0}));
  edge.Scores(0, kOne, kHalfSure);
  edge.Absent(1, kOne);
  edge.Stall(absl::Milliseconds(30));
  const auto gives = Of<GiveAnswer>(edge.Scores(2, kOne, kHalfSure));
  ASSERT_THAT(gives, SizeIs(1));
  const Answer& answer = gives[0].answer;
  EXPECT_EQ(answer.sample, kOne);
  EXPECT_EQ(answer.outcome, Outcome::kAnswered);
  EXPECT_EQ(answer.exit, 0);
  EXPECT_EQ(answer.class_index, 0);
  EXPECT_EQ(answer.entropy, NormalizedEntropy(kHalfSure));
  EXPECT_EQ(answer.presence, 0b101u);
  EXPECT_EQ(answer.scores, kHalfSure);
  EXPECT_EQ(answer.latency, absl::Milliseconds(30));
  EXPECT_FALSE(answer.degraded);
  EXPECT_FALSE(answer.hard);
  EXPECT_EQ(answer.reason, "");
}

TEST(ExitDecision, OfADeviceAloneIsItsOwn) {
  OneNode device(SmallNetwork('b'), 0);
  device.Features(0, kOne);
  const auto actions = device.Section(kOne, SureScores(1));
  EXPECT_THAT(Of<GiveAnswer>(actions), SizeIs(1));
  EXPECT_THAT(Of<SendScores>(actions), IsEmpty());
  EXPECT_THAT(Of<SendAbsent>(actions), IsEmpty());
}

TEST(ExitDecision, OfADeviceAmongOthersIsItsParents) {
  OneNode device(SmallNetwork('e'), 0);
  device.Features(0, kOne);
  const auto actions = device.Section(kOne, SureScores(1));
  EXPECT_THAT(Of<SendScores>(actions), SizeIs(1));
  EXPECT_THAT(Of<GiveAnswer>(actions), IsEmpty());
}

TEST(ExitDecision, AtTheRootAnswersAlways) {
  OneNode cloud(SmallNetwork('e'), 2, Thresholds({0, 0, 0}));
  cloud.Features(0, kOne);
  const auto actions = cloud.Section(kOne, UnsureScores());
  const auto gives = Of<GiveAnswer>(actions);
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.outcome, Outcome::kAnswered);
  EXPECT_TRUE(gives[0].answer.hard);
  EXPECT_FALSE(gives[0].answer.degraded);
}

TEST(ExitDecision, AtTheRootKeepsOnlyTheHard) {
  OneNode cloud(SmallNetwork('e'), 2);
  cloud.Features(0, kOne);
  EXPECT_THAT(Of<KeepHard>(cloud.Section(kOne, SureScores(0))), IsEmpty());
  cloud.Features(0, kTwo);
  const auto keeps = Of<KeepHard>(cloud.Section(kTwo, UnsureScores()));
  ASSERT_THAT(keeps, SizeIs(1));
  EXPECT_EQ(keeps[0].answer.sample, kTwo);
  EXPECT_EQ(keeps[0].features, cloud.FeaturesOf(0));
}

TEST(ExitDecision, KeepsZerosInThePlaceOfAMissingChildsFeatures) {
  OneNode cloud(SmallNetwork('a'), 1);
  cloud.Features(0, kOne);
  cloud.Absent(1, kOne);
  cloud.Features(2, kOne);
  const auto keeps = Of<KeepHard>(cloud.Section(kOne, UnsureScores()));
  ASSERT_THAT(keeps, SizeIs(1));
  EXPECT_EQ(keeps[0].features, cloud.FeaturesOf(0) + std::string(16, '\0') + cloud.FeaturesOf(2));
  EXPECT_EQ(keeps[0].answer.presence, 0b101u);
}

TEST(ExitDecision, ShedsWhatTheEngineGaveTheWrongNumberOfScores) {
  OneNode cloud(SmallNetwork('e'), 2);
  cloud.Features(0, kOne);
  const auto gives = Of<GiveAnswer>(cloud.Section(kOne, {1, 2}));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.outcome, Outcome::kShed);
  EXPECT_EQ(gives[0].answer.reason, "the section failed: the engine gave 2 scores, expected 3");
}

}  // namespace
}  // namespace ddnn

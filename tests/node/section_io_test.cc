#include "runtime/node/section_io.h"

#include "gtest/gtest.h"
#include "runtime/core/feature_codec.h"
#include "tests/node/networks.h"

namespace ddnn {
namespace {

TEST(SectionIo, ATierWithLayersRunsThem) {
  const NetworkPlan plan = SmallNetwork('e');
  for (int tier : {0, 1, 2}) {
    EXPECT_TRUE(RunsSection(plan, tier)) << tier;
    EXPECT_TRUE(NeedsEngine(plan, tier)) << tier;
    EXPECT_FALSE(HandsOn(plan, tier)) << tier;
  }
}

TEST(SectionIo, ATierWithoutLayersHandsOnAndNeedsNoEngine) {
  const NetworkPlan a = SmallNetwork('a'), c = SmallNetwork('c');
  EXPECT_TRUE(HandsOn(a, 0));
  EXPECT_FALSE(RunsSection(a, 0));
  EXPECT_FALSE(NeedsEngine(a, 0));
  EXPECT_TRUE(HandsOn(c, 1));
  EXPECT_FALSE(RunsSection(c, 1));
  EXPECT_FALSE(NeedsEngine(c, 1));
}

TEST(SectionIo, ATierWithoutLayersNeedsAnEngineToConcatenateScores) {
  const NetworkPlan plan = SmallNetwork('c', v1::CC);
  EXPECT_TRUE(JoinsScoresByLayer(plan, 1));
  EXPECT_FALSE(RunsSection(plan, 1));
  EXPECT_TRUE(NeedsEngine(plan, 1));
}

TEST(SectionIo, OnlyConcatenationJoinsScoresByALayer) {
  EXPECT_FALSE(JoinsScoresByLayer(SmallNetwork('e', v1::MP), 1));
  EXPECT_FALSE(JoinsScoresByLayer(SmallNetwork('e', v1::AP), 1));
  EXPECT_TRUE(JoinsScoresByLayer(SmallNetwork('e', v1::CC), 1));
}

TEST(SectionIo, ScoresAreJoinedWhereTheExitIsDecided) {
  const NetworkPlan plan = SmallNetwork('f', v1::CC);
  EXPECT_FALSE(JoinsScoresByLayer(plan, 0));
  EXPECT_FALSE(JoinsScoresByLayer(plan, 1));
  EXPECT_TRUE(JoinsScoresByLayer(plan, 2));
}

TEST(SectionIo, TheRootHandsNothingOnAndRunsItsExitAtLeast) {
  int without_layers = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const NetworkPlan plan = RandomNetwork(seed);
    without_layers += plan.spec().tier(plan.root_tier()).layer_size() == 0;
    EXPECT_FALSE(HandsOn(plan, plan.root_tier())) << seed;
    EXPECT_TRUE(RunsSection(plan, plan.root_tier())) << seed;
  }
  EXPECT_GT(without_layers, 0);
}

TEST(SectionIo, WhatIsHandedOnUnpacksToWhatWasJoined) {
  const NetworkPlan plan = SmallNetwork('c');
  const ValueType& type = plan.node(1, 0).features;
  std::vector<float> joined(type.shape.size());
  for (size_t i = 0; i < joined.size(); ++i) joined[i] = i % 3 == 0 ? 1.0f : -1.0f;
  const std::string packed = HandOn(plan, 1, 0, joined);
  EXPECT_EQ(packed.size(), 12u);  // three devices of 32 bits
  std::vector<float> unpacked(joined.size());
  ASSERT_TRUE(UnpackFeatures(type, plan.spec().input(), packed, absl::MakeSpan(unpacked)).ok());
  EXPECT_EQ(unpacked, joined);
}

}  // namespace
}  // namespace ddnn

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/node/networks.h"
#include "tests/node/one_node.h"

namespace ddnn {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

NodeOptions Keeping(bool share_pixels = false) {
  NodeOptions options;
  options.keep_alone = true;
  options.share_pixels = share_pixels;
  return options;
}

// Device 2 of figure (e): its exit is decided at the edge, which asks for features.
OneNode DeviceOfE(bool share_pixels = false) {
  return OneNode(SmallNetwork('e'), 0, Keeping(share_pixels), 2);
}

TEST(KeepAlone, HandsOverWhatItWasUnsureAboutWithoutAParent) {
  OneNode device = DeviceOfE();
  device.ParentGone();
  device.Features(0, kOne);
  const auto actions = device.Section(kOne, UnsureScores());
  const auto kept = Of<KeepAlone>(actions);
  ASSERT_THAT(kept, SizeIs(1));
  EXPECT_EQ(kept[0].answer.sample, kOne);
  EXPECT_TRUE(kept[0].answer.degraded);
  EXPECT_EQ(kept[0].answer.scores, UnsureScores());
  EXPECT_EQ(kept[0].features, device.OwnFeatures());
  EXPECT_EQ(kept[0].pixels, "");
  EXPECT_FALSE(kept[0].in_doubt);
  EXPECT_TRUE(std::holds_alternative<KeepAlone>(actions[0])) << "before the answer is given";
}

TEST(KeepAlone, IsOnlyForThoseWhoAskForIt) {
  OneNode device(SmallNetwork('e'), 0, {}, 2);
  device.ParentGone();
  device.Features(0, kOne);
  EXPECT_THAT(Of<KeepAlone>(device.Section(kOne, UnsureScores())), IsEmpty());
  OneNode edge(SmallNetwork('e'), 1, Keeping());
  edge.ParentGone();
  for (int child : {0, 1, 2}) edge.Scores(child, kOne, UnsureScores());
  for (int child : {0, 1, 2}) edge.Features(child, kOne);
  EXPECT_THAT(Of<KeepAlone>(edge.Section(kOne, UnsureScores())), IsEmpty());
}

TEST(KeepAlone, LeavesOutWhatItsOwnExitIsSureAbout) {
  OneNode device = DeviceOfE();
  device.ParentGone();
  device.Features(0, kOne);
  const auto actions = device.Section(kOne, SureScores(1));
  EXPECT_THAT(Of<KeepAlone>(actions), IsEmpty());
  EXPECT_TRUE(Of<GiveAnswer>(actions)[0].answer.degraded);
}

TEST(KeepAlone, HandsOverThePictureWhereItMayBeShared) {
  OneNode device = DeviceOfE(/*share_pixels=*/true);
  device.ParentGone();
  device.Features(0, kOne);
  auto kept = Of<KeepAlone>(device.Section(kOne, UnsureScores()));
  ASSERT_THAT(kept, SizeIs(1));
  EXPECT_EQ(kept[0].pixels, device.FeaturesOf(0));
  EXPECT_EQ(kept[0].features, "");
  device.ParentUp();
  device.Features(0, kTwo);
  device.Section(kTwo, UnsureScores());
  kept = Of<KeepAlone>(device.ParentGone());
  ASSERT_THAT(kept, SizeIs(1));
  EXPECT_EQ(kept[0].pixels, device.FeaturesOf(0));
}

TEST(KeepAlone, HandsOverWhatWaitedWhenTheParentWent) {
  OneNode device = DeviceOfE();
  device.Features(0, kOne);
  device.Section(kOne, UnsureScores());
  const auto kept = Of<KeepAlone>(device.ParentGone());
  ASSERT_THAT(kept, SizeIs(1));
  EXPECT_EQ(kept[0].features, device.OwnFeatures());
  EXPECT_FALSE(kept[0].in_doubt) << "only scores went up";
  EXPECT_EQ(device.node().cached_bytes(), 0u);
}

TEST(KeepAlone, SaysWhenTheFeaturesWereOnTheirWay) {
  OneNode device = DeviceOfE();
  device.Features(0, kOne);
  device.Section(kOne, UnsureScores());
  ASSERT_THAT(Of<SendFeatures>(device.Wanted(kOne)), SizeIs(1));
  auto kept = Of<KeepAlone>(device.Pass(absl::Seconds(2)));  // the parent is silent
  ASSERT_THAT(kept, SizeIs(1));
  EXPECT_EQ(kept[0].features, device.OwnFeatures());
  EXPECT_TRUE(kept[0].in_doubt);

  OneNode alone(SmallNetwork('b'), 0, Keeping());  // decides its exit itself and pushes features
  alone.Features(0, kOne);
  ASSERT_THAT(Of<SendFeatures>(alone.Section(kOne, UnsureScores())), SizeIs(1));
  kept = Of<KeepAlone>(alone.ParentGone());
  ASSERT_THAT(kept, SizeIs(1));
  EXPECT_EQ(kept[0].features, alone.OwnFeatures());
  EXPECT_TRUE(kept[0].in_doubt);
}

TEST(KeepAlone, HandsOverEverythingWithoutAnExitOfItsOwn) {
  OneNode device(SmallNetwork('a'), 0, Keeping());
  device.ParentGone();
  const auto kept = Of<KeepAlone>(device.Features(0, kOne));  // no layers either
  ASSERT_THAT(kept, SizeIs(1));
  EXPECT_EQ(kept[0].answer.outcome, Outcome::kExpired);
  EXPECT_EQ(kept[0].features, device.FeaturesOf(0));
}

TEST(KeepAlone, HandsOverWhatTheParentAnsweredAlone) {
  OneNode device = DeviceOfE();
  device.Features(0, kOne);
  device.Section(kOne, UnsureScores());
  device.Wanted(kOne);
  Answer answer = FromAbove(kOne, 1, 0b111);
  answer.degraded = true;
  const auto kept = Of<KeepAlone>(device.AnswerFromAbove(answer));
  ASSERT_THAT(kept, SizeIs(1));
  EXPECT_EQ(kept[0].answer.exit, 1);
  EXPECT_THAT(kept[0].answer.scores, IsEmpty());
  EXPECT_EQ(kept[0].features, device.OwnFeatures());
  EXPECT_TRUE(kept[0].in_doubt);
}

TEST(KeepAlone, LeavesOutFullAnswersWhatWasShedAndWhatNobodySaw) {
  OneNode device = DeviceOfE();
  for (SampleKey key : {kOne, kTwo}) {
    device.Features(0, key);
    device.Section(key, UnsureScores());
  }
  EXPECT_THAT(Of<KeepAlone>(device.AnswerFromAbove(FromAbove(kOne, 2, 0b111))), IsEmpty());
  Answer shed;
  shed.sample = kTwo;
  shed.outcome = Outcome::kShed;
  EXPECT_THAT(Of<KeepAlone>(device.AnswerFromAbove(shed)), IsEmpty());
  device.ParentGone();
  EXPECT_THAT(Of<KeepAlone>(device.Absent(0, kThree)), IsEmpty());
  EXPECT_EQ(device.counters().alone_evicted, 0u);
}

TEST(KeepAlone, LeavesOutWhatItWasTooSlowForItself) {
  OneNode device = DeviceOfE();
  device.Features(0, kOne);
  device.Stall(absl::Seconds(3));
  const auto actions = device.Section(kOne, UnsureScores());
  ASSERT_THAT(Of<GiveAnswer>(actions), SizeIs(1));
  EXPECT_EQ(Of<GiveAnswer>(actions)[0].answer.reason, "not done in time");
  EXPECT_THAT(Of<KeepAlone>(actions), IsEmpty()) << "the parent is there";
}

TEST(KeepAlone, CountsWhatTheCacheCouldNotHold) {
  NodeOptions options = Keeping();
  options.cache_bytes = 1;
  OneNode device(SmallNetwork('e'), 0, options, 2);
  device.Features(0, kOne);
  device.Section(kOne, UnsureScores());
  EXPECT_THAT(Of<KeepAlone>(device.ParentGone()), IsEmpty());
  EXPECT_EQ(device.counters().alone_evicted, 1u);
}

}  // namespace
}  // namespace ddnn

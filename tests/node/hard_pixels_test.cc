#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/node/networks.h"
#include "tests/node/one_node.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

Answer Hard(SampleKey key) {
  Answer answer = FromAbove(key, 2, 0b111);
  answer.hard = true;
  return answer;
}

NodeOptions Sharing(bool share) {
  NodeOptions options;
  options.share_pixels = share;
  return options;
}

void SendUp(OneNode* device, SampleKey key) {
  device->Features(0, key);
  device->Section(key, UnsureScores());
}

TEST(HardPixels, GoUpFromADeviceThatMayShareThem) {
  OneNode device(SmallNetwork('e'), 0, Sharing(true), 2);
  SendUp(&device, kOne);
  const auto sends = Of<SendPixels>(device.AnswerFromAbove(Hard(kOne)));
  ASSERT_THAT(sends, SizeIs(1));
  EXPECT_THAT(sends[0].pixels, ElementsAre(Pair(2, device.FeaturesOf(0))));
  EXPECT_EQ(device.node().cached_bytes(), 0u);
}

TEST(HardPixels, StayWhereSharingIsOff) {
  OneNode device(SmallNetwork('e'), 0, Sharing(false));
  SendUp(&device, kOne);
  EXPECT_THAT(Of<SendPixels>(device.AnswerFromAbove(Hard(kOne))), IsEmpty());
}

TEST(HardPixels, OfAnEasySampleStay) {
  OneNode device(SmallNetwork('e'), 0, Sharing(true));
  SendUp(&device, kOne);
  EXPECT_THAT(Of<SendPixels>(device.AnswerFromAbove(FromAbove(kOne, 2, 0b111))), IsEmpty());
  EXPECT_EQ(device.node().cached_bytes(), 0u);
}

TEST(HardPixels, OutliveTheFeaturesThatWereAskedFor) {
  OneNode device(SmallNetwork('e'), 0, Sharing(true));
  SendUp(&device, kOne);
  EXPECT_EQ(device.node().cached_bytes(), 20u);
  device.Wanted(kOne);
  EXPECT_EQ(device.node().cached_bytes(), 16u);
  EXPECT_THAT(Of<SendPixels>(device.AnswerFromAbove(Hard(kOne))), SizeIs(1));
}

TEST(HardPixels, AreKeptAtTheRootOncePerView) {
  OneNode cloud(SmallNetwork('a'), 1);
  for (int child : {0, 1, 2}) cloud.Features(child, kOne);
  cloud.Section(kOne, UnsureScores());
  const std::string picture(16, 'p');
  const auto keeps = Of<KeepPixels>(cloud.Pixels(1, kOne, {{1, picture}, {1, picture}}));
  ASSERT_THAT(keeps, SizeIs(1));
  EXPECT_THAT(keeps[0].pixels, ElementsAre(Pair(1, picture)));
  EXPECT_THAT(cloud.Pixels(1, kOne, {{1, picture}}), IsEmpty());
  EXPECT_EQ(cloud.counters().late_messages, 1u);
  EXPECT_THAT(Of<KeepPixels>(cloud.Pixels(2, kOne, {{2, picture}})), SizeIs(1));
}

TEST(HardPixels, OfSamplesThatAreNotHardAreNotKept) {
  OneNode cloud(SmallNetwork('a'), 1);
  for (int child : {0, 1, 2}) cloud.Features(child, kOne);
  cloud.Section(kOne, SureScores(0));
  const std::string picture(16, 'p');
  EXPECT_THAT(cloud.Pixels(0, kOne, {{0, picture}}), IsEmpty());
  EXPECT_THAT(cloud.Pixels(0, kTwo, {{0, picture}}), IsEmpty());
  EXPECT_THAT(cloud.Pixels(0, kOne, {}), IsEmpty());
  EXPECT_EQ(cloud.counters().late_messages, 3u);
}

TEST(HardPixels, PassThroughAnEdge) {
  OneNode edge(SmallNetwork('e'), 1);
  for (int child : {0, 1, 2}) edge.Scores(child, kOne, UnsureScores());
  for (int child : {0, 1, 2}) edge.Features(child, kOne);
  edge.Section(kOne, UnsureScores());
  edge.AnswerFromAbove(Hard(kOne));
  const std::string picture(16, 'p');
  const auto sends = Of<SendPixels>(edge.Pixels(1, kOne, {{1, picture}}));
  ASSERT_THAT(sends, SizeIs(1));
  EXPECT_EQ(sends[0].sample, kOne);
  edge.ParentGone();
  EXPECT_THAT(edge.Pixels(2, kOne, {{2, picture}}), IsEmpty());
}

}  // namespace
}  // namespace ddnn

#include "runtime/node/feature_cache.h"

#include "gtest/gtest.h"

namespace ddnn {
namespace {

constexpr SampleKey kA{1, 1}, kB{1, 2}, kC{1, 3}, kD{1, 4};
const absl::Time kStart = absl::FromUnixSeconds(100);

FeatureCache::Entry Features(size_t size) { return {std::string(size, 'f'), ""}; }

TEST(FeatureCache, HandsOutWhatWasPutOnce) {
  FeatureCache cache(100, absl::Seconds(1));
  cache.Put(kA, {"features", "pix"}, kStart);
  EXPECT_EQ(cache.bytes(), 11u);
  EXPECT_EQ(cache.TakeFeatures(kA), "features");
  EXPECT_EQ(cache.TakeFeatures(kA), "");
  EXPECT_EQ(cache.bytes(), 3u);
  EXPECT_EQ(cache.TakePixels(kA), "pix");
  EXPECT_EQ(cache.TakePixels(kA), "");
  EXPECT_EQ(cache.bytes(), 0u);
  EXPECT_EQ(cache.NextExpiry(), absl::InfiniteFuture());
  EXPECT_EQ(cache.evicted(), 0u);
}

TEST(FeatureCache, KnowsNothingOfOtherSamples) {
  FeatureCache cache(100, absl::Seconds(1));
  cache.Put(kA, Features(5), kStart);
  EXPECT_EQ(cache.TakeFeatures(kB), "");
  EXPECT_EQ(cache.TakeFeatures(SampleKey{2, 1}), "");
  EXPECT_EQ(cache.bytes(), 5u);
}

TEST(FeatureCache, FillsUpToItsVeryLimit) {
  FeatureCache cache(10, absl::Seconds(1));
  cache.Put(kA, Features(5), kStart);
  cache.Put(kB, Features(5), kStart);
  EXPECT_EQ(cache.bytes(), 10u);
  EXPECT_EQ(cache.evicted(), 0u);
}

TEST(FeatureCache, EvictsTheOldestFirst) {
  FeatureCache cache(10, absl::Seconds(1));
  cache.Put(kB, Features(5), kStart);  // not the smallest key
  cache.Put(kA, Features(5), kStart);
  cache.Put(kC, Features(1), kStart);
  EXPECT_EQ(cache.evicted(), 1u);
  EXPECT_EQ(cache.bytes(), 6u);
  EXPECT_EQ(cache.TakeFeatures(kB), "");
  EXPECT_EQ(cache.TakeFeatures(kA).size(), 5u);
  EXPECT_EQ(cache.TakeFeatures(kC).size(), 1u);
}

TEST(FeatureCache, EvictsAsManyAsItMust) {
  FeatureCache cache(10, absl::Seconds(1));
  for (SampleKey key : {kA, kB, kC}) cache.Put(key, Features(3), kStart);
  cache.Put(kD, Features(7), kStart);
  EXPECT_EQ(cache.evicted(), 2u);
  EXPECT_EQ(cache.bytes(), 10u);
  EXPECT_EQ(cache.TakeFeatures(kC).size(), 3u);
}

TEST(FeatureCache, CountsPixelsAgainstItsLimit) {
  FeatureCache cache(10, absl::Seconds(1));
  cache.Put(kA, {"ff", "pppp"}, kStart);
  cache.Put(kB, {"ff", "pppp"}, kStart);
  EXPECT_EQ(cache.bytes(), 6u);
  EXPECT_EQ(cache.TakePixels(kA), "");
}

TEST(FeatureCache, DoesNotKeepWhatIsLargerThanItself) {
  FeatureCache cache(10, absl::Seconds(1));
  cache.Put(kA, Features(10), kStart);
  cache.Put(kB, Features(11), kStart);
  EXPECT_EQ(cache.bytes(), 10u);  // and evicts nothing for it
  EXPECT_EQ(cache.TakeFeatures(kB), "");
  EXPECT_EQ(cache.evicted(), 1u);
}

TEST(FeatureCache, WithoutRoomKeepsNothing) {
  FeatureCache cache(0, absl::Seconds(1));
  cache.Put(kA, Features(1), kStart);
  EXPECT_EQ(cache.bytes(), 0u);
  EXPECT_EQ(cache.evicted(), 1u);
}

TEST(FeatureCache, KeepsNoEmptyEntries) {
  FeatureCache cache(10, absl::Seconds(1));
  cache.Put(kA, {}, kStart);
  EXPECT_EQ(cache.NextExpiry(), absl::InfiniteFuture());
}

TEST(FeatureCache, CountsOnlyFeaturesAsEvicted) {
  FeatureCache cache(10, absl::Seconds(1));
  cache.Put(kA, {"", "pppp"}, kStart);
  cache.Put(kB, {"", "too many pixels"}, kStart);
  cache.Expire(kStart + absl::Seconds(1));
  EXPECT_EQ(cache.bytes(), 0u);
  EXPECT_EQ(cache.evicted(), 0u);
}

TEST(FeatureCache, KeepsUntilJustBeforeTheAge) {
  FeatureCache cache(10, absl::Seconds(1));
  cache.Put(kA, Features(1), kStart);
  EXPECT_EQ(cache.NextExpiry(), kStart + absl::Seconds(1));
  cache.Expire(kStart + absl::Milliseconds(999));
  EXPECT_EQ(cache.bytes(), 1u);
  cache.Expire(kStart + absl::Seconds(1));
  EXPECT_EQ(cache.bytes(), 0u);
  EXPECT_EQ(cache.evicted(), 1u);
}

TEST(FeatureCache, ExpiresOnlyTheOld) {
  FeatureCache cache(10, absl::Seconds(1));
  cache.Put(kA, Features(1), kStart);
  cache.Put(kB, Features(2), kStart + absl::Milliseconds(500));
  cache.Expire(kStart + absl::Seconds(1));
  EXPECT_EQ(cache.bytes(), 2u);
  EXPECT_EQ(cache.NextExpiry(), kStart + absl::Milliseconds(1500));
}

TEST(FeatureCache, ForgetsTheOldWhenItTakesTheNew) {
  FeatureCache cache(10, absl::Seconds(1));
  cache.Put(kA, Features(4), kStart);
  cache.Put(kB, Features(1), kStart + absl::Seconds(1));
  EXPECT_EQ(cache.bytes(), 1u);
}

TEST(FeatureCache, ReplacesAnEntryAndItsAge) {
  FeatureCache cache(10, absl::Seconds(1));
  cache.Put(kA, {"old", "pix"}, kStart);
  cache.Put(kA, {"newer", ""}, kStart + absl::Milliseconds(700));
  EXPECT_EQ(cache.bytes(), 5u);
  EXPECT_EQ(cache.evicted(), 0u);
  cache.Expire(kStart + absl::Seconds(1));
  EXPECT_EQ(cache.TakePixels(kA), "");
  EXPECT_EQ(cache.TakeFeatures(kA), "newer");
}

TEST(FeatureCache, DropsWithoutCountingIt) {
  FeatureCache cache(10, absl::Seconds(1));
  cache.Put(kA, Features(3), kStart);
  cache.Drop(kA);
  cache.Drop(kB);
  EXPECT_EQ(cache.bytes(), 0u);
  EXPECT_EQ(cache.TakeFeatures(kA), "");
  EXPECT_EQ(cache.evicted(), 0u);
}

}  // namespace
}  // namespace ddnn

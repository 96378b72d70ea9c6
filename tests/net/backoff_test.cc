#include "runtime/net/backoff.h"

#include <set>

#include "gtest/gtest.h"

namespace ddnn {
namespace {

constexpr absl::Duration kMin = absl::Milliseconds(50), kMax = absl::Seconds(10);

void ExpectWithinItsHalf(absl::Duration wait, absl::Duration whole) {
  EXPECT_GE(wait, whole / 2);
  EXPECT_LE(wait, whole);
}

TEST(Backoff, DoublesUpToTheLongest) {
  Backoff backoff(kMin, kMax, 1);
  for (absl::Duration whole = kMin; whole < kMax; whole *= 2) {
    ExpectWithinItsHalf(backoff.Next(absl::ZeroDuration()), whole);
  }
  for (int i = 0; i < 100; ++i) ExpectWithinItsHalf(backoff.Next(absl::ZeroDuration()), kMax);
}

TEST(Backoff, BeginsAnewAfterAConnectionThatStood) {
  Backoff backoff(kMin, kMax, 1);
  for (int i = 0; i < 20; ++i) backoff.Next(absl::ZeroDuration());
  ExpectWithinItsHalf(backoff.Next(absl::Seconds(10)), kMin);
  ExpectWithinItsHalf(backoff.Next(absl::ZeroDuration()), 2 * kMin);
}

TEST(Backoff, GoesOnGrowingForAParentThatTakesAndDrops) {
  Backoff backoff(kMin, kMax, 1);
  absl::Duration waited;
  for (int i = 0; i < 20; ++i) waited = backoff.Next(absl::Milliseconds(1));
  ExpectWithinItsHalf(waited, kMax);
}

TEST(Backoff, DiffersAmongSiblings) {
  std::set<absl::Duration> waits;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    waits.insert(Backoff(kMin, kMax, seed).Next(absl::ZeroDuration()));
  }
  EXPECT_GT(waits.size(), 90u);
  EXPECT_EQ(Backoff(kMin, kMax, 3).Next(absl::ZeroDuration()),
            Backoff(kMin, kMax, 3).Next(absl::ZeroDuration()));
}

}  // namespace
}  // namespace ddnn

#include "runtime/net/child_clocks.h"

#include <algorithm>
#include <random>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace ddnn {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1700000000);

TEST(ChildClocks, KnowNothingBeforeAnyoneSpoke) {
  ChildClocks clocks(3);
  EXPECT_FALSE(clocks.Offset(0).has_value());
  EXPECT_FALSE(clocks.Largest().has_value());
  clocks.Add(1, kNow, kNow);
  EXPECT_TRUE(clocks.Offset(1).has_value());
  EXPECT_FALSE(clocks.Largest().has_value()) << "one clock is apart from none";
}

TEST(ChildClocks, FindTheTwoThatAreFarthestApart) {
  ChildClocks clocks(4);
  clocks.Add(0, kNow, kNow);
  clocks.Add(1, kNow + absl::Milliseconds(30), kNow);
  clocks.Add(3, kNow - absl::Milliseconds(20), kNow);
  const auto largest = clocks.Largest();
  ASSERT_TRUE(largest.has_value());
  EXPECT_EQ(largest->apart, absl::Milliseconds(50));
  EXPECT_EQ(largest->ahead, 1);
  EXPECT_EQ(largest->behind, 3);
}

TEST(ChildClocks, TwoThatAreAlikeAreNotApart) {
  ChildClocks clocks(2);
  clocks.Add(0, kNow, kNow + absl::Milliseconds(3));
  clocks.Add(1, kNow, kNow + absl::Milliseconds(3));
  ASSERT_TRUE(clocks.Largest().has_value());
  EXPECT_EQ(clocks.Largest()->apart, absl::ZeroDuration());
}

// Whatever delays single messages have, the skew is off by no more than the shortest of them.
TEST(ChildClocks, JitterOfTheWayHasLittleInfluence) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> ahead_ms(-500, 500), way_ms(1, 80);
  for (int round = 0; round < 200; ++round) {
    ChildClocks clocks(2);
    const absl::Duration ahead = absl::Milliseconds(ahead_ms(random));
    absl::Duration shortest[2] = {absl::InfiniteDuration(), absl::InfiniteDuration()};
    for (size_t word = 0; word < ChildClocks::kKept; ++word) {
      for (int child = 0; child < 2; ++child) {
        const absl::Time spoke = kNow + absl::Seconds(10 * static_cast<int64_t>(word));
        const absl::Duration way = absl::Milliseconds(way_ms(random));
        shortest[child] = std::min(shortest[child], way);
        clocks.Add(child, spoke + (child == 1 ? ahead : absl::ZeroDuration()), spoke + way);
      }
    }
    const absl::Duration found = *clocks.Offset(0) - *clocks.Offset(1);
    EXPECT_LE(absl::AbsDuration(found - ahead), std::max(shortest[0], shortest[1]));
  }
}

TEST(ChildClocks, AClockThatWasSetIsBelievedAfterAFewWords) {
  ChildClocks clocks(2);
  const auto say = [&clocks](int child, absl::Duration ahead) {
    clocks.Add(child, kNow + ahead, kNow);
  };
  say(0, absl::ZeroDuration());
  say(1, absl::Seconds(-1));
  EXPECT_EQ(clocks.Largest()->apart, absl::Seconds(1));
  say(1, absl::ZeroDuration());
  EXPECT_EQ(clocks.Largest()->apart, absl::ZeroDuration()) << "set forward: at once";
  for (size_t word = 0; word < ChildClocks::kKept; ++word) say(1, absl::Seconds(-2));
  EXPECT_EQ(clocks.Largest()->apart, absl::Seconds(2)) << "set back: when the others are forgotten";
  clocks.Forget(1);
  EXPECT_FALSE(clocks.Largest().has_value());
}

}  // namespace
}  // namespace ddnn

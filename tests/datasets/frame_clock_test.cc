#include "datasets/frame_clock.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

const absl::Duration kPeriod = absl::Milliseconds(100);
constexpr uint64_t kFirst = 17000000000;  // of the year 2023, in tenths of seconds

// Milliseconds since the first period began.
absl::Time At(double ms) {
  return absl::UnixEpoch() + static_cast<int64_t>(kFirst) * kPeriod + absl::Milliseconds(ms);
}

class FrameClockTest : public ::testing::Test {
 protected:
  FrameClockTest() { clock_.Start(At(0)); }

  // "3:p" for a picture with pixels "p", "3:-" for an absent period, "" for nothing yet.
  std::string Take(double ms) {
    const absl::StatusOr<std::optional<Frame>> taken = clock_.Take(At(ms));
    EXPECT_TRUE(taken.ok()) << taken.status();
    if (!taken->has_value()) return "";
    const Frame& frame = **taken;
    EXPECT_EQ(frame.absent, frame.pixels.empty());
    return absl::StrCat(frame.sequence - kFirst, ":", frame.absent ? "-" : frame.pixels);
  }
  uint64_t Dropped(const std::string& reason) { return clock_.counts().dropped[reason]; }
  uint64_t Absent(const std::string& reason) { return clock_.counts().absent[reason]; }

  FrameClock clock_{kPeriod};
};

TEST_F(FrameClockTest, NamesAPictureByThePeriodItWasCapturedIn) {
  clock_.OnPicture(At(20), "a");
  EXPECT_EQ(Take(49), "");
  EXPECT_EQ(clock_.NextDue(), At(50));
  EXPECT_EQ(Take(50), "0:a");
  EXPECT_EQ(Take(50), "");
  clock_.OnPicture(At(110), "b");
  EXPECT_EQ(Take(150), "1:b");
}

TEST_F(FrameClockTest, TheNewestOfTheFirstHalfWinsAndOthersAreCounted) {
  clock_.OnPicture(At(5), "a");
  clock_.OnPicture(At(25), "b");
  clock_.OnPicture(At(45), "c");
  EXPECT_EQ(Take(50), "0:c");
  EXPECT_FALSE(clock_.Wants(At(65)));
  clock_.Drop(At(65));
  EXPECT_EQ(Dropped("newer picture"), 2u);
  EXPECT_EQ(Dropped("period has one"), 1u);
}

TEST_F(FrameClockTest, AfterTheMiddleTheFirstThatComesIsTakenAtOnce) {
  EXPECT_EQ(Take(60), "");
  EXPECT_EQ(clock_.NextDue(), At(100));
  clock_.OnPicture(At(70), "a");
  EXPECT_EQ(Take(70), "0:a");
}

TEST_F(FrameClockTest, APeriodWithoutAPictureIsAbsentWhenItIsOver) {
  EXPECT_EQ(Take(99), "");
  EXPECT_EQ(Take(100), "0:-");
  EXPECT_EQ(Take(100), "");
  EXPECT_EQ(Absent("no picture"), 1u);
}

TEST_F(FrameClockTest, WithoutACameraAPeriodIsAbsentAtItsMiddleAndFromThenOnAtOnce) {
  clock_.OnGone();
  EXPECT_EQ(clock_.NextDue(), At(50));
  EXPECT_EQ(Take(49), "");
  EXPECT_EQ(Take(50), "0:-");
  EXPECT_EQ(Take(149), "");
  EXPECT_EQ(Take(150), "1:-");
  clock_.OnBack();
  EXPECT_EQ(Take(250), "");
  clock_.OnGone();  // in the second half: nothing to wait for any more
  EXPECT_EQ(Take(260), "2:-");
  EXPECT_EQ(Absent("camera gone"), 3u);
}

TEST_F(FrameClockTest, WhatACameraGaveBeforeItWentIsStillNamed) {
  clock_.OnPicture(At(20), "a");
  clock_.OnGone();
  EXPECT_EQ(Take(50), "0:a");
  EXPECT_EQ(Take(150), "1:-");
}

TEST_F(FrameClockTest, WhatCameBeforeTheStartIsNoneOfItsBusiness) {
  FrameClock clock(kPeriod);
  EXPECT_FALSE(clock.Wants(At(0)));
  clock.OnPicture(At(0), "a");
  clock.Drop(At(1), "unreadable");
  EXPECT_EQ(clock.counts().captured, 0u);
}

TEST_F(FrameClockTest, MakesUpForAPauseAndSkipsWhatIsLongAgo) {
  clock_.OnPicture(At(20), "a");
  // A minute: 600 periods.
  EXPECT_EQ(Take(60000), absl::StrCat(600 - FrameClock::kCatchUp, ":-"))
      << "too late for the first";
  EXPECT_EQ(clock_.counts().skipped, 600 - FrameClock::kCatchUp);
  EXPECT_EQ(Dropped("late"), 1u);
  for (uint64_t i = 1; i < FrameClock::kCatchUp; ++i) EXPECT_NE(Take(60000), "");
  EXPECT_EQ(Take(60000), "");
  clock_.OnPicture(At(60020), "b");
  EXPECT_EQ(Take(60050), "600:b");
}

TEST_F(FrameClockTest, NamesNoSequenceTwiceWhenTheClockIsSetBack) {
  clock_.OnPicture(At(20), "a");
  EXPECT_EQ(Take(50), "0:a");
  // Three seconds back: that was before, and is waited for.
  clock_.OnPicture(At(-2900), "b");
  EXPECT_EQ(Take(-2900), "");
  clock_.OnPicture(At(60), "c");
  EXPECT_EQ(Take(60), "");
  clock_.OnPicture(At(120), "d");
  EXPECT_EQ(Take(150), "1:d");
  EXPECT_EQ(Dropped("late"), 1u);
  EXPECT_EQ(Dropped("period has one"), 1u);
  const absl::StatusOr<std::optional<Frame>> hour = clock_.Take(At(-3600000));
  EXPECT_EQ(hour.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(hour.status().message()), ::testing::HasSubstr("set back by 1h"));
}

TEST_F(FrameClockTest, AClockBefore1970IsNoNumberOutOfRange) {
  FrameClock clock(kPeriod);
  clock.Start(absl::UnixEpoch() - absl::Hours(1));
  clock.OnPicture(absl::UnixEpoch() + absl::Milliseconds(10), "a");
  const auto taken = clock.Take(absl::UnixEpoch() + absl::Milliseconds(50));
  ASSERT_TRUE(taken.ok() && taken->has_value());
  EXPECT_EQ((*taken)->sequence, 0u);
}

// Whatever cameras and clocks do: sequences rise one by one, and all pictures and periods are
// accounted for.
TEST(FrameClock, SequencesRiseAndTheNumbersAddUp) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::mt19937_64 random(seed);
    FrameClock clock(kPeriod);
    double ms = static_cast<double>(random() % 1000);
    clock.Start(At(ms));
    uint64_t captured = 0, frames = 0, taken = 0, last = 0;
    const uint64_t first = clock.PeriodOf(At(ms));
    for (int event = 0; event < 500; ++event) {
      ms += static_cast<double>(random() % 40);
      switch (random() % 16) {
        case 0:
          clock.OnGone();
          break;
        case 1:
          clock.OnBack();
          break;
        case 2:
          ms += random() % 20 == 0 ? 20000 : static_cast<double>(random() % 300) - 150;
          break;
        case 3:
          ++captured;
          clock.Drop(At(ms), "unreadable");
          break;
        default:
          ++captured;
          clock.OnPicture(At(ms), "p");
      }
      while (true) {
        const auto frame = clock.Take(At(ms));
        ASSERT_TRUE(frame.ok()) << frame.status();
        if (!frame->has_value()) break;
        if (taken > 0) {
          ASSERT_GT((*frame)->sequence, last);
        }
        last = (*frame)->sequence;
        ++taken;
        frames += (*frame)->absent ? 0 : 1;
      }
    }
    const FrameCounts counts = clock.counts();
    uint64_t dropped = 0, absent = 0;
    for (const auto& [reason, count] : counts.dropped) dropped += count;
    for (const auto& [reason, count] : counts.absent) absent += count;
    EXPECT_EQ(counts.captured, captured);
    EXPECT_EQ(counts.named, frames);
    EXPECT_EQ(counts.captured, counts.named + dropped);
    EXPECT_EQ(taken, counts.named + absent);
    EXPECT_EQ(last + 1 - first, taken + counts.skipped);
  }
}

// When the pictures of one device were really captured, by sequence.
std::map<uint64_t, double> Captured(double rate, double clock_ahead, double camera_interval,
                                    double camera_phase, double seconds) {
  FrameClock clock(absl::Seconds(1 / rate));
  const absl::Time begin = absl::FromUnixSeconds(1700000000);
  const auto own = [&](double t) { return begin + absl::Seconds(t + clock_ahead); };
  clock.Start(own(0));
  std::map<uint64_t, double> captured;
  double picture = camera_phase, waiting = 0;
  for (double t = 0; t < seconds;) {
    const double due = absl::ToDoubleSeconds(clock.NextDue() - own(0));
    if (picture <= due) {
      t = picture;
      if (clock.Wants(own(t))) waiting = t;
      clock.OnPicture(own(t), "p");
      picture += camera_interval;
    } else {
      t = std::max(t, due);
    }
    while (true) {
      const auto frame = clock.Take(own(t));
      EXPECT_TRUE(frame.ok()) << frame.status();
      if (!frame.ok() || !frame->has_value()) break;
      if (!(*frame)->absent) captured[(*frame)->sequence] = waiting;
    }
  }
  return captured;
}

// The stated tolerance: as long as the difference of two clocks and the time between two pictures
// of a camera together stay below half a period, each picture's partner by sequence is the one
// nearest in time. When the difference less that time is above half a period it is another.
TEST(FrameClock, DevicesMeetWithinHalfAPeriodAndNotBeyond) {
  std::mt19937_64 random(11);
  std::uniform_real_distribution<double> unit(0, 1);
  int met = 0, missed = 0;
  for (int round = 0; round < 400; ++round) {
    const double rate = std::exp(unit(random) * std::log(60.0) - 0.7);  // 0.5 to 30 per second
    const double period = 1 / rate;
    const double interval = period * (0.02 + 0.2 * unit(random));
    const double ahead = (2 * unit(random) - 1) * 1.4 * period;
    const auto a = Captured(rate, 0, interval, interval * unit(random), 40 * period);
    const auto b = Captured(rate, ahead, interval, interval * unit(random), 40 * period);
    const bool meet = std::abs(ahead) + interval < period / 2;
    const bool miss = std::abs(ahead) - interval > period / 2;
    if (!meet && !miss) continue;
    (meet ? met : missed) += 1;
    int pairs = 0;
    for (const auto& [sequence, time] : a) {
      if (time < 3 * period || time > 36 * period) continue;  // the ends have no neighbours
      const auto partner = b.find(sequence);
      ASSERT_NE(partner, b.end()) << "rate " << rate << " sequence " << sequence;
      ++pairs;
      double nearest = 1e9;
      for (const auto& [other, other_time] : b) {
        nearest = std::min(nearest, std::abs(other_time - time));
      }
      const double apart = std::abs(partner->second - time);
      EXPECT_LE(std::abs(apart - std::abs(ahead)), interval * 1.0001);
      EXPECT_EQ(apart <= nearest * 1.0001 + 1e-9, meet) << rate << " " << ahead;
    }
    EXPECT_GT(pairs, 20);
  }
  EXPECT_GT(met, 50);
  EXPECT_GT(missed, 50);
}

// Cameras with a common trigger: one event at the middle of a period has one sequence exactly for
// clocks that are right to half a period.
TEST(FrameClock, ATriggerAtTheMiddleOfAPeriodHasOneSequence) {
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> unit(0, 1);
  for (int round = 0; round < 1000; ++round) {
    const absl::Duration period = absl::Seconds(0.001 + unit(random));
    FrameClock clock(period);
    const uint64_t sequence = 1 + random() % 1000000000;
    const absl::Time event =
        absl::UnixEpoch() + static_cast<int64_t>(sequence) * period + period / 2;
    const double error = 2 * unit(random) - 1;
    const bool same = clock.PeriodOf(event + error * period) == sequence;
    if (std::abs(std::abs(error) - 0.5) < 0.001) continue;
    EXPECT_EQ(same, std::abs(error) < 0.5) << error;
  }
}

}  // namespace
}  // namespace ddnn

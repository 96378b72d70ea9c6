#include "runtime/net/outbox.h"

#include <string>

#include "gtest/gtest.h"
#include "runtime/net/protocol.h"
#include "runtime/net/shorten.h"

namespace ddnn {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1700000000);

bool Add(v1::UpSample sample, UpOutbox* outbox) {
  return outbox->Add(std::move(sample), kNow, kNow);
}

v1::UpSample Sized(size_t bytes) {
  v1::UpSample sample;
  sample.set_features(std::string(bytes, 'f'));
  return sample;
}

TEST(UpOutbox, MergesWhatQueuedUpInOrder) {
  UpOutbox outbox(1000, 1 << 20);
  for (int i = 0; i < kMaxPerMessage + 5; ++i) {
    v1::UpSample sample = Sized(10);
    sample.set_sequence(i);
    ASSERT_TRUE(Add(std::move(sample), &outbox));
  }
  v1::Up message;
  outbox.Take(kNow, &message);
  ASSERT_EQ(message.sample_size(), kMaxPerMessage);
  Restore(&message);
  EXPECT_EQ(message.sample(3).sequence(), 3u);
  outbox.Take(kNow, &message);
  ASSERT_EQ(message.sample_size(), 5);
  Restore(&message);
  EXPECT_EQ(message.sample(4).sequence(), static_cast<uint64_t>(kMaxPerMessage + 4));
  EXPECT_TRUE(outbox.empty());
}

TEST(UpOutbox, KeepsMessagesBelowTheReceiveLimitButForOneLargeSample) {
  UpOutbox outbox(1000, 1 << 20);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Add(Sized(kMergeBytes / 4), &outbox));
  ASSERT_TRUE(Add(Sized(kMergeBytes * 2), &outbox));
  int messages = 0, samples = 0;
  while (!outbox.empty()) {
    v1::Up message;
    outbox.Take(kNow, &message);
    ++messages;
    samples += message.sample_size();
    EXPECT_TRUE(message.ByteSizeLong() <= kMergeBytes || message.sample_size() == 1);
  }
  EXPECT_EQ(samples, 11);
  EXPECT_EQ(messages, 5);
}

TEST(UpOutbox, IsBoundedInNumberAndBytes) {
  UpOutbox few(2, 1 << 20);
  EXPECT_TRUE(Add(Sized(1), &few));
  EXPECT_TRUE(Add(Sized(1), &few));
  EXPECT_FALSE(Add(Sized(1), &few));
  UpOutbox small(100, 1000);
  EXPECT_TRUE(Add(Sized(600), &small));
  EXPECT_FALSE(Add(Sized(600), &small));
  v1::Up message;
  small.Take(kNow, &message);
  EXPECT_TRUE(Add(Sized(600), &small));
}

TEST(DownOutbox, StaysBelowTheReceiveLimitWithTheLongestReasons) {
  DownOutbox outbox(1000);
  outbox.SetWelcome();
  outbox.SetStart();
  Answer answer;
  answer.sample = {~uint32_t{0}, ~uint64_t{0}};
  answer.presence = ~uint64_t{0};
  answer.reason = std::string(10000, 'r');
  v1::SampleRef wanted;
  wanted.set_sequence(~uint64_t{0});
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(outbox.Add(ToProto(answer), kNow));
    ASSERT_TRUE(outbox.Add(wanted, kNow));
  }
  v1::Down message;
  outbox.Take(&message);
  EXPECT_TRUE(message.has_welcome() && message.start());
  EXPECT_EQ(message.answer_size(), kMaxPerMessage);
  EXPECT_LE(message.ByteSizeLong(), MaxDownBytes());
  outbox.Take(&message);
  EXPECT_FALSE(message.has_welcome() || message.start());
  EXPECT_EQ(message.answer_size(), 100 - kMaxPerMessage);
  EXPECT_TRUE(outbox.empty());
}

absl::Time In(int ms) { return kNow + absl::Milliseconds(ms); }

TEST(MayWait, IsAnEighthOfTheTimeLeftAndAtMostTheDelay) {
  const absl::Duration delay = absl::Milliseconds(50);
  EXPECT_EQ(MayWait(delay, absl::InfiniteDuration()), delay);
  EXPECT_EQ(MayWait(delay, absl::Seconds(2)), delay);
  EXPECT_EQ(MayWait(delay, absl::Milliseconds(80)), absl::Milliseconds(10));
  EXPECT_EQ(MayWait(delay, absl::ZeroDuration()), absl::ZeroDuration());
  EXPECT_EQ(MayWait(delay, -absl::Seconds(1)), absl::ZeroDuration());
  EXPECT_EQ(MayWait(absl::ZeroDuration(), absl::InfiniteDuration()), absl::ZeroDuration());
}

TEST(UpOutbox, IsDueWhenTheMostUrgentOfItIs) {
  UpOutbox outbox(1000, 1 << 20);
  EXPECT_EQ(outbox.due(), absl::InfiniteFuture());
  outbox.Add(Sized(1), kNow, In(50));
  outbox.Add(Sized(1), In(10), In(60));
  EXPECT_EQ(outbox.due(), In(50));
  outbox.Add(Sized(1), In(20), In(25));
  EXPECT_EQ(outbox.due(), In(25));
  v1::Up message;
  outbox.Take(In(25), &message);
  EXPECT_EQ(message.sample_size(), 3) << "the others go with it";
  EXPECT_EQ(outbox.due(), absl::InfiniteFuture());
}

TEST(UpOutbox, IsDueAtOnceWhenAMessageIsFull) {
  UpOutbox many(1000, 1 << 20);
  for (int i = 0; i < kMaxPerMessage - 1; ++i) many.Add(Sized(1), kNow, In(50));
  EXPECT_EQ(many.due(), In(50));
  many.Add(Sized(1), kNow, In(50));
  EXPECT_LE(many.due(), kNow);
  UpOutbox large(1000, 1 << 20);
  large.Add(Sized(kMergeBytes), kNow, In(50));
  EXPECT_LE(large.due(), kNow);
}

TEST(UpOutbox, LetsWhatDidNotFitFollowAtOnce) {
  UpOutbox outbox(1000, 1 << 20);
  for (int i = 0; i < kMaxPerMessage + 1; ++i) outbox.Add(Sized(1), kNow, In(50));
  v1::Up message;
  outbox.Take(kNow, &message);
  EXPECT_LE(outbox.due(), kNow);
  outbox.Take(kNow, &message);
  EXPECT_EQ(message.sample_size(), 1);
}

TEST(UpOutbox, ReadinessDoesNotWait) {
  UpOutbox outbox(1000, 1 << 20);
  outbox.Add(Sized(1), kNow, In(50));
  outbox.SetReady();
  EXPECT_LE(outbox.due(), kNow);
  v1::Up message;
  outbox.Take(kNow, &message);
  EXPECT_TRUE(message.ready());
  EXPECT_EQ(message.sample_size(), 1);
}

TEST(UpOutbox, TakesWaitingFromTheTimeLeft) {
  UpOutbox outbox(1000, 1 << 20);
  v1::UpSample sample = Sized(1);
  sample.set_time_left_ms(1000);
  outbox.Add(sample, kNow, In(50));
  sample.set_time_left_ms(20);
  outbox.Add(sample, kNow, In(50));
  v1::Up message;
  outbox.Take(In(50), &message);
  EXPECT_EQ(message.sample(0).time_left_ms(), 950u);
  EXPECT_EQ(message.sample(1).time_left_ms(), 1u) << "0 would say that nobody knows";
}

TEST(DownOutbox, IsDueWhenTheMostUrgentOfItIs) {
  DownOutbox outbox(1000);
  outbox.Add(v1::SampleRef(), In(50));
  outbox.Add(v1::DownAnswer(), In(30));
  EXPECT_EQ(outbox.due(), In(30));
  v1::Down message;
  outbox.Take(&message);
  EXPECT_EQ(message.want_features_size(), 1);
  EXPECT_EQ(outbox.due(), absl::InfiniteFuture());
  outbox.Add(v1::SampleRef(), In(50));
  outbox.SetStart();
  EXPECT_LE(outbox.due(), kNow);
  outbox.Clear();
  EXPECT_EQ(outbox.due(), absl::InfiniteFuture());
  for (int i = 0; i < kMaxPerMessage; ++i) outbox.Add(v1::DownAnswer(), In(50));
  EXPECT_LE(outbox.due(), kNow) << "a message is full";
}

TEST(UpOutbox, LetsKeptSamplesGoOneByOneBehindEverythingElse) {
  UpOutbox outbox(100, 1 << 20);
  v1::KeptSample kept;
  kept.set_features(std::string(100, 'f'));
  for (uint32_t number : {1u, 2u}) {
    kept.set_number(number);
    EXPECT_TRUE(outbox.AddKept(kept));
  }
  for (uint64_t i = 0; i < kMaxPerMessage + 1; ++i) {
    v1::UpSample sample;
    sample.set_sequence(i + 1);
    EXPECT_TRUE(outbox.Add(std::move(sample), kNow, kNow));
  }
  v1::Up message;
  outbox.Take(kNow, &message);
  EXPECT_EQ(message.sample_size(), kMaxPerMessage);
  EXPECT_EQ(message.kept_size(), 0);
  outbox.Take(kNow, &message);
  EXPECT_EQ(message.sample_size(), 1);
  EXPECT_EQ(message.kept_size(), 0);
  for (uint32_t number : {1u, 2u}) {
    EXPECT_FALSE(outbox.empty());
    outbox.Take(kNow, &message);
    ASSERT_EQ(message.kept_size(), 1);
    EXPECT_EQ(message.kept(0).number(), number);
  }
  EXPECT_TRUE(outbox.empty());
}

TEST(UpOutbox, RefusesKeptSamplesLongBeforeThereIsNoRoomForOthers) {
  UpOutbox outbox(1 << 20, 1 << 20);
  v1::KeptSample kept;
  kept.set_pixels(std::string(10000, 'p'));
  int taken = 0;
  while (outbox.AddKept(kept)) ++taken;
  EXPECT_GT(taken, 40);
  EXPECT_LE(taken, 52);
  v1::UpSample sample;
  sample.set_features(std::string(400000, 'f'));
  EXPECT_TRUE(outbox.Add(std::move(sample), kNow, kNow));
  outbox.Clear();
  EXPECT_TRUE(outbox.empty());
  EXPECT_TRUE(outbox.AddKept(kept));
}

TEST(UpOutbox, LetsNoSampleLeaveEarlyForTheSakeOfAKeptOne) {
  UpOutbox outbox(100, 1 << 20);
  v1::KeptSample kept;
  kept.set_features("f");
  ASSERT_TRUE(outbox.Add(Sized(10), kNow, kNow + absl::Seconds(1)));
  ASSERT_TRUE(outbox.AddKept(kept));
  EXPECT_EQ(outbox.due(), kNow + absl::Seconds(1));
  v1::Up message;
  outbox.Take(kNow, &message);
  EXPECT_EQ(message.sample_size(), 1);
  EXPECT_LE(outbox.due(), kNow) << "now it is its turn";
  outbox.Take(kNow, &message);
  EXPECT_EQ(message.kept_size(), 1);
  EXPECT_EQ(outbox.due(), absl::InfiniteFuture());
  ASSERT_TRUE(outbox.AddKept(kept));
  EXPECT_LE(outbox.due(), kNow);
}

TEST(DownOutbox, TakesAcknowledgementsAlong) {
  DownOutbox outbox(2);
  v1::KeptAck ack;
  ack.set_number(5);
  ASSERT_TRUE(outbox.Add(v1::DownAnswer(), kNow + absl::Seconds(1)));
  ASSERT_TRUE(outbox.Add(ack, kNow));
  EXPECT_FALSE(outbox.Add(ack, kNow)) << "a child that does not read";
  EXPECT_EQ(outbox.due(), kNow);
  v1::Down message;
  outbox.Take(&message);
  EXPECT_EQ(message.answer_size(), 1);
  ASSERT_EQ(message.kept_size(), 1);
  EXPECT_EQ(message.kept(0).number(), 5u);
  EXPECT_TRUE(outbox.empty());
}

}  // namespace
}  // namespace ddnn

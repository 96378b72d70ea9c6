#include <atomic>

#include "tests/net/stream_ends.h"

namespace ddnn {
namespace {

// Time stands still until a test moves it.
class StoppedClock {
 public:
  Clock clock() {
    return [this] { return absl::FromUnixMillis(1700000000000 + ms_); };
  }
  absl::Time now() { return clock()(); }
  void Pass(int ms) { ms_ += ms; }

 private:
  std::atomic<int64_t> ms_{0};
};

class BatchingTest : public TierClientTest {
 protected:
  static constexpr absl::Duration kDelay = absl::Milliseconds(50);

  TierClient::Options Options(int node) {
    TierClient::Options options = TierClientTest::Options(node);
    options.target = slow_parent_.address();
    options.max_batching_delay = kDelay;
    options.now = time_.clock();
    return options;
  }

  StoppedClock time_;
  Parent slow_parent_{plan_, kDelay, time_.clock()};
};

TEST_F(BatchingTest, SamplesWaitForCompanyAndLeaveInOneMessage) {
  TierClient client(plan_, Options(0), &up_);
  client.Start();
  ASSERT_TRUE(up_.WaitForUps(1));
  const uint64_t before = client.messages().sent;
  const absl::Time due = time_.now() + kDelay;
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(client.Send(Scores(i)), due);
    time_.Pass(9);
  }
  EXPECT_EQ(client.Flush(), due);
  EXPECT_EQ(client.messages().sent, before) << "the first of them has 5 ms left to wait";
  time_.Pass(5);
  EXPECT_EQ(client.Flush(), absl::InfiniteFuture());
  ASSERT_TRUE(slow_parent_.children.WaitForSamples(5));
  EXPECT_EQ(client.messages().sent, before + 1);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(slow_parent_.children.samples[i].sequence(), i);
}

TEST_F(BatchingTest, AFullMessageLeavesAtOnce) {
  TierClient client(plan_, Options(0), &up_);
  client.Start();
  ASSERT_TRUE(up_.WaitForUps(1));
  for (int i = 0; i < kMaxPerMessage - 1; ++i) {
    EXPECT_EQ(client.Send(Scores(i)), time_.now() + kDelay);
  }
  EXPECT_EQ(client.Send(Scores(kMaxPerMessage)), absl::InfiniteFuture());
  EXPECT_TRUE(slow_parent_.children.WaitForSamples(kMaxPerMessage));
}

TEST_F(BatchingTest, ASampleThatIsInAHurryTakesTheOthersAlong) {
  TierClient client(plan_, Options(0), &up_);
  client.Start();
  ASSERT_TRUE(up_.WaitForUps(1));
  client.Send(Scores(1));
  v1::UpSample hasty = Scores(2);
  hasty.set_time_left_ms(80);
  EXPECT_EQ(client.Send(hasty), time_.now() + absl::Milliseconds(10));
  time_.Pass(10);
  EXPECT_EQ(client.Flush(), absl::InfiniteFuture());
  ASSERT_TRUE(slow_parent_.children.WaitForSamples(2));
  EXPECT_EQ(slow_parent_.children.samples[1].time_left_ms(), 70u);
}

TEST_F(BatchingTest, WhatWaitsIsSaidBeforeTheEnd) {
  TierClient client(plan_, Options(0), &up_);
  client.Start();
  ASSERT_TRUE(up_.WaitForUps(1));
  client.Send(Scores(1));
  client.Stop(absl::Seconds(20));
  EXPECT_TRUE(slow_parent_.children.WaitForSamples(1));
}

TEST_F(BatchingTest, RequestsAndAnswersWaitForEachOther) {
  TierClient client(plan_, Options(0), &up_);
  client.Start();
  ASSERT_TRUE(up_.WaitForUps(1));
  const uint64_t before = client.messages().received;
  Answer answer;
  answer.sample = {0, 7};
  TierServer* tier = slow_parent_.tier();
  const absl::Time due = time_.now() + kDelay;
  EXPECT_EQ(tier->SendWanted(0, {0, 8}, absl::Seconds(2)), due);
  time_.Pass(20);
  EXPECT_EQ(tier->SendAnswer(0, answer, absl::Seconds(2)), due);
  EXPECT_EQ(tier->Flush(), due);
  time_.Pass(30);
  EXPECT_EQ(tier->Flush(), absl::InfiniteFuture());
  ASSERT_TRUE(up_.waiter.WaitUntil([&] { return !up_.answers.empty(); }));
  EXPECT_EQ(up_.wanted, (std::vector<SampleKey>{{0, 8}}));
  EXPECT_EQ(client.messages().received, before + 1);
  // A child that gives up now is told now.
  EXPECT_EQ(tier->SendAnswer(0, answer, absl::ZeroDuration()), absl::InfiniteFuture());
  EXPECT_TRUE(up_.waiter.WaitUntil([&] { return up_.answers.size() == 2; }));
}

}  // namespace
}  // namespace ddnn

#include "device/send_window.h"

#include "gtest/gtest.h"

namespace ddnn {
namespace {

class SendWindowTest : public ::testing::Test {
 protected:
  bool Sends() { return window_.MaySend(now_); }
  // Sends as many as the window lets pass, however long the rate makes that take.
  int SendAll() {
    int sent = 0;
    for (; window_.MaySend(now_); ++sent, now_ += absl::Nanoseconds(1)) window_.Sent(now_);
    return sent;
  }
  static SendWindow::Options Options() {
    SendWindow::Options options;
    options.rate = 1e9;
    options.max_in_flight = 5;
    return options;
  }

  absl::Time now_ = absl::FromUnixSeconds(100);
  SendWindow window_{Options()};
};

TEST_F(SendWindowTest, SendsNothingWithoutAParent) {
  EXPECT_FALSE(Sends());
  EXPECT_EQ(window_.NextDue(true), absl::InfiniteFuture());
  window_.ParentUp(now_);
  EXPECT_EQ(window_.NextDue(true), now_);
  window_.ParentGone();
  EXPECT_FALSE(Sends());
  EXPECT_FALSE(window_.GiveUp(now_ + absl::Hours(1)));
}

TEST_F(SendWindowTest, BeginsWithOneAndDoublesUpToItsBound) {
  window_.ParentUp(now_);
  for (int expected : {1, 2, 4, 5, 5}) {
    now_ += absl::Milliseconds(1);
    const int sent = SendAll();
    EXPECT_EQ(sent, expected);
    window_.Stored(static_cast<uint64_t>(sent), now_);
  }
}

TEST_F(SendWindowTest, KeepsToItsRate) {
  SendWindow::Options options = Options();
  options.rate = 4;
  SendWindow window(options);
  window.ParentUp(now_);
  int sent = 0;
  for (const absl::Time end = now_ + absl::Seconds(10); now_ < end; now_ += absl::Milliseconds(1)) {
    if (!window.MaySend(now_)) continue;
    window.Sent(now_);
    window.Stored(1, now_);
    EXPECT_EQ(window.NextDue(true), now_ + absl::Milliseconds(250));
    ++sent;
  }
  EXPECT_EQ(sent, 40);
}

TEST_F(SendWindowTest, BeginsAgainWhenNothingComesBack) {
  window_.ParentUp(now_);
  EXPECT_EQ(SendAll(), 1);
  window_.Stored(1, now_);
  EXPECT_EQ(SendAll(), 2);
  const absl::Time due = window_.NextDue(true);
  EXPECT_GT(due, now_);
  EXPECT_FALSE(window_.GiveUp(due - absl::Nanoseconds(1)));
  now_ = due;
  EXPECT_TRUE(window_.GiveUp(now_));
  EXPECT_FALSE(window_.GiveUp(now_));
  EXPECT_EQ(SendAll(), 1);
}

TEST_F(SendWindowTest, HasPatienceAsLongAsSomethingComesBack) {
  window_.ParentUp(now_);
  SendAll();
  window_.Stored(1, now_);
  EXPECT_EQ(window_.NextDue(false), absl::InfiniteFuture());
  SendAll();
  now_ += absl::Seconds(9);
  window_.Stored(1, now_);
  EXPECT_FALSE(window_.GiveUp(now_ + absl::Seconds(9)));
  EXPECT_TRUE(window_.GiveUp(now_ + absl::Seconds(10)));
}

TEST_F(SendWindowTest, LeavesARootWithoutAStoreAloneUntilAnotherIsThere) {
  window_.ParentUp(now_);
  SendAll();
  window_.NoStore(now_);
  EXPECT_FALSE(Sends());
  EXPECT_EQ(window_.NextDue(true), now_ + absl::Minutes(5));
  now_ += absl::Minutes(5);
  EXPECT_EQ(SendAll(), 1);
  window_.NoStore(now_);
  window_.ParentGone();
  window_.ParentUp(now_);
  EXPECT_EQ(SendAll(), 1);
}

}  // namespace
}  // namespace ddnn

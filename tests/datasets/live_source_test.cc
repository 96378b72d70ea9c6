#include "datasets/live_source.h"

#include <gmock/gmock.h>

#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datasets/camera_backoff.h"
#include "tests/datasets/fake_camera.h"

namespace ddnn {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kFirst = 17000000000;

// Periods of 100 ms. The clock stands still until the test sets it, in milliseconds since the
// first.
class LiveSourceTest : public ::testing::Test {
 protected:
  static absl::Time At(double ms) {
    return absl::UnixEpoch() + static_cast<int64_t>(kFirst) * absl::Milliseconds(100) +
           absl::Milliseconds(ms);
  }
  void Start() {
    LiveSource::Options options;
    options.name = "the camera";
    options.period = absl::Milliseconds(100);
    options.now = [this] { return time_.Now(); };
    options.say = [this](const std::string& text) {
      std::lock_guard<std::mutex> lock(mu_);
      said_.push_back(text);
    };
    options.min_backoff = absl::Microseconds(1);
    options.max_backoff = absl::Microseconds(10);
    source_ = std::make_unique<LiveSource>([this] { return camera_.Open(); }, options);
  }
  // Has the clock started and the camera there: period 0 is over, and was absent.
  void Begin() {
    camera_.SetOpen(absl::UnavailableError("not yet"));
    Start();
    EXPECT_EQ(Next(50), "0:-");
    camera_.WaitForTries(2);
    camera_.SetOpen(absl::OkStatus());
    camera_.WaitUntilRead();
  }
  // The frame that is due when the clock shows `ms`: "3:p", "3:-" if absent, or the error's text.
  std::string Next(double ms) {
    time_.Set(At(ms));
    const absl::StatusOr<Frame> frame = source_->Next();
    if (!frame.ok()) return std::string(frame.status().message());
    return absl::StrCat(frame->sequence - kFirst, ":", frame->absent ? "-" : frame->pixels);
  }
  // Waits until the camera's pictures are where Next finds them.
  void WaitForNamed(uint64_t captured) {
    camera_.WaitUntilRead();
    EXPECT_EQ(source_->counts().captured, captured);
  }
  std::vector<std::string> said() {
    std::lock_guard<std::mutex> lock(mu_);
    return said_;
  }

  FakeCamera camera_;
  FakeTime time_{At(0)};
  std::mutex mu_;
  std::vector<std::string> said_;
  std::unique_ptr<LiveSource> source_;
};

TEST_F(LiveSourceTest, GivesTheNewestPictureOfEachPeriod) {
  Begin();
  EXPECT_TRUE(source_->live());
  time_.Set(At(110));
  for (const char* pixels : {"a", "b", "c"}) camera_.Give(std::string(pixels));
  WaitForNamed(3);
  EXPECT_EQ(Next(150), "1:c");
  camera_.Give(std::string("d"));  // of the same period
  WaitForNamed(4);
  EXPECT_EQ(camera_.retrieved(), 3) << "what is not wanted is not decoded";
  time_.Set(At(230));
  camera_.Give(std::string("e"));
  WaitForNamed(5);
  EXPECT_EQ(Next(250), "2:e");
  const FrameCounts counts = source_->counts();
  EXPECT_EQ(counts.named, 2u);
  EXPECT_EQ(counts.dropped.at("newer picture"), 2u);
  EXPECT_EQ(counts.dropped.at("period has one"), 1u);
  EXPECT_EQ(counts.absent.at("camera gone"), 1u);
}

TEST_F(LiveSourceTest, ACameraThatGoesIsAbsentAtOnceAndTriedUntilItIsBack) {
  Begin();
  time_.Set(At(120));
  camera_.Give(std::string("a"));
  WaitForNamed(1);
  EXPECT_EQ(Next(150), "1:a");
  camera_.SetOpen(absl::UnavailableError("the camera: cannot be opened"));
  camera_.Break(absl::UnavailableError("the camera: gives no more pictures"));
  camera_.WaitForTries(5);
  EXPECT_EQ(Next(250), "2:-");
  EXPECT_EQ(Next(350), "3:-");
  EXPECT_EQ(source_->counts().absent["camera gone"], 3u);
  time_.Set(At(420));
  camera_.SetOpen(absl::OkStatus());
  camera_.Give(std::string("b"));
  WaitForNamed(2);
  EXPECT_EQ(Next(450), "4:b");
  EXPECT_EQ(source_->counts().losses, 1u);
  EXPECT_THAT(said(), ElementsAre("not yet; trying on", HasSubstr("the camera: is there after "),
                                  "the camera: gives no more pictures; trying on",
                                  HasSubstr("the camera: is there after ")))
      << "once each, however often it was tried";
}

TEST_F(LiveSourceTest, ACameraThatIsNotThereYetIsTriedOn) {
  camera_.SetOpen(absl::UnavailableError("the camera: cannot be opened"));
  Start();
  camera_.WaitForTries(3);
  EXPECT_EQ(Next(50), "0:-");
  EXPECT_EQ(Next(150), "1:-");
  EXPECT_THAT(said(), ElementsAre("the camera: cannot be opened; trying on"));
  EXPECT_EQ(source_->counts().losses, 0u) << "it never was there";
}

TEST_F(LiveSourceTest, TheEndOfAVideoIsACameraThatGoes) {
  Begin();
  time_.Set(At(110));
  camera_.SetOpen(absl::NotFoundError("clip.avi: is not a file"));
  camera_.Break(absl::OutOfRangeError("clip.avi: end of the video"));
  camera_.WaitForTries(10);
  EXPECT_EQ(Next(150), "1:-");
}

TEST_F(LiveSourceTest, WhatCanNeverWorkEndsTheSource) {
  Begin();
  time_.Set(At(110));
  camera_.Give(absl::InvalidArgumentError("--roi does not lie in the picture"));
  EXPECT_EQ(Next(110), "--roi does not lie in the picture");
  EXPECT_EQ(Next(200), "--roi does not lie in the picture");
}

TEST_F(LiveSourceTest, APictureThatCannotBeReadIsCountedAndTheNextIsTaken) {
  Begin();
  time_.Set(At(120));
  camera_.Give(absl::DataLossError("x.png: damaged"));
  camera_.Give(absl::DataLossError("y.png: damaged"));
  camera_.Give(std::string("a"));
  WaitForNamed(3);
  EXPECT_EQ(Next(150), "1:a");
  EXPECT_EQ(source_->counts().dropped.at("unreadable"), 2u);
  EXPECT_THAT(said(), ElementsAre(_, _, "x.png: damaged")) << "once, until one can be read";
}

TEST_F(LiveSourceTest, StopEndsWhoWaitsForAFrameAndFreezesTheCounts) {
  Begin();
  time_.Set(At(120));
  camera_.Give(std::string("a"));
  WaitForNamed(1);
  time_.Set(At(121));
  std::thread stopper([this] { source_->Stop(); });
  EXPECT_EQ(source_->Next().status().code(), absl::StatusCode::kCancelled);
  stopper.join();
  EXPECT_EQ(source_->Next().status().code(), absl::StatusCode::kCancelled);
  const FrameCounts counts = source_->counts();
  EXPECT_EQ(counts.captured, 1u);
  EXPECT_EQ(counts.dropped.at("at the end"), 1u);
}

TEST_F(LiveSourceTest, MayBeStoppedAtAnyMoment) {
  for (int round = 0; round < 200; ++round) {
    if (round % 3 == 0) camera_.SetOpen(absl::UnavailableError("gone"));
    Start();
    if (round % 2 == 0) camera_.Give(std::string("a"));
    if (round % 5 == 0) camera_.Break(absl::UnavailableError("broken"));
    source_.reset();
    camera_.SetOpen(absl::OkStatus());
  }
}

TEST(CameraBackoff, DoublesUpToItsMostAndIsShortenedByChance) {
  CameraBackoff backoff(absl::Milliseconds(500), absl::Seconds(30), 7);
  double least = 0.5;
  bool jittered = false;
  for (int i = 0; i < 12; ++i) {
    const double wait = absl::ToDoubleSeconds(backoff.Next());
    EXPECT_GE(wait, least / 2);
    EXPECT_LE(wait, least);
    jittered |= wait < least * 0.9;
    least = std::min(least * 2, 30.0);
  }
  EXPECT_TRUE(jittered);
}

TEST(CameraBackoff, BeginsAnewOnlyAfterWhatStayedAsLongAsWasWaited) {
  CameraBackoff backoff(absl::Seconds(1), absl::Seconds(64), 7);
  for (int i = 0; i < 3; ++i) backoff.Next();  // 1, 2, 4
  backoff.Stayed(absl::Seconds(3));
  EXPECT_GE(backoff.Next(), absl::Seconds(4)) << "8";
  backoff.Stayed(absl::Seconds(8));
  EXPECT_LE(backoff.Next(), absl::Seconds(1));
}

}  // namespace
}  // namespace ddnn

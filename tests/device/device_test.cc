#include "device/device.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/node/fake_engine.h"
#include "tests/node/networks.h"

namespace ddnn {
namespace {

// Frames by number; every third is one this view does not see. Looks at the host before each.
class FakeSource : public FrameSource {
 public:
  FakeSource(const NetworkPlan& plan, uint64_t frames, bool live)
      : size_(plan.view_shape().size()), frames_(frames), live_(live) {}

  absl::StatusOr<Frame> Next() override {
    if (host != nullptr) most_under_way = std::max(most_under_way, host->under_way());
    if (next_ == break_at) return absl::UnavailableError("the camera is gone");
    if (next_ == frames_) return absl::OutOfRangeError("the end");
    Frame frame;
    frame.sequence = next_++;
    frame.absent = !live_ && frame.sequence % 3 == 2;
    if (!frame.absent) frame.pixels = std::string(size_, static_cast<char>(frame.sequence));
    return frame;
  }
  bool live() const override { return live_; }

  NodeHost* host = nullptr;
  int most_under_way = 0;
  uint64_t break_at = ~uint64_t{0};

 private:
  const size_t size_;
  const uint64_t frames_;
  const bool live_;
  uint64_t next_ = 0;
};

// A camera of which nothing comes until it is stopped; then it has counted.
class SilentCamera : public FrameSource {
 public:
  absl::StatusOr<Frame> Next() override {
    std::unique_lock<std::mutex> lock(mu_);
    waits_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return stopped_; });
    return absl::CancelledError("stopped");
  }
  bool live() const override { return true; }
  void Stop() override {
    std::lock_guard<std::mutex> lock(mu_);
    stopped_ = true;
    changed_.notify_all();
  }
  FrameCounts counts() const override {
    FrameCounts counts;
    counts.captured = 7;
    return counts;
  }
  void WaitUntilAsked() {
    std::unique_lock<std::mutex> lock(mu_);
    changed_.wait(lock, [this] { return waits_; });
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  bool waits_ = false, stopped_ = false;
};

class DeviceTest : public ::testing::Test {
 protected:
  DeviceTest() {
    bundle_.sha256 = std::string(32, 'h');
    bundle_.thresholds.assign(plan_.exits().size(), 0.5f);
  }

  NodeHost::Options HostOptions(int tier) {
    NodeHost::Options options;
    options.node.tier = tier;
    options.node.gather_deadline = options.node.sample_deadline = absl::Minutes(1);
    if (tier == 1) options.listen = "127.0.0.1:0";
    if (tier == 0) options.parent = absl::StrCat("127.0.0.1:", root_->port());
    options.min_backoff = absl::Milliseconds(1);
    return options;
  }
  void StartRoot() { root_ = *NodeHost::Start(bundle_, CreateFakeEngine, HostOptions(1), &deaf_); }
  std::unique_ptr<NodeHost> StartDevice(Device* device) {
    return *NodeHost::Start(bundle_, CreateFakeEngine, HostOptions(0), device);
  }
  Device::Options Options() {
    Device::Options options;
    options.on_answer = [this](const Answer& answer) { answers_.push_back(answer); };
    return options;
  }

  const NetworkPlan plan_ = SmallNetwork('b');
  Bundle bundle_ = FakeBundle(plan_);
  NodeObserver deaf_;
  std::unique_ptr<NodeHost> root_;
  std::vector<Answer> answers_;
};

TEST_F(DeviceTest, HearsAnAnswerForEveryFrameAndEndsWithTheSource) {
  StartRoot();
  Device device(plan_, Options());
  auto host = StartDevice(&device);
  FakeSource source(plan_, 100, /*live=*/false);
  ASSERT_TRUE(device.Run(host.get(), &source).ok());
  host->Stop();
  std::set<uint64_t> sequences;
  for (const Answer& answer : answers_) sequences.insert(answer.sample.sequence);
  EXPECT_EQ(sequences.size(), 100u);
  EXPECT_EQ(answers_.size(), 100u);
  const DeviceSummary summary = device.summary();
  EXPECT_EQ(summary.samples, 100u);
  EXPECT_EQ(summary.answered + summary.shed + summary.expired, 100u);
  EXPECT_GE(summary.answered, 67u) << "all that it saw";
  uint64_t exits = 0;
  for (uint64_t count : summary.by_exit) exits += count;
  EXPECT_EQ(exits, summary.answered);
}

TEST_F(DeviceTest, HoldsASourceBackWhenTooManyAreUnderWay) {
  StartRoot();
  Device::Options options = Options();
  options.max_in_flight = 3;
  Device device(plan_, options);
  auto host = StartDevice(&device);
  FakeSource source(plan_, 200, /*live=*/false);
  source.host = host.get();
  ASSERT_TRUE(device.Run(host.get(), &source).ok());
  EXPECT_LT(source.most_under_way, 3);
  EXPECT_EQ(answers_.size(), 200u);
}

TEST_F(DeviceTest, DropsLiveFramesThatNobodyCanTakeAndSaysSo) {
  StartRoot();
  Device::Options options = Options();
  options.max_in_flight = 0;
  Device device(plan_, options);
  auto host = StartDevice(&device);
  FakeSource source(plan_, 10, /*live=*/true);
  ASSERT_TRUE(device.Run(host.get(), &source).ok());
  EXPECT_EQ(device.summary().shed, 10u);
  EXPECT_EQ(device.summary().reason.at("device busy"), 10u);
  EXPECT_EQ(host->Stats().shed(), 10u);
}

TEST_F(DeviceTest, StopsAfterAsManySamplesAsAsked) {
  StartRoot();
  Device::Options options = Options();
  options.samples = 7;
  options.wait_for_tree = true;
  Device device(plan_, options);
  auto host = StartDevice(&device);
  FakeSource source(plan_, 1000, /*live=*/false);
  ASSERT_TRUE(device.Run(host.get(), &source).ok());
  EXPECT_EQ(answers_.size(), 7u);
}

TEST_F(DeviceTest, AnswersWhatIsUnderWayWhenTheCameraBreaksAndReportsIt) {
  StartRoot();
  Device device(plan_, Options());
  auto host = StartDevice(&device);
  FakeSource source(plan_, 1000, /*live=*/false);
  source.break_at = 20;
  const absl::Status status = device.Run(host.get(), &source);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(answers_.size(), 20u);
}

TEST_F(DeviceTest, StopsOnRequestEvenWhileItWaitsForTheTree) {
  StartRoot();
  Device::Options options = Options();
  options.wait_for_tree = true;
  Device device(plan_, options);
  NodeHost::Options alone = HostOptions(0);
  alone.parent = "127.0.0.1:1";  // nobody there
  auto host = *NodeHost::Start(bundle_, CreateFakeEngine, alone, &device);
  FakeSource source(plan_, 10, /*live=*/false);
  std::thread stopper([&] { device.Stop(); });
  EXPECT_TRUE(device.Run(host.get(), &source).ok());
  stopper.join();
  EXPECT_TRUE(answers_.empty());
}

TEST_F(DeviceTest, StopsOnRequestEvenWhileItsCameraGivesNothing) {
  StartRoot();
  Device device(plan_, Options());
  auto host = StartDevice(&device);
  SilentCamera camera;
  std::thread stopper([&] {
    camera.WaitUntilAsked();
    device.Stop();
  });
  EXPECT_TRUE(device.Run(host.get(), &camera).ok());
  stopper.join();
  EXPECT_EQ(device.summary().frames.captured, 7u);
}

TEST_F(DeviceTest, ACameraThatGivesNothingDoesNotKeepARefusalFromBeingReported) {
  StartRoot();
  Device device(plan_, Options());
  Bundle other = bundle_;
  other.sha256 = std::string(32, 'x');
  auto host = *NodeHost::Start(other, CreateFakeEngine, HostOptions(0), &device);
  SilentCamera camera;
  EXPECT_EQ(device.Run(host.get(), &camera).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(DeviceTest, ReportsWhyTheParentRefusedIt) {
  StartRoot();
  Device device(plan_, Options());
  Bundle other = bundle_;
  other.sha256 = std::string(32, 'x');
  auto host = *NodeHost::Start(other, CreateFakeEngine, HostOptions(0), &device);
  FakeSource source(plan_, 10, /*live=*/false);
  EXPECT_EQ(device.Run(host.get(), &source).code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace ddnn

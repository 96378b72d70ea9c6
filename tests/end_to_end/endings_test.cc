// How programs end: drained, interrupted, killed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/end_to_end/harness.h"
#include "tests/support/random_network.h"

namespace ddnn {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// One device, an edge and the cloud, started one by one.
class Draining : public testing::Test {
 protected:
  void SetUp() override {
    data_ = WriteItems(folder_, 5000);
    bundle_ = SaveRandomBundle(folder_, "bundle", "models/figure2/d.textproto", data_, 0.4, 31);
    cloud_ = std::make_unique<Running>(std::vector<std::string>{
        Program("ddnn-cloud"), "--bundle=" + bundle_, "--listen=127.0.0.1:0",
        "--stats_file=" + (folder_ / "cloud.json")});
    edge_ = std::make_unique<Running>(std::vector<std::string>{
        Program("ddnn-edge"), "--bundle=" + bundle_, "--listen=127.0.0.1:0",
        "--parent=" + AddressOf(cloud_.get()), "--stats_file=" + (folder_ / "edge.json")});
    device_ = std::make_unique<Running>(std::vector<std::string>{
        Program("ddnn-device"), "--bundle=" + bundle_, "--view=0",
        "--parent=" + AddressOf(edge_.get()), "--source=" + data_, "--rate=100", "--wait_for_tree",
        "--json", "--stats_file=" + (folder_ / "device.json")});
    device_->WaitForLine("\"exit\":\"cloud\"");
  }

  v1::NodeStats Ended(Running* node, const std::string& name) {
    node->Signal(SIGTERM);
    const Ran ran = node->Finish();
    EXPECT_EQ(ran.exit_code, 0) << ran.errors;
    v1::NodeStats stats = ReadStats(folder_ / (name + ".json"));
    EXPECT_EQ(stats.entered(), stats.answered() + stats.shed() + stats.expired()) << name;
    return stats;
  }

  TestFolder folder_;
  std::string data_, bundle_;
  std::unique_ptr<Running> cloud_, edge_, device_;
};

TEST_F(Draining, ADeviceAnswersWhatIsUnderWayAndTakesNothingNew) {
  const v1::NodeStats stats = Ended(device_.get(), "device");
  EXPECT_GT(stats.answered(), 0u);
  EXPECT_LT(stats.entered(), 5000u);
  EXPECT_EQ(stats.expired(), 0u);
  EXPECT_EQ(stats.degraded(), 0u);
}

TEST_F(Draining, AnEdgeEndsAndItsDeviceGoesOnAlone) {
  const v1::NodeStats stats = Ended(edge_.get(), "edge");
  EXPECT_GT(stats.answered(), 0u);
  EXPECT_EQ(stats.expired(), 0u);
  device_->WaitForLine("\"degraded\":true");
  EXPECT_TRUE(device_->running());
  EXPECT_GT(Ended(device_.get(), "device").degraded(), 0u);
}

TEST_F(Draining, TheCloudEndsAndTheEdgeAnswers) {
  Ended(cloud_.get(), "cloud");
  EXPECT_THAT(device_->WaitForLine("\"degraded\":true"),
              testing::Not(HasSubstr("\"exit\":\"cloud\"")));
  EXPECT_GT(Ended(edge_.get(), "edge").degraded(), 0u);
  Ended(device_.get(), "device");
}

// A whole tree that would go on for minutes.
class Interrupted : public testing::Test {
 protected:
  void Start() {
    const std::string data = "six-cameras:" + WriteItems(folder_, 5000);
    const std::string bundle =
        SaveRandomBundle(folder_, "bundle", "models/figure2/e.textproto", data, 0.4, 31);
    local_ = std::make_unique<Running>(std::vector<std::string>{
        Program("ddnn-local"), "--topology=" + SourcePath("tools/topologies/e.textproto"),
        "--bundle=" + bundle, "--data=" + data, "--rate=50", "--log_dir=" + (folder_ / "log"),
        "--json=" + (folder_ / "summary.json")});
  }

  // Every node is there: the last device's configuration is on a command line.
  void WaitUntilAllRun() {
    const absl::Time deadline = absl::Now() + absl::Seconds(50);
    while (Nodes().size() < 8 && absl::Now() < deadline && local_->running()) {
      absl::SleepFor(absl::Milliseconds(20));
    }
    ASSERT_EQ(Nodes().size(), 8u);
  }

  // ddnn-local's own command line does not hold this.
  std::vector<pid_t> Nodes() { return ProcessesWith("--config=" + (folder_ / "log")); }

  TestFolder folder_;
  std::unique_ptr<Running> local_;
};

TEST_F(Interrupted, EndsEveryNodeItStarted) {
  Start();
  WaitUntilAllRun();
  local_->Signal(SIGINT);
  const Ran ran = local_->Finish();
  EXPECT_EQ(ran.exit_code, 130) << ran.errors;
  EXPECT_THAT(Nodes(), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "summary.json"));
}

TEST_F(Interrupted, EndsEveryNodeItStartedSoFar) {
  Start();
  const absl::Time deadline = absl::Now() + absl::Seconds(50);
  while (Nodes().empty() && absl::Now() < deadline && local_->running()) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  local_->Signal(SIGTERM);
  EXPECT_EQ(local_->Finish().exit_code, 130);
  EXPECT_THAT(Nodes(), IsEmpty());
}

TEST_F(Interrupted, LeavesNoNodeBehindThoughItIsKilled) {
  Start();
  WaitUntilAllRun();
  local_->Signal(SIGKILL);
  EXPECT_EQ(local_->Finish().exit_code, 128 + SIGKILL);
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (!Nodes().empty() && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(20));
  EXPECT_THAT(Nodes(), IsEmpty());
}

// A script in the place of one of the daemons.
class ADaemonThatDies : public testing::TestWithParam<std::string> {};

TEST_P(ADaemonThatDies, IsNamedWithItsLastWordsAndNothingStays) {
  TestFolder folder;
  std::filesystem::create_directory(folder / "bin");
  for (const std::string name : {"ddnn-cloud", "ddnn-edge", "ddnn-device"}) {
    const std::string path = folder / ("bin/" + name);
    if (name == GetParam()) {
      std::ofstream(path) << "#!/bin/sh\necho \"no such luck\" 1>&2\nexit 9\n";
      chmod(path.c_str(), 0755);
    } else {
      std::filesystem::create_symlink(std::filesystem::absolute(Program(name)), path);
    }
  }
  const std::string data = WriteItems(folder, 100);
  const std::string bundle =
      SaveRandomBundle(folder, "bundle", "models/figure2/d.textproto", data, 0.4, 31);
  const Ran ran = ddnn::Run({Program("ddnn-local"), "--bundle=" + bundle, "--data=" + data,
                             "--bin_dir=" + (folder / "bin"), "--log_dir=" + (folder / "log"),
                             "--json=" + (folder / "summary.json")});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.errors, HasSubstr("no such luck"));
  EXPECT_THAT(ran.errors, HasSubstr("ended with status 9"));
  EXPECT_THAT(ProcessesWith("--config=" + (folder / "log")), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(folder / "summary.json"));
}

INSTANTIATE_TEST_SUITE_P(AtItsStart, ADaemonThatDies,
                         testing::Values("ddnn-cloud", "ddnn-edge", "ddnn-device"),
                         [](const testing::TestParamInfo<std::string>& info) {
                           return info.param.substr(info.param.find('-') + 1);
                         });

}  // namespace
}  // namespace ddnn

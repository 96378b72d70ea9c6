// Bundles that come from the parent.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "tests/end_to_end/harness.h"
#include "tests/support/random_network.h"

namespace ddnn {
namespace {

using testing::HasSubstr;

// Nothing is late here, however slow the machine is.
constexpr char kSampleDeadline[] = "--sample_deadline_ms=60000";
constexpr char kGatherDeadline[] = "--gather_deadline_ms=60000";

// A device, an edge and the cloud, of which only the cloud was given a bundle.
class FromTheParent : public testing::Test {
 protected:
  void SetUp() override {
    data_ = WriteItems(folder_, 6000);
    bundle_ = SaveRandomBundle(folder_, "bundle", "models/figure2/d.textproto", data_, 0.4, 31);
  }
  std::unique_ptr<Running> StartCloud() {
    return std::make_unique<Running>(std::vector<std::string>{
        Program("ddnn-cloud"), "--bundle=" + bundle_, "--listen=127.0.0.1:0", kSampleDeadline,
        kGatherDeadline, "--stats_file=" + (folder_ / "cloud.json")});
  }
  std::unique_ptr<Running> StartEdge(const std::string& parent) {
    return std::make_unique<Running>(std::vector<std::string>{
        Program("ddnn-edge"), "--state=" + (folder_ / "edge"), "--listen=127.0.0.1:0",
        "--parent=" + parent, kSampleDeadline, kGatherDeadline});
  }
  std::vector<std::string> Device(const std::string& parent) {
    return {Program("ddnn-device"),
            "--state=" + (folder_ / "device"),
            "--view=0",
            "--parent=" + parent,
            "--source=" + data_,
            kSampleDeadline,
            "--json"};
  }
  // Answers go on until a node's log says this.
  static void AnswersUntil(Running* device, Running* node, const std::string& part) {
    const absl::Time limit = absl::Now() + absl::Minutes(1);
    while (!absl::StrContains(node->Errors(), part)) {
      ASSERT_LT(absl::Now(), limit) << "never said: " << part << "\n" << node->Errors();
      ASSERT_NE(device->WaitForLine("\"answered\""), "");
    }
  }
  // By what device and cloud wrote when they ended.
  void ExpectAllAnsweredAndRunning(const Ran& ran, const std::string& sha256) {
    EXPECT_EQ(ran.exit_code, 0) << ran.errors;
    const v1::NodeStats device = ReadStats(folder_ / "device.json");
    EXPECT_EQ(device.bundle_sha256(), sha256);
    EXPECT_EQ(device.answered(), device.entered());
    EXPECT_EQ(device.answered(), ran.output.size());
    EXPECT_EQ(device.degraded(), 0u);
    EXPECT_EQ(ReadStats(folder_ / "cloud.json").bundle_sha256(), sha256);
  }
  static int FilesIn(const std::string& folder) {
    int files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      files += entry.path().extension() == ".section";
    }
    return files;
  }

  TestFolder folder_;
  std::string data_, bundle_;
};

TEST_F(FromTheParent, NodesStartWithOnlyItsAddressAndAgainWithoutIt) {
  std::string edge_address;
  {
    auto cloud = StartCloud();
    auto edge = StartEdge(AddressOf(cloud.get()));
    edge_address = AddressOf(edge.get());
    std::vector<std::string> flags = Device(edge_address);
    flags.insert(flags.end(), {"--wait_for_tree", "--samples=1000"});
    Running device(flags);
    device.WaitForLine("\"exit\":\"cloud\"");
    EXPECT_EQ(device.Finish().exit_code, 0);
    for (Running* node : {edge.get(), cloud.get()}) {
      node->Signal(SIGTERM);
      EXPECT_EQ(node->Finish().exit_code, 0);
    }
  }
  EXPECT_EQ(FilesIn(folder_ / "device"), 1) << "its own section";
  EXPECT_EQ(FilesIn(folder_ / "edge"), 2) << "its own and the device's";
  std::vector<std::string> flags = Device(edge_address);
  flags.push_back("--samples=3");
  const Ran alone = ddnn::Run(flags);
  EXPECT_EQ(alone.exit_code, 0) << alone.errors;
  ASSERT_EQ(alone.output.size(), 3u);
  for (const std::string& answer : alone.output) EXPECT_THAT(answer, HasSubstr("\"answered\""));
  EXPECT_THAT(alone.errors, HasSubstr("starting with the kept bundle"));
}

TEST_F(FromTheParent, ANewBundleReachesAllWhileSamplesGoOn) {
  auto cloud = StartCloud();
  auto edge = StartEdge(AddressOf(cloud.get()));
  std::vector<std::string> flags = Device(AddressOf(edge.get()));
  for (const std::string& more : {std::string("--wait_for_tree"), std::string("--rate=50"),
                                  "--stats_file=" + (folder_ / "device.json")}) {
    flags.push_back(more);
  }
  Running device(flags);
  device.WaitForLine("\"answered\"");
  // One that is damaged, which nobody takes; then one that is not.
  const Bundle other = MakeBundle("models/figure2/d.textproto", data_, 0.4, 32);
  ASSERT_TRUE(SaveBundleTo(folder_ / "damaged", other).ok());
  std::filesystem::resize_file(folder_ / "damaged/sections/cloud-0.section", 10);
  std::filesystem::rename(bundle_, folder_ / "old");
  std::filesystem::rename(folder_ / "damaged", bundle_);
  AnswersUntil(&device, cloud.get(), "is refused");
  ASSERT_TRUE(SaveBundleTo(bundle_, other).ok());
  const std::string sha256 = LoadBundle(bundle_)->sha256_hex();
  AnswersUntil(&device, edge.get(), "has ended");
  device.Signal(SIGTERM);
  const Ran ran = device.Finish();
  edge->Signal(SIGTERM);
  const std::string edge_log = edge->Finish().errors;
  cloud->Signal(SIGTERM);
  EXPECT_EQ(cloud->Finish().exit_code, 0);
  ExpectAllAnsweredAndRunning(ran, sha256);
  const v1::NodeStats cloud_stats = ReadStats(folder_ / "cloud.json");
  EXPECT_EQ(cloud_stats.answered(), cloud_stats.entered());
  ASSERT_EQ(cloud_stats.refused_bundle_size(), 1);
  EXPECT_THAT(cloud_stats.refused_bundle(0), HasSubstr("cloud-0.section"));
  EXPECT_THAT(edge_log, HasSubstr("has ended"));
  EXPECT_THAT(edge_log, testing::Not(HasSubstr("still in use")));
}

TEST_F(FromTheParent, ABundleThatCrashesADeviceWhenTriedIsWithdrawnAndReported) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer wants to be loaded before anything else";
#endif
  auto cloud = StartCloud();
  auto edge = StartEdge(AddressOf(cloud.get()));
  std::vector<std::string> flags = {"/usr/bin/env", "LD_PRELOAD=" CRASH_IN_TRIALS,
                                    "CRASH_IN_TRIALS_IF=" + (folder_ / "crash")};
  for (const std::string& flag : Device(AddressOf(edge.get()))) flags.push_back(flag);
  for (const std::string& more : {std::string("--wait_for_tree"), std::string("--rate=50"),
                                  "--stats_file=" + (folder_ / "device.json")}) {
    flags.push_back(more);
  }
  Running device(flags);
  device.WaitForLine("\"answered\"");
  const std::string sha256 = LoadBundle(bundle_)->sha256_hex();
  std::ofstream(folder_ / "crash") << "now";
  ASSERT_TRUE(SaveBundleTo(bundle_, MakeBundle("models/figure2/d.textproto", data_, 0.4, 32)).ok());
  AnswersUntil(&device, cloud.get(), "is refused");
  device.Signal(SIGTERM);
  const Ran ran = device.Finish();
  edge->Signal(SIGTERM);
  EXPECT_EQ(edge->Finish().exit_code, 0);
  cloud->Signal(SIGTERM);
  EXPECT_EQ(cloud->Finish().exit_code, 0);
  ExpectAllAnsweredAndRunning(ran, sha256);
  const v1::NodeStats cloud_stats = ReadStats(folder_ / "cloud.json");
  ASSERT_EQ(cloud_stats.refused_bundle_size(), 1);
  EXPECT_THAT(cloud_stats.refused_bundle(0),
              testing::AllOf(HasSubstr("device.0"), HasSubstr("killed by signal 11")));
}

TEST_F(FromTheParent, ANodeThatWaitsForItsFirstBundleEndsOnASignal) {
  std::vector<std::string> flags = Device("127.0.0.1:1");
  flags.push_back("--stats_file=" + (folder_ / "stats"));
  Running device(flags);
  while (!std::filesystem::exists(folder_ / "device/lock")) {
  }
  device.Signal(SIGTERM);
  EXPECT_EQ(device.Finish().exit_code, 0);
}

TEST_F(FromTheParent, AViewThatTheNetworkDoesNotHaveIsRefused) {
  auto cloud = StartCloud();
  std::vector<std::string> flags = Device(AddressOf(cloud.get()));
  flags.push_back("--view=3");
  const Ran ran = ddnn::Run(flags);
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.errors, HasSubstr("views 0 to 0"));
}

}  // namespace
}  // namespace ddnn

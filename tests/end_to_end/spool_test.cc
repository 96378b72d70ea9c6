// A device that is alone, killed and started again, or gets a new bundle: what it kept comes to the
// cloud's store, once.

#include "device/spool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cloud/hard_store.h"
#include "ddnn/v1/query.pb.h"
#include "ddnn/v1/tier.pb.h"
#include "runtime/net/protocol.h"
#include "tests/end_to_end/harness.h"
#include "tests/support/random_network.h"

namespace ddnn {
namespace {

constexpr char kNetwork[] = "models/figure2/d.textproto";  // a device, an edge, a cloud
constexpr int kAlone = 40;
// A slow machine is not taken for a parent that is away.
constexpr char kSampleDeadline[] = "--sample_deadline_ms=60000";

class SpoolOfARealDevice : public ::testing::Test {
 protected:
  SpoolOfARealDevice() {
    data_ = WriteItems(folder_, 3000);
    bundle_ = SaveRandomBundle(folder_, "bundle", kNetwork, data_, 0.4, 61);
  }

  std::unique_ptr<Running> Cloud(const std::string& listen) {
    return std::make_unique<Running>(
        std::vector<std::string>{Program("ddnn-cloud"), "--bundle=" + bundle_, "--listen=" + listen,
                                 "--store=" + folder_ / "hard.sqlite", kSampleDeadline});
  }
  std::unique_ptr<Running> Edge(const std::string& listen, const std::string& parent) {
    return std::make_unique<Running>(
        std::vector<std::string>{Program("ddnn-edge"), BundleOf("edge"), "--listen=" + listen,
                                 "--parent=" + parent, kSampleDeadline});
  }
  // Never sure of itself; `stream` tells its runs apart.
  std::unique_ptr<Running> Device(const std::string& parent, int stream, int rate) {
    return std::make_unique<Running>(std::vector<std::string>{
        Program("ddnn-device"), BundleOf("device"), "--view=0", "--source=" + data_,
        "--parent=" + parent, absl::StrCat("--rate=", rate), "--json", "--threshold=local=-1",
        absl::StrCat("--stream=", stream), "--share_pixels", "--spool=" + (folder_ / "spool"),
        "--spool_rate=1000", "--stats_file=" + (folder_ / "stats.json"), kSampleDeadline});
  }
  std::string BundleOf(const std::string& node) {
    return follow_ ? "--state=" + (folder_ / node) : "--bundle=" + bundle_;
  }
  // Reads a device's answers meanwhile: nobody else does, and it waits for who reads them.
  static void WaitForLog(Running* node, const std::string& part, bool is_device) {
    const absl::Time limit = absl::Now() + absl::Minutes(1);
    while (!absl::StrContains(node->Errors(), part)) {
      ASSERT_LT(absl::Now(), limit) << node->Errors();
      if (is_device) node->WaitForLine("\"sequence\"");
      absl::SleepFor(absl::Milliseconds(1));
    }
  }

  // What the device left on the disk.
  std::vector<v1::KeptSample> Spooled() {
    std::vector<v1::KeptSample> spooled;
    auto bundle = LoadBundle(bundle_, {0, 0});
    EXPECT_TRUE(bundle.ok()) << bundle.status();
    SpoolOptions options;
    options.directory = folder_ / "spool";
    options.max_record = MaxKeptBytes(bundle->plan, 0);
    auto spool = Spool::Open(options);
    EXPECT_TRUE(spool.ok()) << spool.status();
    if (!spool.ok()) return spooled;
    while (const auto item = (*spool)->Next()) {
      spooled.emplace_back();
      EXPECT_TRUE(spooled.back().ParseFromString(item->payload));
    }
    return spooled;
  }

  // Samples of stream 1 in the store, by sequence.
  std::map<uint64_t, std::vector<HardRecord>> Stored() {
    std::map<uint64_t, std::vector<HardRecord>> stored;
    HardStoreOptions options;
    options.path = folder_ / "hard.sqlite";
    auto store = HardStore::Open(options);
    EXPECT_TRUE(store.ok()) << store.status();
    int64_t id = 0;
    while (store.ok()) {
      auto next = (*store)->Next(id, false);
      EXPECT_TRUE(next.ok()) << next.status();
      if (!next.ok() || !next->has_value()) break;
      id = (*next)->id;
      if ((*next)->sample.stream == 1) stored[(*next)->sample.sequence].push_back(**next);
    }
    return stored;
  }

  TestFolder folder_;
  std::string data_, bundle_;
  bool follow_ = false;  // edge and device fetch their bundles
};

TEST_F(SpoolOfARealDevice, IsInTheStoreOnceAfterDeviceEdgeAndCloudWereKilled) {
  auto cloud = Cloud("127.0.0.1:0");
  const std::string cloud_address = AddressOf(cloud.get());
  auto edge = Edge("127.0.0.1:0", cloud_address);
  const std::string edge_address = AddressOf(edge.get());
  auto device = Device(edge_address, 1, 100);
  device->WaitForLine("\"exit\":\"cloud\"");

  edge->Signal(SIGKILL);
  edge->Finish();
  for (int i = 0; i < kAlone; ++i) device->WaitForLine("\"degraded\":true");
  device->Signal(SIGKILL);
  device->Finish();
  cloud->Signal(SIGKILL);
  cloud->Finish();

  const std::vector<v1::KeptSample> spooled = Spooled();
  // What was answered a moment before the end may not have been written yet.
  EXPECT_GE(spooled.size(), static_cast<size_t>(kAlone / 2));

  cloud = Cloud(cloud_address);
  AddressOf(cloud.get());
  edge = Edge(edge_address, cloud_address);
  AddressOf(edge.get());
  device = Device(edge_address, 2, 20);
  WaitForLog(device.get(), "the root has all samples", /*is_device=*/true);
  device->Signal(SIGTERM);
  const Ran ran = device->Finish();
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  const v1::SpoolStats stats = ReadStats(folder_ / "stats.json").spool();
  EXPECT_EQ(stats.waiting(), 0u) << ran.errors;
  // On a slow machine this run, too, may have been alone for a sample.
  EXPECT_EQ(stats.stored(), spooled.size() + stats.spooled());
  EXPECT_TRUE(stats.dropped().empty());
  EXPECT_THAT(ran.errors, testing::HasSubstr("stored by the root"));

  const Ran listed = ddnn::Run({Program("ddnn-query"), "--cloud=" + cloud_address, "hard"});
  EXPECT_EQ(listed.exit_code, 0) << listed.errors;
  for (Running* node : {edge.get(), cloud.get()}) {
    node->Signal(SIGTERM);
    EXPECT_EQ(node->Finish().exit_code, 0);
  }

  const auto stored = Stored();
  const NetworkPlan plan = LoadBundle(bundle_)->plan;
  for (const v1::KeptSample& kept : spooled) {
    EXPECT_EQ(kept.stream(), 1u);
    const auto found = stored.find(kept.sequence());
    ASSERT_NE(found, stored.end()) << "sample " << kept.sequence();
    ASSERT_EQ(found->second.size(), 1u) << "sample " << kept.sequence();
    const HardRecord& record = found->second[0];
    ASSERT_EQ(record.pixels.size(), 1u);
    EXPECT_EQ(record.pixels[0].second, kept.pixels());
    if (!record.alone) {
      EXPECT_TRUE(kept.in_doubt());
      continue;
    }
    EXPECT_EQ(absl::ToUnixMicros(record.time), kept.time_us());
    EXPECT_EQ(record.class_index, static_cast<int>(kept.class_index()));
    EXPECT_EQ(record.exit, plan.exits()[kept.exit()].name);
  }
}

TEST_F(SpoolOfARealDevice, IsInTheStoreUnderTheBundleThatAnsweredThoughANewOneRunsByThen) {
  follow_ = true;
  const std::string old_bundle = LoadBundle(bundle_)->sha256_hex();
  auto cloud = Cloud("127.0.0.1:0");
  const std::string cloud_address = AddressOf(cloud.get());
  auto edge = Edge("127.0.0.1:0", cloud_address);
  const std::string edge_address = AddressOf(edge.get());
  auto device = Device(edge_address, 1, 50);
  device->WaitForLine("\"exit\":\"cloud\"");
  edge->Signal(SIGKILL);
  edge->Finish();
  for (int i = 0; i < kAlone; ++i) device->WaitForLine("\"degraded\":true");
  ASSERT_TRUE(SaveBundleTo(bundle_, MakeBundle(kNetwork, data_, 0.4, 62)).ok());
  WaitForLog(cloud.get(), "takes the place of", /*is_device=*/false);

  edge = Edge(edge_address, cloud_address);
  AddressOf(edge.get());
  WaitForLog(device.get(), "the root has all samples", /*is_device=*/true);
  for (Running* node : {device.get(), edge.get(), cloud.get()}) {
    node->Signal(SIGTERM);
    const Ran ran = node->Finish();
    EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  }
  const v1::NodeStats stats = ReadStats(folder_ / "stats.json");
  EXPECT_EQ(stats.bundle_sha256(), LoadBundle(bundle_)->sha256_hex()) << "without a restart";
  EXPECT_EQ(stats.spool().stored(), stats.spool().spooled());
  EXPECT_TRUE(stats.spool().dropped().empty());
  uint64_t alone = 0, alone_under_old = 0;
  for (const auto& [sequence, records] : Stored()) {
    EXPECT_EQ(records.size(), 1u) << sequence;
    alone += records[0].alone;
    alone_under_old += records[0].alone && records[0].bundle_sha256 == old_bundle;
  }
  EXPECT_LE(alone, stats.spool().spooled()) << "those in doubt may have been there";
  EXPECT_GE(alone_under_old, static_cast<uint64_t>(kAlone / 2));
}

}  // namespace
}  // namespace ddnn

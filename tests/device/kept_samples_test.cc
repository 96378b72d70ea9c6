// From a device that was alone into the root's store: device, edge and root in this process, over
// loopback, with a real spool and a real store.

#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cloud/hard_store.h"
#include "cloud/query_service.h"
#include "device/forwarder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/net/node_host.h"
#include "tests/net/waiter.h"
#include "tests/node/fake_engine.h"
#include "tests/node/networks.h"

namespace ddnn {
namespace {

namespace fs = std::filesystem;

class RootObserver : public NodeObserver {
 public:
  void OnKept(const v1::KeptSample& kept) override {
    service->KeepAlone(kept, "68", [this](const v1::KeptAck& ack) {
      if (NodeHost* to = host) to->AckKept(ack);
    });
  }
  QueryService* service = nullptr;
  std::atomic<NodeHost*> host{nullptr};
};

class DeviceObserver : public NodeObserver {
 public:
  void OnAnswer(const Answer& answer) override {
    waiter.Change([&] { ++answers, degraded += answer.degraded; });
  }
  void OnAlone(const KeepAlone& alone) override { forwarder->OnAlone(std::string(32, 'h'), alone); }
  void OnKeptAck(const v1::KeptAck& ack) override {
    if (!deaf) forwarder->OnAck(ack);
    waiter.Change([&] { ++acks, no_store += ack.no_store(); });
  }
  void OnParent(bool up) override {
    forwarder->OnParent(up);
    waiter.Change([&] { parent_up = up; });
  }

  Waiter waiter;
  Forwarder* forwarder = nullptr;
  std::atomic<bool> deaf{false};
  size_t answers = 0, degraded = 0, acks = 0, no_store = 0;
  bool parent_up = false;
};

class KeptSamplesTest : public ::testing::Test {
 protected:
  KeptSamplesTest() : bundle_(FakeBundle(SmallNetwork('e'))) {
    std::string name = ::testing::TempDir() + "/kept_XXXXXX";
    root_folder_ = mkdtemp(name.data());
    bundle_.sha256 = std::string(32, 'h');
    bundle_.thresholds.assign(bundle_.plan.exits().size(), -1);  // nobody is ever sure
    StartRoot(/*with_store=*/true);
    StartEdge();
    StartDevice();
  }
  ~KeptSamplesTest() override {
    StopDevice();
    edge_.reset();
    StopRoot();
    fs::remove_all(root_folder_);
  }

  NodeHost::Options Options(int tier) {
    NodeHost::Options options;
    options.node.tier = tier;
    options.node.gather_deadline = absl::Milliseconds(1);  // the other devices are not there
    options.node.sample_deadline = absl::Minutes(2);
    options.node.cache_time = absl::Minutes(2);
    options.node.keep_alone = tier == 0;
    options.node.share_pixels = tier == 0;
    options.min_backoff = absl::Milliseconds(1);
    options.max_backoff = absl::Milliseconds(20);
    if (tier > 0) options.listen = absl::StrCat("127.0.0.1:", ports_[tier]);
    if (tier < 2) options.parent = absl::StrCat("127.0.0.1:", ports_[tier + 1]);
    return options;
  }
  std::unique_ptr<NodeHost> Start(int tier, NodeObserver* observer) {
    auto host = NodeHost::Start(bundle_, CreateFakeEngine, Options(tier), observer);
    EXPECT_TRUE(host.ok()) << host.status();
    if (!host.ok()) return nullptr;
    ports_[tier] = (*host)->port();
    return *std::move(host);
  }
  void StartRoot(bool with_store) {
    QueryService::Options options;
    if (with_store) {
      HardStoreOptions store;
      store.path = (root_folder_ / "hard.db").string();
      store_ = *HardStore::Open(store);
      options.store = store_.get();
    }
    service_ = *QueryService::Create(bundle_, CreateFakeEngine, options);
    root_observer_.service = service_.get();
    root_ = Start(2, &root_observer_);
    root_observer_.host = root_.get();
  }
  void StopRoot() {
    if (root_ == nullptr) return;
    root_->Stop();
    service_.reset();
    store_.reset();  // what it still tells goes to a host that has ended
    // The next one's first acknowledgements may come before it is known here: they come again.
    root_observer_.host = nullptr;
    root_.reset();
  }
  void StartEdge() { edge_ = Start(1, &edge_observer_); }

  void StartDevice() {
    Forwarder::Options options;
    options.directory = (root_folder_ / "spool").string();
    options.window.rate = 1e6;
    options.window.patience = absl::Milliseconds(20);
    options.window.no_store_pause = absl::Milliseconds(20);
    auto forwarder = Forwarder::Open(bundle_.plan, options);
    ASSERT_TRUE(forwarder.ok()) << forwarder.status();
    forwarder_ = *std::move(forwarder);
    device_observer_ = std::make_unique<DeviceObserver>();
    device_observer_->forwarder = forwarder_.get();
    device_ = Start(0, device_observer_.get());
    forwarder_->SendTo({[this] { return bundle_.sha256; },
                        [this](const std::string&, const v1::KeptSample& kept) {
                          for (int i = 0; i < copies_; ++i) device_->SendKept(kept);
                        }});
    WaitForParent(true);
  }
  void StopDevice() {
    if (device_ == nullptr) return;
    device_->Stop();
    forwarder_->Stop();
    device_.reset();
    forwarder_.reset();
  }
  void WaitForParent(bool up) {
    ASSERT_TRUE(
        device_observer_->waiter.WaitUntil([&] { return device_observer_->parent_up == up; }));
  }
  // Offers samples, which all must get an answer that is not the root's.
  void OfferAlone(uint64_t begin, uint64_t end) {
    const size_t before = device_observer_->waiter.Read([&] { return device_observer_->degraded; });
    for (uint64_t i = begin; i < end; ++i) {
      const std::string pixels(bundle_.plan.view_shape().size(), static_cast<char>(i));
      ASSERT_TRUE(device_->Offer({7, i}, pixels).ok());
    }
    ASSERT_TRUE(device_observer_->waiter.WaitUntil(
        [&] { return device_observer_->degraded >= before + end - begin; }));
    forwarder_->Flush();
  }
  bool WaitUntilEmpty() {
    const absl::Time limit = absl::Now() + absl::Minutes(1);
    while (forwarder_->stats().waiting() > 0 && absl::Now() < limit) std::this_thread::yield();
    return forwarder_->stats().waiting() == 0;
  }
  // Exactly these are in the store, once each, as the device gave them.
  void ExpectStored(uint64_t begin, uint64_t end) {
    store_->Flush();
    std::map<uint64_t, int> seen;
    int64_t id = 0;
    for (;;) {
      const auto next = store_->Next(id, false);
      ASSERT_TRUE(next.ok()) << next.status();
      if (!next->has_value()) break;
      const HardRecord& record = **next;
      id = record.id;
      ++seen[record.sample.sequence];
      EXPECT_TRUE(record.alone);
      EXPECT_EQ(record.bundle_sha256, "68");
      EXPECT_EQ(record.sample.stream, 7u);
      EXPECT_EQ(record.presence, 1u);
      ASSERT_EQ(record.pixels.size(), 1u);
      EXPECT_EQ(record.pixels[0].second, std::string(bundle_.plan.view_shape().size(),
                                                     static_cast<char>(record.sample.sequence)));
    }
    for (uint64_t i = begin; i < end; ++i) EXPECT_EQ(seen[i], 1) << "sample " << i;
    EXPECT_EQ(seen.size(), end - begin);
  }

  Bundle bundle_;
  fs::path root_folder_;
  std::map<int, int> ports_;
  std::unique_ptr<HardStore> store_;
  std::unique_ptr<QueryService> service_;
  RootObserver root_observer_;
  NodeObserver edge_observer_;
  std::unique_ptr<DeviceObserver> device_observer_;
  std::unique_ptr<Forwarder> forwarder_;
  std::unique_ptr<NodeHost> root_, edge_, device_;
  std::atomic<int> copies_{1};
};

TEST_F(KeptSamplesTest, AreStoredOnceTheEdgeIsBack) {
  edge_.reset();
  WaitForParent(false);
  OfferAlone(0, 100);
  EXPECT_EQ(forwarder_->stats().waiting(), 100u);
  StartEdge();
  EXPECT_TRUE(WaitUntilEmpty());
  ExpectStored(0, 100);
}

TEST_F(KeptSamplesTest, AreStoredOnceTheRootIsBackWhileTheEdgeStayed) {
  StopRoot();
  while (edge_->parent_up()) std::this_thread::yield();
  OfferAlone(0, 50);
  EXPECT_EQ(forwarder_->stats().waiting(), 50u);
  StartRoot(true);
  EXPECT_TRUE(WaitUntilEmpty());
  ExpectStored(0, 50);
}

TEST_F(KeptSamplesTest, AreStoredOnceThoughTheyComeTwice) {
  copies_ = 2;
  edge_.reset();
  WaitForParent(false);
  OfferAlone(0, 50);
  StartEdge();
  EXPECT_TRUE(WaitUntilEmpty());
  copies_ = 1;
  ExpectStored(0, 50);
  EXPECT_GT(store_->counters().database.repeated, 0u);
}

TEST_F(KeptSamplesTest, AreStoredOnceThoughTheDeviceDiedBeforeItHeardSo) {
  edge_.reset();
  WaitForParent(false);
  OfferAlone(0, 20);
  device_observer_->deaf = true;
  StartEdge();
  ASSERT_TRUE(device_observer_->waiter.WaitUntil([&] { return device_observer_->acks > 0; }));
  EXPECT_GT(store_->counters().database.samples, 0);
  EXPECT_EQ(forwarder_->stats().waiting(), 20u);
  StopDevice();
  StartDevice();
  EXPECT_TRUE(WaitUntilEmpty());
  ExpectStored(0, 20);
  EXPECT_GT(store_->counters().database.repeated, 0u);
}

TEST_F(KeptSamplesTest, AreStoredOnceThoughRootAndEdgeComeAndGo) {
  for (uint64_t i = 0; i < 5; ++i) {
    edge_.reset();
    WaitForParent(false);
    OfferAlone(20 * i, 20 * i + 20);
    StartEdge();
    WaitForParent(true);
    StopRoot();
    StartRoot(true);
  }
  EXPECT_TRUE(WaitUntilEmpty());
  ExpectStored(0, 100);
}

TEST_F(KeptSamplesTest, WaitForARootWithAStore) {
  StopRoot();
  StartRoot(/*with_store=*/false);
  edge_.reset();
  WaitForParent(false);
  OfferAlone(0, 10);
  StartEdge();
  ASSERT_TRUE(device_observer_->waiter.WaitUntil([&] { return device_observer_->no_store > 1; }));
  EXPECT_EQ(forwarder_->stats().waiting(), 10u);
  StopRoot();
  StartRoot(true);
  EXPECT_TRUE(WaitUntilEmpty());
  ExpectStored(0, 10);
}

}  // namespace
}  // namespace ddnn

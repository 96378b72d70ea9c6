#ifndef DDNN_TESTS_UPDATE_LIVE_TREE_H_
#define DDNN_TESTS_UPDATE_LIVE_TREE_H_

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/lite/lite_engine.h"
#include "runtime/update/child_updater.h"
#include "runtime/update/first_bundle.h"
#include "runtime/update/root_updater.h"
#include "tests/net/waiter.h"
#include "tests/update/serving.h"

namespace ddnn {

/// One answer, and the bundle that gave it.
struct Given {
  Answer answer;
  std::string bundle;
};

/// Hears all versions of a node.
class Ears {
 public:
  std::unique_ptr<NodeObserver> Of(const SharedFiles& files) {
    return std::make_unique<Ear>(this, files->bundle.sha256);
  }

  Waiter waiter;
  std::multimap<SampleKey, Given> answers;
  std::map<std::string, bool> ready, parent_up;  // by bundle

 private:
  class Ear : public NodeObserver {
   public:
    Ear(Ears* ears, std::string bundle) : ears_(ears), bundle_(std::move(bundle)) {}
    void OnAnswer(const Answer& answer) override {
      ears_->waiter.Change([&] { ears_->answers.emplace(answer.sample, Given{answer, bundle_}); });
    }
    void OnTreeReady() override {
      ears_->waiter.Change([&] { ears_->ready[bundle_] = true; });
    }
    void OnParent(bool up) override {
      ears_->waiter.Change([&] { ears_->parent_up[bundle_] = up; });
    }

   private:
    Ears* const ears_;
    const std::string bundle_;
  };
};

/// One node as its program runs it, in this process.
struct LiveNode {
  ~LiveNode() { Stop(); }
  void Stop() {
    if (updater != nullptr) updater->Stop();
    if (service != nullptr) service->Shutdown();
    if (generations != nullptr) generations->Stop();
  }
  bool Runs(const SharedFiles& files) const {
    for (const auto& version : generations->versions()) {
      if (version.files->bundle.sha256 == files->bundle.sha256) return true;
    }
    return false;
  }
  RootUpdater* root() { return static_cast<RootUpdater*>(updater.get()); }

  Ears ears;
  std::unique_ptr<BundleService> service;
  std::unique_ptr<ParentLink> link;
  std::unique_ptr<KeptBundles> kept;
  std::unique_ptr<Generations> generations;
  std::unique_ptr<Updater> updater;
};

/// A cloud over an edge over two devices. The cloud's bundle is FOLDER/live; the others fetch it.
class LiveTreeTest : public UpdateTest {
 protected:
  LiveTreeTest() {
    std::filesystem::copy(Path("first"), Path("live"), std::filesystem::copy_options::recursive);
  }

  Updater::Options UpdaterOptions(int tier, int node) {
    Updater::Options options;
    options.tick = absl::Milliseconds(5);
    options.limit = limit_;
    const auto trial = trials_.find({tier, node});
    if (trial != trials_.end()) options.try_bundle = trial->second;
    return options;
  }

  Generations::Options GenerationsOptions(LiveNode* node, int tier, int index, int parent_port) {
    Generations::Options options;
    options.factory = CreateLiteEngine;
    options.observer = [node](const SharedFiles& files) { return node->ears.Of(files); };
    options.host = [=](const SharedFiles& files) -> absl::StatusOr<NodeHost::Options> {
      NodeHost::Options host;
      host.node.tier = tier;
      host.node.index = index;
      host.node.gather_deadline = host.node.sample_deadline = absl::Minutes(1);
      host.wait_for_bundle = true;
      host.min_backoff = absl::Milliseconds(1);
      host.max_backoff = absl::Milliseconds(20);
      if (tier > 0) host.listen = "127.0.0.1:0";
      if (parent_port > 0) host.parent = absl::StrCat("127.0.0.1:", parent_port);
      return host;
    };
    if (node->service != nullptr) options.services = {node->service.get()};
    return options;
  }

  void StartRoot() {
    root_.service = std::make_unique<BundleService>();
    const auto files = ReadBundleFiles(Path("live"), Root());
    ASSERT_TRUE(files.ok()) << files.status();
    auto started = Generations::Start(GenerationsOptions(&root_, 2, 0, 0), *files);
    ASSERT_TRUE(started.ok()) << started.status();
    root_.generations = *std::move(started);
    RootUpdater::RootOptions options;
    options.folder = Path("live");
    options.watch = absl::Milliseconds(5);
    options.ahead = absl::Seconds(1);
    root_.updater = std::make_unique<RootUpdater>(UpdaterOptions(2, 0), options,
                                                  root_.generations.get(), root_.service.get());
    root_.updater->Start();
  }

  void StartChild(LiveNode* node, int tier, int index, int parent_port) {
    const FindPlace place = Node(tier, index);
    const std::string parent = absl::StrCat("127.0.0.1:", parent_port);
    if (tier > 0) node->service = std::make_unique<BundleService>();
    auto kept = KeptBundles::Open(Path(absl::StrCat("state-", tier, "-", index)));
    ASSERT_TRUE(kept.ok()) << kept.status();
    node->kept = *std::move(kept);
    node->link = std::make_unique<ParentLink>(parent);
    FirstBundleOptions first_options;
    first_options.ask_limit = absl::Minutes(1);  // the parent is there, however slow
    const auto first = FirstBundle(node->kept.get(), node->link.get(), place, first_options);
    ASSERT_TRUE(first.ok()) << first.status();
    auto started = Generations::Start(GenerationsOptions(node, tier, index, parent_port), *first);
    ASSERT_TRUE(started.ok()) << started.status();
    node->generations = *std::move(started);
    ChildUpdater::ChildOptions child;
    child.place = place;
    child.retry = absl::Milliseconds(10);
    child.prove_time = absl::InfiniteDuration();
    auto updater =
        std::make_unique<ChildUpdater>(UpdaterOptions(tier, index), child, node->generations.get(),
                                       node->service.get(), node->link.get(), node->kept.get());
    updater->Start();
    node->updater = std::move(updater);
  }

  void StartAll() {
    StartRoot();
    StartChild(&edge_, 1, 0, root_.generations->port());
    for (int view = 0; view < 2; ++view) {
      StartChild(&devices_[view], 0, view, edge_.generations->port());
    }
    for (LiveNode& device : devices_) {
      ASSERT_TRUE(
          device.ears.waiter.WaitUntil([&] { return device.ears.ready[first_->bundle.sha256]; }));
    }
  }

  /// As ddnn-train and ddnn-calibrate do.
  void PublishFolder(const std::string& name) {
    std::filesystem::copy(Path(name), Path("next"), std::filesystem::copy_options::recursive);
    std::filesystem::rename(Path("live"), Path("old"));
    std::filesystem::rename(Path("next"), Path("live"));
    std::filesystem::remove_all(Path("old"));
  }

  /// Both devices see the next sample; waits while many are under way.
  void OfferNext() {
    const NetworkPlan& plan = first_->bundle.plan;
    for (LiveNode& device : devices_) {
      while (device.generations->under_way() > 16) std::this_thread::yield();
      const absl::Status status =
          device.generations->Offer({7, offered_}, RandomPixels(plan, &random_));
      ASSERT_TRUE(status.ok()) << status;
    }
    ++offered_;
  }
  void WaitForAnswers() {
    for (LiveNode& device : devices_) {
      ASSERT_TRUE(
          device.ears.waiter.WaitUntil([&] { return device.ears.answers.size() >= offered_; }));
    }
  }

  /// Each sample was answered once at each device, by all views, by the same bundle everywhere.
  /// How many by this one.
  uint64_t CheckAnswers(const SharedFiles& bundle) {
    uint64_t count = 0;
    for (uint64_t i = 0; i < offered_; ++i) {
      for (LiveNode& device : devices_) {
        EXPECT_EQ(device.ears.answers.count({7, i}), 1u) << i;
        if (device.ears.answers.count({7, i}) == 0) continue;
        const Given& given = device.ears.answers.find({7, i})->second;
        EXPECT_EQ(given.answer.outcome, Outcome::kAnswered) << i << given.answer.reason;
        EXPECT_FALSE(given.answer.degraded) << i;
        EXPECT_EQ(given.answer.presence, 3u) << i;
        EXPECT_EQ(given.bundle, devices_[0].ears.answers.find({7, i})->second.bundle) << i;
      }
      if (devices_[0].ears.answers.count({7, i}) == 0) continue;
      count += devices_[0].ears.answers.find({7, i})->second.bundle == bundle->bundle.sha256;
    }
    return count;
  }

  bool OnlyRuns(const LiveNode& node, const SharedFiles& files) {
    return node.generations->versions().size() == 1 && node.Runs(files);
  }

  std::map<std::pair<int, int>, std::function<absl::Status(const SharedFiles&)>> trials_;
  absl::Duration limit_ = absl::Minutes(1);
  LiveNode root_, edge_;
  std::array<LiveNode, 2> devices_;
  uint64_t offered_ = 0;
};

}  // namespace ddnn

#endif  // DDNN_TESTS_UPDATE_LIVE_TREE_H_

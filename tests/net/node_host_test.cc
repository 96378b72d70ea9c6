#include "runtime/net/node_host.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "ddnn/v1/tier.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/core/feature_codec.h"
#include "runtime/node/executor.h"
#include "runtime/node/whole_network.h"
#include "tests/net/waiter.h"
#include "tests/node/fake_engine.h"
#include "tests/node/networks.h"
#include "tests/support/emulator.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Watcher : public NodeObserver {
 public:
  void OnAnswer(const Answer& answer) override {
    waiter.Change([&] { answers.emplace(answer.sample, answer), ++count; });
  }
  void OnHard(const KeepHard& hard) override {
    waiter.Change([&] { hards.push_back(hard); });
  }
  void OnPixels(const KeepPixels& kept) override {
    waiter.Change([&] { pixels.push_back(kept); });
  }
  void OnRefused(const absl::Status& why) override {
    waiter.Change([&] { refused = why; });
  }
  void OnTreeReady() override {
    waiter.Change([&] { ready = true; });
  }
  void OnParent(bool up) override {
    waiter.Change([&] { parent_up = up; });
  }
  bool WaitForAnswers(size_t wanted) {
    return waiter.WaitUntil([&] { return count >= wanted; });
  }
  bool WaitForReady() {
    return waiter.WaitUntil([&] { return ready; });
  }

  Waiter waiter;
  std::map<SampleKey, Answer> answers;
  size_t count = 0;
  std::vector<KeepHard> hards;
  std::vector<KeepPixels> pixels;
  absl::Status refused;
  bool ready = false, parent_up = false;
};

// A tree of hosts in this process, over loopback. Deadlines are far away: nothing is late unless a
// test says so.
class Tree {
 public:
  /// \param wall_clock_ms  how far the clock of each device is ahead; empty: none tells its clock.
  explicit Tree(const NetworkPlan& plan, float threshold = 0.5f, bool share_pixels = false,
                std::vector<int64_t> wall_clock_ms = {},
                absl::Duration max_batching_delay = absl::ZeroDuration())
      : bundle(FakeBundle(plan)),
        wall_clock_ms(std::move(wall_clock_ms)),
        share_pixels_(share_pixels),
        max_batching_delay_(max_batching_delay) {
    bundle.sha256 = std::string(32, 'h');
    bundle.thresholds.assign(plan.exits().size(), threshold);
    for (int tier = plan.root_tier(); tier >= 0; --tier) {
      for (size_t i = 0; i < plan.tiers()[tier].nodes.size(); ++i) {
        Start(tier, static_cast<int>(i));
      }
    }
  }
  ~Tree() {
    // Devices first, as ddnn-local does.
    for (auto& [place, host] : hosts) host->Stop();
  }

  NodeHost::Options Options(int tier, int index) {
    NodeHost::Options options;
    options.node.tier = tier;
    options.node.index = index;
    options.node.gather_deadline = absl::Minutes(1);
    options.node.sample_deadline = absl::Minutes(2);
    options.node.cache_time = absl::Minutes(2);
    options.node.share_pixels = share_pixels_;
    options.min_backoff = absl::Milliseconds(1);
    options.max_backoff = absl::Milliseconds(20);
    options.max_batching_delay = max_batching_delay_;
    options.tell_clock = tier == 0 && !wall_clock_ms.empty();
    if (options.tell_clock) {
      options.wall_clock = [ms = wall_clock_ms.at(index)] {
        return absl::Now() + absl::Milliseconds(ms);
      };
    }
    if (tier > 0) options.listen = absl::StrCat("127.0.0.1:", ports[{tier, index}]);
    const int parent = bundle.plan.node(tier, index).parent;
    if (parent >= 0) options.parent = absl::StrCat("127.0.0.1:", ports[{tier + 1, parent}]);
    return options;
  }

  void Start(int tier, int index) {
    auto& watcher = watchers[{tier, index}];
    watcher = std::make_unique<Watcher>();
    auto host = NodeHost::Start(bundle, CreateFakeEngine, Options(tier, index), watcher.get());
    ASSERT_TRUE(host.ok()) << host.status();
    ports[{tier, index}] = (*host)->port();
    hosts[{tier, index}] = *std::move(host);
  }
  void Stop(int tier, int index) { hosts.at({tier, index})->Stop(); }

  NodeHost& host(int tier, int index) { return *hosts.at({tier, index}); }
  NodeHost& device(int view) { return host(0, view); }
  Watcher& watcher(int tier, int index) { return *watchers.at({tier, index}); }
  bool WaitForReady() {
    for (auto& [place, watcher] : watchers) {
      if (!watcher->WaitForReady()) return false;
    }
    return true;
  }

  Bundle bundle;
  const std::vector<int64_t> wall_clock_ms;
  std::map<std::pair<int, int>, int> ports;
  std::map<std::pair<int, int>, std::unique_ptr<Watcher>> watchers;
  std::map<std::pair<int, int>, std::unique_ptr<NodeHost>> hosts;

 private:
  const bool share_pixels_;
  const absl::Duration max_batching_delay_;
};

WholeInput RandomInput(const NetworkPlan& plan, std::mt19937_64* random) {
  WholeInput input;
  do {
    input.presence = (*random)() & plan.all_views();
  } while (input.presence == 0);
  if ((*random)() % 2 == 0) input.presence = plan.all_views();
  for (int i = 0; i < plan.views() * plan.view_shape().size(); ++i) {
    input.pixels.push_back(static_cast<char>((*random)()));
  }
  return input;
}

void Offer(Tree* tree, SampleKey key, const WholeInput& input) {
  const NetworkPlan& plan = tree->bundle.plan;
  const size_t size = plan.view_shape().size();
  for (int view = 0; view < plan.views(); ++view) {
    const bool present = (input.presence >> view & 1) != 0;
    const absl::Status status =
        present ? tree->device(view).Offer(key, input.pixels.substr(view * size, size))
                : tree->device(view).OfferAbsent(key);
    ASSERT_TRUE(status.ok()) << status;
  }
}

class EveryFigure : public ::testing::TestWithParam<char> {};
INSTANTIATE_TEST_SUITE_P(Paper, EveryFigure, ::testing::Values('a', 'b', 'c', 'd', 'e', 'f'));

TEST_P(EveryFigure, AnswersAsTheNetworkRunWholeDoes) {
  const NetworkPlan plan = SmallNetwork(GetParam());
  Tree tree(plan);
  ASSERT_TRUE(tree.WaitForReady());
  auto whole = WholeNetwork::Create(tree.bundle, CreateFakeEngine);
  ASSERT_TRUE(whole.ok()) << whole.status();
  std::mt19937_64 random(GetParam());
  const size_t kSamples = 200;
  std::vector<WholeInput> inputs;
  for (size_t i = 0; i < kSamples; ++i) {
    inputs.push_back(RandomInput(plan, &random));
    Offer(&tree, {3, i}, inputs.back());
  }
  for (int view = 0; view < plan.views(); ++view) {
    ASSERT_TRUE(tree.watcher(0, view).WaitForAnswers(kSamples)) << view;
  }
  const auto outputs = (*whole)->Run(inputs);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  for (size_t i = 0; i < kSamples; ++i) {
    const Answer wanted = Decide(plan, tree.bundle.thresholds, (*outputs)[i], inputs[i].presence);
    for (int view = 0; view < plan.views(); ++view) {
      const Answer& got = tree.watcher(0, view).answers.at({3, i});
      ASSERT_EQ(got.outcome, Outcome::kAnswered) << got.reason;
      EXPECT_EQ(got.class_index, wanted.class_index);
      EXPECT_EQ(got.exit, wanted.exit);
      EXPECT_EQ(got.entropy, wanted.entropy);
      EXPECT_EQ(got.presence, wanted.presence);
      EXPECT_FALSE(got.degraded);
    }
  }
  for (auto& [place, host] : tree.hosts) {
    const v1::NodeStats stats = host->Stats();
    EXPECT_EQ(stats.entered(), stats.answered() + stats.shed() + stats.expired()) << stats.node();
    EXPECT_EQ(host->under_way(), 0);
  }
}

TEST(NodeHost, RefusesABatchingDelayThatItsGatherDeadlineCannotWaitFor) {
  const Bundle bundle = FakeBundle(SmallNetwork('b'));
  Watcher watcher;
  NodeHost::Options options;
  options.node.tier = 1;
  options.listen = "127.0.0.1:0";
  options.node.gather_deadline = absl::Milliseconds(90);
  options.max_batching_delay = absl::Milliseconds(50);
  const auto host = NodeHost::Start(bundle, CreateFakeEngine, options, &watcher);
  EXPECT_EQ(host.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(host.status().message()),
              AllOf(HasSubstr("max_batching_delay 50ms"), HasSubstr("90ms")));
}

// Samples, requests, features and answers all wait to be sent; the hosts' timers send them. They
// wait for long, so that a slow machine, too, offers many meanwhile.
TEST(NodeHost, AnswersWhatWasBatchedInFewMessages) {
  const NetworkPlan plan = SmallNetwork('e');
  Tree tree(plan, 0.5f, /*share_pixels=*/false, {}, absl::Milliseconds(200));
  ASSERT_TRUE(tree.WaitForReady());
  std::mt19937_64 random(1);
  const size_t kSamples = 300;
  for (size_t i = 0; i < kSamples; ++i) Offer(&tree, {3, i}, RandomInput(plan, &random));
  for (int view = 0; view < plan.views(); ++view) {
    ASSERT_TRUE(tree.watcher(0, view).WaitForAnswers(kSamples)) << view;
    const v1::NodeStats stats = tree.device(view).Stats();
    EXPECT_EQ(stats.answered(), kSamples);
    EXPECT_LT(stats.messages_sent(), kSamples / 2);
    EXPECT_LT(stats.messages_received(), kSamples / 2);
    EXPECT_GT(stats.message_bytes_sent(), stats.payload_bytes());
    if (KernelCountsBytes()) {
      EXPECT_LT(stats.message_bytes_sent(), stats.wire_bytes_sent());
    }
  }
}

TEST(NodeHost, CountsBytesOnTheWire) {
  if (!KernelCountsBytes()) GTEST_SKIP() << "emulated";
  const NetworkPlan plan = SmallNetwork('b');
  Tree tree(plan);
  ASSERT_TRUE(tree.WaitForReady());
  std::mt19937_64 random(1);
  for (uint64_t i = 0; i < 100; ++i) Offer(&tree, {0, i}, RandomInput(plan, &random));
  ASSERT_TRUE(tree.watcher(0, 0).WaitForAnswers(100));
  const v1::NodeStats stats = tree.device(0).Stats();
  EXPECT_EQ(stats.node(), "device.0");
  EXPECT_GT(stats.payload_bytes(), 0);
  EXPECT_GE(stats.wire_bytes_sent(), stats.payload_bytes());
  EXPECT_GT(stats.wire_bytes_received(), 0);
  EXPECT_GT(stats.wire_segments_sent(), 0u);
}

TEST(NodeHost, MeasuresHowFarItsChildrensClocksAreApart) {
  const NetworkPlan plan = SmallNetwork('e');
  const int64_t kDay = 24 * 3600 * 1000;
  Tree tree(plan, 0.5f, /*share_pixels=*/false, /*wall_clock_ms=*/{0, kDay, -2 * kDay});
  ASSERT_TRUE(tree.WaitForReady());
  const auto heard = [&tree](int tier, int clocks) {
    v1::NodeStats stats;
    do {
      stats = tree.host(tier, 0).Stats();
    } while (stats.child_clock_size() < clocks);
    return stats;
  };
  const v1::NodeStats edge = heard(1, 3);
  // What the messages took on their way lies in between: far less than a minute.
  EXPECT_NEAR(edge.clock_skew_ms(), 3.0 * kDay, 60000);
  EXPECT_EQ(edge.child_clock(1).node(), "device.1");
  EXPECT_NEAR(edge.child_clock(1).offset_ms(), -kDay, 60000);
  EXPECT_NEAR(edge.child_clock(2).offset_ms(), 2.0 * kDay, 60000);
  // The edge tells its own clock, once a child did.
  EXPECT_NEAR(heard(2, 1).child_clock(0).offset_ms(), 0, 60000);
  EXPECT_EQ(heard(2, 1).clock_skew_ms(), 0) << "one clock is apart from none";
}

TEST(NodeHost, HearsNoClockOfDevicesThatHaveNoUseForIt) {
  const NetworkPlan plan = SmallNetwork('e');
  Tree tree(plan);
  ASSERT_TRUE(tree.WaitForReady());
  EXPECT_EQ(tree.host(1, 0).Stats().child_clock_size(), 0);
}

TEST(NodeHost, AnswersWithoutAChildThatIsGoneMidGather) {
  const NetworkPlan plan = SmallNetwork('e');
  Tree tree(plan);
  ASSERT_TRUE(tree.WaitForReady());
  const std::string pixels(plan.view_shape().size(), 'p');
  ASSERT_TRUE(tree.device(0).Offer({0, 1}, pixels).ok());
  ASSERT_TRUE(tree.device(1).Offer({0, 1}, pixels).ok());
  tree.Stop(0, 2);
  ASSERT_TRUE(tree.watcher(0, 0).WaitForAnswers(1));
  EXPECT_EQ(tree.watcher(0, 0).answers.at({0, 1}).outcome, Outcome::kAnswered);
  EXPECT_EQ(tree.watcher(0, 0).answers.at({0, 1}).presence, 3u);
}

TEST(NodeHost, AnswersDegradedWithoutTheRootAndFullyAgainWhenItIsBack) {
  const NetworkPlan plan = SmallNetwork('d');
  Tree tree(plan, /*threshold=*/-1);  // nothing exits early
  ASSERT_TRUE(tree.WaitForReady());
  const std::string pixels(plan.view_shape().size(), 'p');
  tree.Stop(2, 0);
  ASSERT_TRUE(tree.watcher(1, 0).waiter.WaitUntil([&] { return !tree.watcher(1, 0).parent_up; }));
  ASSERT_TRUE(tree.device(0).Offer({0, 1}, pixels).ok());
  ASSERT_TRUE(tree.watcher(0, 0).WaitForAnswers(1));
  EXPECT_TRUE(tree.watcher(0, 0).answers.at({0, 1}).degraded);
  EXPECT_EQ(tree.watcher(0, 0).answers.at({0, 1}).exit, 1);
  tree.Start(2, 0);
  ASSERT_TRUE(tree.watcher(1, 0).waiter.WaitUntil([&] { return tree.watcher(1, 0).parent_up; }));
  ASSERT_TRUE(tree.device(0).Offer({0, 2}, pixels).ok());
  ASSERT_TRUE(tree.watcher(0, 0).WaitForAnswers(2));
  EXPECT_FALSE(tree.watcher(0, 0).answers.at({0, 2}).degraded);
  EXPECT_EQ(tree.watcher(0, 0).answers.at({0, 2}).exit, 2);
}

TEST(NodeHost, DrainsWhatIsUnderWayAndShedsWhatIsNew) {
  const NetworkPlan plan = SmallNetwork('e');
  Tree tree(plan);
  ASSERT_TRUE(tree.WaitForReady());
  const std::string pixels(plan.view_shape().size(), 'p');
  ASSERT_TRUE(tree.device(0).Offer({0, 1}, pixels).ok());
  ASSERT_TRUE(tree.device(1).Offer({0, 1}, pixels).ok());
  while (tree.host(1, 0).under_way() == 0) std::this_thread::yield();
  tree.host(1, 0).Drain(absl::ZeroDuration());
  for (int view = 0; view < 3; ++view) ASSERT_TRUE(tree.device(view).Offer({0, 2}, pixels).ok());
  ASSERT_TRUE(tree.device(2).Offer({0, 1}, pixels).ok());
  for (int view = 0; view < 3; ++view) {
    ASSERT_TRUE(tree.watcher(0, view).WaitForAnswers(2));
    EXPECT_EQ(tree.watcher(0, view).answers.at({0, 1}).outcome, Outcome::kAnswered);
    EXPECT_EQ(tree.watcher(0, view).answers.at({0, 1}).presence, 7u);
    EXPECT_EQ(tree.watcher(0, view).answers.at({0, 2}).outcome, Outcome::kShed);
    EXPECT_EQ(tree.watcher(0, view).answers.at({0, 2}).reason, "draining");
  }
  tree.host(1, 0).Drain(absl::Minutes(1));
  EXPECT_EQ(tree.host(1, 0).under_way(), 0);
}

TEST(NodeHost, ShedsAndCountsFramesNobodyCouldTake) {
  const NetworkPlan plan = SmallNetwork('e');
  Tree tree(plan);
  ASSERT_TRUE(tree.WaitForReady());
  tree.device(0).OfferShed({0, 1}, "device busy");
  const std::string pixels(plan.view_shape().size(), 'p');
  ASSERT_TRUE(tree.device(1).Offer({0, 1}, pixels).ok());
  ASSERT_TRUE(tree.device(2).Offer({0, 1}, pixels).ok());
  // The others do not wait for it.
  ASSERT_TRUE(tree.watcher(0, 1).WaitForAnswers(1));
  EXPECT_EQ(tree.watcher(0, 1).answers.at({0, 1}).presence, 6u);
  const v1::NodeStats stats = tree.device(0).Stats();
  EXPECT_EQ(stats.entered(), 1u);
  EXPECT_EQ(stats.shed(), 1u);
  EXPECT_EQ(stats.shed_reason().at("device busy"), 1u);
  EXPECT_EQ(tree.watcher(0, 0).answers.at({0, 1}).reason, "device busy");
}

TEST(NodeHost, KeepsHardSamplesAndTheirPicturesAtTheRoot) {
  const NetworkPlan plan = SmallNetwork('e');
  Tree tree(plan, /*threshold=*/-1, /*share_pixels=*/true);
  ASSERT_TRUE(tree.WaitForReady());
  for (int view = 0; view < 3; ++view) {
    const std::string pixels(plan.view_shape().size(), static_cast<char>('a' + view));
    ASSERT_TRUE(tree.device(view).Offer({0, 1}, pixels).ok());
  }
  Watcher& root = tree.watcher(2, 0);
  ASSERT_TRUE(root.waiter.WaitUntil([&] {
    size_t views = 0;
    for (const KeepPixels& kept : root.pixels) views += kept.pixels.size();
    return root.hards.size() == 1 && views == 3;
  }));
  for (const KeepPixels& kept : root.pixels) {
    for (const auto& [view, pixels] : kept.pixels) {
      EXPECT_EQ(pixels, std::string(plan.view_shape().size(), static_cast<char>('a' + view)));
    }
  }
}

// Hears a sample end and does not come back until it is let go.
class StuckWatcher : public NodeObserver {
 public:
  void OnAnswer(const Answer& answer) override {
    waiter.Change([&] { stuck = true; });
    waiter.WaitUntil([&] { return free; });
  }

  Waiter waiter;
  bool stuck = false, free = false, working = false;
};

TEST(NodeHost, DoesNotSayThatItWorksWhileSomethingIsStuck) {
  const NetworkPlan plan = SmallNetwork('e');
  Tree tree(plan);
  NodeHost::Options options = tree.Options(0, 0);
  options.parent = absl::StrCat("127.0.0.1:", tree.ports[{2, 0}]);  // wrong tier: never welcome
  StuckWatcher watcher;
  auto host = NodeHost::Start(tree.bundle, CreateFakeEngine, options, &watcher);
  ASSERT_TRUE(host.ok()) << host.status();
  auto working = [&] { watcher.waiter.Change([&] { watcher.working = true; }); };
  auto is_working = [&] { return watcher.working; };

  (*host)->WhenWorking(working);
  EXPECT_TRUE(watcher.waiter.WaitUntil(is_working));
  watcher.waiter.Change([&] { watcher.working = false; });
  // Behind this job the engine's thread has left the events alone: the camera's gets stuck in them.
  bool engine_is_free = false;
  auto freed = [&] { watcher.waiter.Change([&] { engine_is_free = true; }); };
  ASSERT_TRUE((*host)->executor()->SubmitJob(freed).ok());
  EXPECT_TRUE(watcher.waiter.WaitUntil([&] { return engine_is_free; }));

  std::thread camera([&] { (*host)->OfferShed({0, 1}, "device busy"); });
  EXPECT_TRUE(watcher.waiter.WaitUntil([&] { return watcher.stuck; }));
  (*host)->WhenWorking(working);
  bool past_the_engine = false;
  ASSERT_TRUE((*host)
                  ->executor()
                  ->SubmitJob([&] { watcher.waiter.Change([&] { past_the_engine = true; }); })
                  .ok());
  EXPECT_TRUE(watcher.waiter.WaitUntil([&] { return past_the_engine; }));
  EXPECT_FALSE(watcher.waiter.Read(is_working));

  watcher.waiter.Change([&] { watcher.free = true; });
  EXPECT_TRUE(watcher.waiter.WaitUntil(is_working));
  camera.join();
  (*host)->Stop();
}

TEST(NodeHost, EndsWhatIsOverdueByItsInjectedClock) {
  const NetworkPlan plan = SmallNetwork('e');
  Tree tree(plan);
  std::atomic<int64_t> seconds{0};
  NodeHost::Options options = tree.Options(0, 0);
  options.now = [&seconds] { return absl::UnixEpoch() + absl::Seconds(seconds.load()); };
  options.parent = absl::StrCat("127.0.0.1:", tree.ports[{2, 0}]);  // wrong tier: never welcome
  Watcher watcher;
  auto started = NodeHost::Start(tree.bundle, CreateFakeEngine, options, &watcher);
  ASSERT_TRUE(started.ok()) << started.status();
  ASSERT_TRUE((*started)->Offer({0, 1}, std::string(plan.view_shape().size(), 'p')).ok());
  seconds = 3600;
  (*started)->Poke();
  ASSERT_TRUE(watcher.WaitForAnswers(1));
  (*started)->Stop();
  EXPECT_EQ((*started)->under_way(), 0);
}

TEST(NodeHost, EndsEverySampleWhenItStops) {
  const NetworkPlan plan = SmallNetwork('e');
  Tree tree(plan);
  ASSERT_TRUE(tree.WaitForReady());
  const std::string pixels(plan.view_shape().size(), 'p');
  for (uint64_t i = 0; i < 50; ++i) ASSERT_TRUE(tree.device(0).Offer({0, i}, pixels).ok());
  tree.Stop(0, 0);
  EXPECT_EQ(tree.watcher(0, 0).count, 50u);
  const v1::NodeStats stats = tree.device(0).Stats();
  EXPECT_EQ(stats.entered(), stats.answered() + stats.shed() + stats.expired());
}

TEST(NodeHost, IsRefusedWithAnotherBundle) {
  const NetworkPlan plan = SmallNetwork('b');
  Tree tree(plan);
  ASSERT_TRUE(tree.WaitForReady());
  Bundle other = tree.bundle;
  other.sha256 = std::string(32, 'x');
  Watcher watcher;
  auto host = NodeHost::Start(other, CreateFakeEngine, tree.Options(0, 0), &watcher);
  ASSERT_TRUE(host.ok());
  ASSERT_TRUE(watcher.waiter.WaitUntil([&] { return !watcher.refused.ok(); }));
  EXPECT_EQ(watcher.refused.code(), absl::StatusCode::kFailedPrecondition);
}

// A parent that takes its time to refuse.
class Refusing : public v1::TierService::Service {
 public:
  grpc::Status Join(grpc::ServerContext*, grpc::ServerReaderWriter<v1::Down, v1::Up>*) override {
    waiter.WaitUntil([&] { return refuse; });
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "no");
  }

  Waiter waiter;
  bool refuse = false;
};

TEST(NodeHost, TellsARefusalWhenNothingElseIsBeingTold) {
  class Slow : public NodeObserver {
   public:
    explicit Slow(Refusing* parent) : parent_(parent) {}
    void OnAnswer(const Answer&) override {
      telling_ = true;
      parent_->waiter.Change([&] { parent_->refuse = true; });
      std::this_thread::sleep_for(std::chrono::milliseconds(200));  // for what must not come
      telling_ = false;
    }
    void OnRefused(const absl::Status&) override {
      EXPECT_FALSE(telling_);
      waiter.Change([&] { refused = true; });
    }
    Waiter waiter;
    bool refused = false;

   private:
    Refusing* const parent_;
    std::atomic<bool> telling_{false};
  };
  Refusing parent;
  Slow watcher(&parent);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&parent);
  const auto server = builder.BuildAndStart();
  NodeHost::Options options;
  options.parent = absl::StrCat("127.0.0.1:", port);
  const Bundle bundle = FakeBundle(SmallNetwork('b'));
  auto host = NodeHost::Start(bundle, CreateFakeEngine, options, &watcher);
  ASSERT_TRUE(host.ok()) << host.status();
  (*host)->OfferShed({0, 1}, "device busy");
  EXPECT_TRUE(watcher.waiter.WaitUntil([&] { return watcher.refused; }));
  (*host)->Stop();
  server->Shutdown();
}

TEST(NodeHost, RefusesOptionsThatDoNotFitTheNode) {
  const NetworkPlan plan = SmallNetwork('e');
  Tree tree(plan);
  Watcher watcher;
  const auto refused = [&](NodeHost::Options options) {
    const auto host = NodeHost::Start(tree.bundle, CreateFakeEngine, options, &watcher);
    return std::string(host.status().message());
  };
  NodeHost::Options options = tree.Options(0, 0);
  options.node.index = 3;
  EXPECT_THAT(refused(options), HasSubstr("expected 0 to 2"));
  options = tree.Options(0, 0);
  options.parent.clear();
  EXPECT_THAT(refused(options), HasSubstr("parent"));
  options = tree.Options(1, 0);
  options.listen.clear();
  EXPECT_THAT(refused(options), HasSubstr("listen"));
  options = tree.Options(2, 0);
  options.parent = "127.0.0.1:7000";
  EXPECT_THAT(refused(options), HasSubstr("the root has none"));
  options = tree.Options(1, 0);
  EXPECT_THAT(refused(options), HasSubstr("in use"));
  EXPECT_FALSE(tree.host(1, 0).Offer({0, 1}, "p").ok());
  EXPECT_FALSE(tree.device(0).Offer({0, 1}, "p").ok());
  EXPECT_EQ(tree.device(0).under_way(), 0);
}

}  // namespace
}  // namespace ddnn

// ddnn-edge: a node between devices and cloud. See --help.
#include <condition_variable>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/core/bundle.h"
#include "runtime/net/node_host.h"
#include "runtime/ops/config.h"
#include "runtime/ops/logging.h"
#include "runtime/ops/records.h"
#include "runtime/ops/service_manager.h"
#include "runtime/ops/signals.h"
#include "runtime/torch/torch_engine.h"
#include "runtime/update/bundle_service.h"
#include "runtime/update/child_bundles.h"
#include "runtime/update/generations.h"
#include "runtime/update/trial.h"

namespace ddnn {
namespace {

constexpr char kHelp[] =
    R"(ddnn-edge joins what its children see, answers the samples it is sure about, and passes the
rest on to its parent. Without the parent it answers itself, marked "degraded".

  ddnn-edge --bundle out/bundle --listen 0.0.0.0:7100 --parent cloud.local:7000
  ddnn-edge --bundle out/bundle --node 1 --listen 127.0.0.1:0 --parent localhost:7000 --json
  ddnn-edge --node 0 --listen 0.0.0.0:7100 --parent cloud.local:7000 --state /var/lib/ddnn
  ddnn-edge --config /etc/ddnn/edge.textproto

Without --bundle it asks the parent, waits for it if need be, and keeps what it gets in --state: the
next start needs no parent. Its children may ask it likewise. A new bundle of the parent's is taken
into use while samples go on.

Once it serves it prints "listening on HOST:PORT" to stdout; with --json each answer as well.
SIGTERM or Ctrl-C: no new samples; those under way are answered, then it ends. Twice: at once.
Ends with 0 after a signal, with 1 for an error, 2 for wrong flags.

Flags (defaults in parentheses):
)";

class Edge : public NodeObserver {
 public:
  Edge(const NetworkPlan& plan, const v1::NodeConfig& config, ServiceManager* manager)
      : plan_(plan), json_(config.json()), parent_(config.parent()), manager_(manager) {}

  void OnAnswer(const Answer& answer) override {
    if (json_) PrintLine(ToJson(ToRecord(plan_, answer)));
  }
  void OnRefused(const absl::Status& why) override { End(why); }
  void OnParent(bool up) override {
    manager_->Say(absl::StrCat(up ? "connected to " : "waiting for ", parent_));
  }

  void End(const absl::Status& status) {
    std::lock_guard<std::mutex> lock(mu_);
    if (ended_) return;
    ended_ = true;
    status_ = status;
    changed_.notify_all();
  }

  /// OK after a signal, else what the parent refused this node with.
  absl::Status WaitForEnd() {
    std::unique_lock<std::mutex> lock(mu_);
    changed_.wait(lock, [this] { return ended_; });
    return status_;
  }

 private:
  const NetworkPlan& plan_;
  const bool json_;
  const std::string parent_;
  ServiceManager* const manager_;
  std::mutex mu_;
  std::condition_variable changed_;
  bool ended_ = false;
  absl::Status status_;
};

// Which node of the network this process is: (tier, index).
absl::StatusOr<std::pair<int, int>> PlaceOf(const v1::NodeConfig& config, const NetworkPlan& plan) {
  std::pair<int, int> place{1, config.node()};
  if (!config.tier().empty()) {
    absl::StatusOr<int> tier = plan.FindTier(config.tier());
    if (!tier.ok()) return tier.status();
    place.first = *tier;
  }
  if (place.first == 0 || place.first >= plan.root_tier()) {
    return absl::InvalidArgumentError(
        absl::StrCat("network \"", plan.spec().name(), "\" has ", plan.tiers().size(),
                     " tiers; an edge needs one between the devices and the root (see --tier)"));
  }
  const int nodes = static_cast<int>(plan.tiers()[place.first].nodes.size());
  if (place.second >= nodes) {
    return absl::OutOfRangeError(absl::StrCat("--node ", place.second, ": tier \"",
                                              plan.tiers()[place.first].name, "\" has nodes 0 to ",
                                              nodes - 1));
  }
  return place;
}

// From --bundle; or from the parent, which `fetched` follows then. CANCELLED after a signal.
absl::StatusOr<SharedFiles> ObtainBundle(const v1::NodeConfig& config, SignalWatcher* signals,
                                         std::unique_ptr<ChildBundles>* fetched) {
  const FindPlace place = [&config](const NetworkPlan& plan) { return PlaceOf(config, plan); };
  // A folder may hold less than the children could ask for.
  if (!config.bundle().empty()) return ReadBundleFiles(config.bundle(), place, /*may_miss=*/true);
  absl::StatusOr<std::unique_ptr<ChildBundles>> opened =
      ChildBundles::Open(config.state(), config.parent(), place);
  if (!opened.ok()) return opened.status();
  *fetched = *std::move(opened);
  signals->Watch([bundles = fetched->get()](int) { bundles->Cancel(); });
  absl::StatusOr<SharedFiles> files = (*fetched)->First();
  signals->Unwatch();
  return files;
}

Generations::Options VersionOptions(const v1::NodeConfig& config, NodeObserver* edge,
                                    BundleService* bundles) {
  Generations::Options options;
  options.factory = CreateTorchEngine;
  options.observer = [edge](const SharedFiles&) { return std::make_unique<PassingObserver>(edge); };
  options.host = [&config](const SharedFiles& files) {
    absl::StatusOr<NodeHost::Options> host =
        HostOptions(config, files->bundle, files->tier, files->node);
    if (host.ok()) host->wait_for_bundle = config.bundle().empty();
    return host;
  };
  options.services = {bundles};
  return options;
}

// With --bundle it is the one bundle, for the children too.
void PublishOnly(const SharedFiles& files, BundleService* bundles) {
  v1::Published published;
  published.set_bundle_sha256(files->bundle.sha256);
  bundles->Publish(published, {files});
}

std::string ListeningAt(const std::string& listen, int port) {
  return absl::StrCat("listening on ", listen.substr(0, listen.rfind(':')), ":", port);
}

absl::Status Run(const v1::NodeConfig& config) {
  SignalWatcher signals;
  absl::Status status = SetUpLogging(absl::StrCat("ddnn-edge ", config.node()), config.log_level());
  if (!status.ok()) return status;
  absl::StatusOr<ServiceEnvironment> environment = ReadServiceEnvironment();
  if (!environment.ok()) return environment.status();
  ServiceManager manager(*environment);
  manager.Say(absl::StrCat("waiting for ", config.parent()));
  // Without a bundle it waits for its parent, however long that takes: nobody else should.
  if (config.bundle().empty()) manager.Ready([](std::function<void()> works) { works(); });
  std::unique_ptr<ChildBundles> fetched;
  absl::StatusOr<SharedFiles> files = ObtainBundle(config, &signals, &fetched);
  if (absl::IsCancelled(files.status())) return absl::OkStatus();
  if (!files.ok()) return files.status();
  const Bundle* const bundle = &(*files)->bundle;

  SetTorchThreads(config.threads());
  Edge edge(bundle->plan, config, &manager);
  BundleService bundles;
  absl::StatusOr<std::unique_ptr<Generations>> host =
      Generations::Start(VersionOptions(config, &edge, &bundles), *files);
  if (!host.ok()) return host.status();
  if (fetched == nullptr) {
    PublishOnly(*files, &bundles);
  } else {
    fetched->Follow(host->get(), &bundles, absl::Milliseconds(config.update_limit_ms()),
                    [&edge](const absl::Status& why) { edge.End(why); });
  }
  PrintLine(ListeningAt(config.listen(), (*host)->port()));
  signals.Watch([&edge](int) { edge.End(absl::OkStatus()); });
  manager.Ready([&](std::function<void()> works) { (*host)->WhenWorking(std::move(works)); });
  status = edge.WaitForEnd();
  manager.Stopping();
  if (status.ok())
    (*host)->Drain(absl::Milliseconds(config.sample_deadline_ms()) + absl::Seconds(1));
  if (fetched != nullptr) fetched->Stop();
  bundles.Shutdown();
  (*host)->Stop();
  if (!config.stats_file().empty()) {
    v1::NodeStats stats = (*host)->Stats();
    stats.set_bundle_sha256((*host)->preferred()->bundle.sha256_hex());
    status.Update(WriteStats(config.stats_file(), stats));
  }
  signals.Unwatch();
  return status;
}

}  // namespace
}  // namespace ddnn

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (const auto tried = ddnn::TrialMain(args, ddnn::CreateTorchEngine)) return *tried;
  const auto line = ddnn::ParseCommandLine(ddnn::Role::kEdge, args);
  if (!line.ok()) {
    std::cerr << "ddnn-edge: " << line.status().message() << std::endl;
    return 2;
  }
  if (line->help) {
    std::cout << ddnn::kHelp << ddnn::FlagsHelp(ddnn::Role::kEdge);
    return 0;
  }
  const absl::Status status = ddnn::Run(line->config);
  if (status.ok()) return 0;
  std::cerr << "ddnn-edge: " << status.message() << std::endl;
  return 1;
}

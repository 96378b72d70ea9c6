// ddnn-edge: a node between devices and cloud. See --help.
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/core/bundle.h"
#include "runtime/net/node_host.h"
#include "runtime/ops/config.h"
#include "runtime/ops/logging.h"
#include "runtime/ops/records.h"
#include "runtime/ops/signals.h"
#include "runtime/torch/torch_engine.h"

namespace ddnn {
namespace {

constexpr char kHelp[] =
    R"(ddnn-edge joins what its children see, answers the samples it is sure about, and passes the
rest on to its parent. Without the parent it answers itself, marked "degraded".

  ddnn-edge --bundle out/bundle --listen 0.0.0.0:7100 --parent cloud.local:7000
  ddnn-edge --bundle out/bundle --node 1 --listen 127.0.0.1:0 --parent localhost:7000 --json
  ddnn-edge --config /etc/ddnn/edge.textproto

Once it serves it prints "listening on HOST:PORT" to stdout; with --json each answer as well.
SIGTERM or Ctrl-C: no new samples; those under way are answered, then it ends. Twice: at once.
Ends with 0 after a signal, with 1 for an error, 2 for wrong flags.

Flags (defaults in parentheses):
)";

class Edge : public NodeObserver {
 public:
  Edge(const NetworkPlan& plan, bool json) : plan_(plan), json_(json) {}

  void OnAnswer(const Answer& answer) override {
    if (json_) PrintLine(ToJson(ToRecord(plan_, answer)));
  }
  void OnRefused(const absl::Status& why) override { End(why); }

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
  std::mutex mu_;
  std::condition_variable changed_;
  bool ended_ = false;
  absl::Status status_;
};

// Which node of the network this process is.
struct Place {
  int tier = 0;
  int node = 0;
};

absl::StatusOr<Place> FindPlace(const v1::NodeConfig& config, const NetworkPlan& plan) {
  Place place{1, config.node()};
  if (!config.tier().empty()) {
    absl::StatusOr<int> tier = plan.FindTier(config.tier());
    if (!tier.ok()) return tier.status();
    place.tier = *tier;
  }
  if (place.tier == 0 || place.tier >= plan.root_tier()) {
    return absl::InvalidArgumentError(
        absl::StrCat("network \"", plan.spec().name(), "\" has ", plan.tiers().size(),
                     " tiers; an edge needs one between the devices and the root (see --tier)"));
  }
  const int nodes = static_cast<int>(plan.tiers()[place.tier].nodes.size());
  if (place.node >= nodes) {
    return absl::OutOfRangeError(absl::StrCat("--node ", place.node, ": tier \"",
                                              plan.tiers()[place.tier].name, "\" has nodes 0 to ",
                                              nodes - 1));
  }
  return place;
}

std::string ListeningAt(const std::string& listen, int port) {
  return absl::StrCat("listening on ", listen.substr(0, listen.rfind(':')), ":", port);
}

absl::Status Run(const v1::NodeConfig& config) {
  SignalWatcher signals;
  absl::Status status = SetUpLogging(absl::StrCat("ddnn-edge ", config.node()), config.log_level());
  if (!status.ok()) return status;
  // Without a section chosen, the manifest and the first device's section do for finding the place.
  absl::StatusOr<Bundle> bundle = LoadBundle(config.bundle(), {0, 0});
  if (!bundle.ok()) return bundle.status();
  const absl::StatusOr<Place> place = FindPlace(config, bundle->plan);
  if (!place.ok()) return place.status();
  bundle = LoadBundle(config.bundle(), {place->tier, place->node});
  if (!bundle.ok()) return bundle.status();
  absl::StatusOr<NodeHost::Options> options =
      HostOptions(config, *bundle, place->tier, place->node);
  if (!options.ok()) return options.status();

  SetTorchThreads(config.threads());
  Edge edge(bundle->plan, config.json());
  absl::StatusOr<std::unique_ptr<NodeHost>> host =
      NodeHost::Start(*bundle, CreateTorchEngine, *options, &edge);
  if (!host.ok()) return host.status();
  PrintLine(ListeningAt(config.listen(), (*host)->port()));
  signals.Watch([&edge](int) { edge.End(absl::OkStatus()); });
  status = edge.WaitForEnd();
  if (status.ok()) (*host)->Drain(options->node.sample_deadline + absl::Seconds(1));
  (*host)->Stop();
  if (!config.stats_file().empty()) {
    status.Update(WriteStats(config.stats_file(), (*host)->Stats()));
  }
  signals.Unwatch();
  return status;
}

}  // namespace
}  // namespace ddnn

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
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

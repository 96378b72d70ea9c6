#include "tools/local/local_tree.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include <fstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "runtime/core/bundle.h"

namespace ddnn {
namespace {

constexpr int kTailLines = 20;
constexpr size_t kMaxStatsBytes = 1 << 20;
constexpr char kListening[] = "listening on ";

absl::Status Interruption() { return absl::CancelledError("interrupted"); }

std::string ProgramOf(const NetworkPlan& plan, int tier) {
  if (tier == 0) return "ddnn-device";
  return tier == plan.root_tier() ? "ddnn-cloud" : "ddnn-edge";
}

absl::Status AppendToFile(const std::string& path, const std::string& line) {
  std::ofstream out(path, std::ios::app);
  out << line << '\n';
  if (!out.flush()) return absl::UnavailableError(absl::StrCat("cannot write ", path));
  return absl::OkStatus();
}

}  // namespace

struct LocalTree::NodeProcess {
  int tier = 0;
  int index = 0;
  std::string name;
  std::string program;
  std::string log_path, config_path, stats_path;
  v1::NodeConfig config;
  std::unique_ptr<ChildProcess> process;
  std::string address;        // HOST:PORT, once it listens
  bool killed = false;        // by an event, and not restarted
  bool asked_to_end = false;  // by Stop()
};

const v1::NodeConfig& RoleConfig(const NetworkPlan& plan, const v1::Topology& topology, int tier) {
  if (tier == 0) return topology.device();
  return tier == plan.root_tier() ? topology.cloud() : topology.edge();
}

LocalTree::LocalTree(const NetworkPlan& plan, LocalTreeOptions options)
    : plan_(plan), options_(std::move(options)) {
  for (int tier = plan_.root_tier(); tier >= 0; --tier) {
    for (size_t i = 0; i < plan_.tiers()[tier].nodes.size(); ++i) {
      auto node = std::make_unique<NodeProcess>();
      node->tier = tier;
      node->index = static_cast<int>(i);
      node->name = NodeName(plan_, tier, node->index);
      node->program = absl::StrCat(options_.bin_dir, "/", ProgramOf(plan_, tier));
      const std::string base = absl::StrCat(options_.log_dir, "/", node->name);
      node->log_path = base + ".log";
      node->config_path = base + ".textproto";
      node->stats_path = base + ".stats.json";
      nodes_.push_back(std::move(node));
    }
  }
}

LocalTree::~LocalTree() = default;

LocalTree::NodeProcess* LocalTree::Find(int tier, int index) {
  for (const auto& node : nodes_) {
    if (node->tier == tier && node->index == index) return node.get();
  }
  return nullptr;
}

bool LocalTree::device_killed(int view) const {
  for (const auto& node : nodes_) {
    if (node->tier == 0 && node->index == view) return node->killed;
  }
  return false;
}

v1::NodeConfig LocalTree::ConfigOf(int tier, int index) const {
  v1::NodeConfig config = RoleConfig(plan_, options_.topology, tier);
  config.set_bundle(options_.bundle);
  if (tier == 0) {
    config.set_view(index);
    config.set_source(options_.source);
    config.set_samples(options_.samples);
    if (options_.rate > 0) config.set_rate(options_.rate);
    config.set_wait_for_tree(true);
    config.set_json(true);
  } else {
    config.set_listen("127.0.0.1:0");
  }
  if (tier > 0 && tier < plan_.root_tier()) {
    config.set_tier(plan_.tiers()[tier].name);
    config.set_node(index);
  }
  return config;
}

absl::Status LocalTree::StartNode(NodeProcess* node) {
  if (node->config.bundle().empty()) {
    node->config = ConfigOf(node->tier, node->index);
    node->config.set_stats_file(node->stats_path);
    if (const int parent = plan_.node(node->tier, node->index).parent; parent >= 0) {
      node->config.set_parent(Find(node->tier + 1, parent)->address);
    }
    // What an earlier run left here must not pass for this one's.
    remove(node->stats_path.c_str());
    remove(node->log_path.c_str());
  }
  std::string text;
  google::protobuf::TextFormat::PrintToString(node->config, &text);
  absl::Status status = WriteFileAtomically(node->config_path, text);
  if (!status.ok()) return status;
  auto process = ChildProcess::Start({node->program, absl::StrCat("--config=", node->config_path)},
                                     node->log_path);
  if (!process.ok()) return process.status();
  node->process = *std::move(process);
  node->killed = false;
  return absl::OkStatus();
}

absl::Status LocalTree::WaitForAddress(NodeProcess* node) {
  const absl::Time deadline = absl::Now() + options_.start_timeout;
  const RecordSink none = [](int, const v1::AnswerRecord&) { return absl::OkStatus(); };
  while (node->address.empty()) {
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat(node->name, " did not say where it listens within ",
                       absl::FormatDuration(options_.start_timeout), ":\n",
                       TailOfFile(node->log_path, kTailLines)));
    }
    absl::Status status = Pump(none);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status LocalTree::Start() {
  int tier = -1;
  std::vector<NodeProcess*> starting;
  const auto wait = [&]() -> absl::Status {
    for (NodeProcess* node : starting) {
      if (absl::Status status = WaitForAddress(node); !status.ok()) return status;
    }
    starting.clear();
    return absl::OkStatus();
  };
  for (const auto& node : nodes_) {
    if (node->tier != tier) {
      if (absl::Status status = wait(); !status.ok()) return status;
      tier = node->tier;
    }
    if (absl::Status status = StartNode(node.get()); !status.ok()) return status;
    if (tier > 0) starting.push_back(node.get());
  }
  return wait();
}

absl::Status LocalTree::EndedEarly(const NodeProcess& node) const {
  std::string tail = TailOfFile(node.log_path, kTailLines);
  if (tail.empty()) tail = "(it wrote nothing)";
  return absl::AbortedError(absl::StrCat(node.name, " ended with status ",
                                         node.process->exit_code(), "; ", node.log_path,
                                         " ends with:\n", tail));
}

absl::Status LocalTree::CheckAlive(NodeProcess* node) {
  if (node->process == nullptr || node->killed || !node->process->ended()) return absl::OkStatus();
  const bool done = node->tier == 0 && node->process->exit_code() == 0;
  return done ? absl::OkStatus() : EndedEarly(*node);
}

absl::Status LocalTree::TakeLine(NodeProcess* node, const std::string& line,
                                 const RecordSink& sink) {
  if (node->tier == 0 && absl::StartsWith(line, "{")) {
    v1::AnswerRecord record;
    const auto parsed = google::protobuf::util::JsonStringToMessage(line, &record);
    if (!parsed.ok()) {
      // The last line of a device that was killed may be cut.
      if (node->killed) return absl::OkStatus();
      return absl::InternalError(absl::StrCat(node->name, " printed what is no answer: ", line));
    }
    return sink(node->index, record);
  }
  const size_t at = line.find(kListening);
  if (node->tier > 0 && node->address.empty() && at != std::string::npos) {
    const std::string rest = line.substr(at + sizeof(kListening) - 1);
    node->address = rest.substr(0, rest.find(' '));
    node->config.set_listen(node->address);  // a restart has to come back to the same place
  }
  return AppendToFile(node->log_path, line);
}

absl::Status LocalTree::TakeOutput(NodeProcess* node, const RecordSink& sink) {
  for (const std::string& line : node->process->ReadLines()) {
    if (absl::Status status = TakeLine(node, line, sink); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// Waits a moment for output of any node and deals with it.
absl::Status LocalTree::Pump(const RecordSink& sink) {
  std::vector<pollfd> waits;
  for (const auto& node : nodes_) {
    if (node->process == nullptr || node->process->output_fd() < 0) continue;
    waits.push_back({node->process->output_fd(), POLLIN, 0});
  }
  poll(waits.data(), waits.size(), 50);
  if (Interrupted()) return Interruption();
  for (const auto& node : nodes_) {
    if (node->process == nullptr) continue;
    // In this order: what it printed before its end is read first.
    const bool ended = node->process->ended();
    if (absl::Status status = TakeOutput(node.get(), sink); !status.ok()) return status;
    if (!ended) continue;
    if (absl::Status status = CheckAlive(node.get()); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status LocalTree::Happen(const NodeEvent& event) {
  NodeProcess* node = Find(event.tier, event.node);
  if (!event.restart) {
    if (node->process->ended()) return absl::OkStatus();
    node->killed = true;
    node->process->Signal(SIGKILL);
    return absl::OkStatus();
  }
  return StartNode(node);
}

absl::Status LocalTree::Run(const RecordSink& sink, const std::function<int64_t()>& ended_samples) {
  int64_t seen = -1;
  absl::Time last_progress = absl::Now();
  const auto devices_run = [this] {
    for (const auto& node : nodes_) {
      if (node->tier == 0 && (!node->process->ended() || node->process->output_fd() >= 0)) {
        return true;
      }
    }
    return false;
  };
  while (devices_run()) {
    if (absl::Status status = Pump(sink); !status.ok()) return status;
    const int64_t now = ended_samples();
    while (next_event_ < options_.events.size() && options_.events[next_event_].at <= now) {
      absl::Status status = Happen(options_.events[next_event_++]);
      if (!status.ok()) return status;
    }
    if (now != seen) {
      seen = now;
      last_progress = absl::Now();
    } else if (absl::Now() - last_progress > options_.stall_timeout) {
      return absl::DeadlineExceededError(
          absl::StrCat("no sample ended within ", absl::FormatDuration(options_.stall_timeout),
                       " (", now, " of ", options_.samples, " had); see ", options_.log_dir));
    }
  }
  return absl::OkStatus();
}

absl::Status LocalTree::Stop() {
  absl::Status result;
  for (int tier = 0; tier <= plan_.root_tier(); ++tier) {
    for (const auto& node : nodes_) {
      if (node->tier != tier || node->process == nullptr) continue;
      node->asked_to_end = !node->process->ended();
      node->process->Signal(SIGTERM);
    }
    for (const auto& node : nodes_) {
      if (node->tier != tier || node->process == nullptr) continue;
      if (!node->process->WaitForEnd(options_.stop_timeout)) {
        node->process->Signal(SIGKILL);
        node->process->WaitForEnd(absl::InfiniteDuration());
        result.Update(absl::DeadlineExceededError(
            absl::StrCat(node->name, " did not end within ",
                         absl::FormatDuration(options_.stop_timeout), " of SIGTERM")));
      } else if (node->asked_to_end && !node->killed && node->process->exit_code() != 0) {
        result.Update(EndedEarly(*node));
      }
    }
  }
  return result;
}

std::vector<v1::NodeStats> LocalTree::Stats() const {
  std::vector<v1::NodeStats> all;
  for (int tier = 0; tier <= plan_.root_tier(); ++tier) {
    for (const auto& node : nodes_) {
      if (node->tier != tier) continue;
      const auto text = ReadFile(node->stats_path, kMaxStatsBytes);
      v1::NodeStats stats;
      if (!text.ok() || !google::protobuf::util::JsonStringToMessage(*text, &stats).ok()) continue;
      stats.set_node(node->name);
      all.push_back(std::move(stats));
    }
  }
  return all;
}

}  // namespace ddnn

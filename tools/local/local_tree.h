#ifndef DDNN_TOOLS_LOCAL_LOCAL_TREE_H_
#define DDNN_TOOLS_LOCAL_LOCAL_TREE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ddnn/v1/config.pb.h"
#include "ddnn/v1/report.pb.h"
#include "models/network_plan.h"
#include "tools/local/child_process.h"
#include "tools/local/schedule.h"

namespace ddnn {

struct LocalTreeOptions {
  v1::Topology topology;
  std::string bundle;
  std::string source;
  int64_t samples = 0;
  double rate = 0;  ///< 0: as the topology says
  std::string bin_dir;
  std::string log_dir;  ///< must exist
  std::vector<NodeEvent> events;
  /// A node must say where it listens within this time.
  absl::Duration start_timeout = absl::Seconds(60);
  /// The run fails if no sample ends for this long.
  absl::Duration stall_timeout = absl::Seconds(60);
  /// How long a node may take to drain at the end.
  absl::Duration stop_timeout = absl::Seconds(20);
  /// Asked often, from the main thread; once true the run ends with CANCELLED.
  std::function<bool()> interrupted;
};

/// Every node of a network as a process of its own on this machine.
///
/// Files in the log folder: NODE.textproto (its configuration), NODE.log (what it said), and
/// NODE.stats.json (what it counted). Use from the main thread only.
class LocalTree {
 public:
  /// A line of JSON from the device of that view.
  using RecordSink = std::function<absl::Status(int view, const v1::AnswerRecord& record)>;

  LocalTree(const NetworkPlan& plan, LocalTreeOptions options);
  /// Kills whatever still runs.
  ~LocalTree();
  LocalTree(const LocalTree&) = delete;
  LocalTree& operator=(const LocalTree&) = delete;

  /// Starts the root, then tier by tier what is below, each once its parents listen.
  /// An error holds the last lines the node wrote.
  absl::Status Start();

  /// Passes on what devices report until all of them have ended, killing and restarting nodes as
  /// the events say; `ended_samples` counts what they refer to. An error names the node that ended
  /// before its time.
  absl::Status Run(const RecordSink& sink, const std::function<int64_t()>& ended_samples);

  /// Ends what still runs, from the devices up: asks (SIGTERM), waits, kills. An error names nodes
  /// that had to be killed or ended with an error.
  absl::Status Stop();

  /// Of the nodes that ended by themselves or were asked to, tier by tier from the devices up.
  std::vector<v1::NodeStats> Stats() const;

  /// True if the node of this view was killed by an event.
  bool device_killed(int view) const;

 private:
  struct NodeProcess;

  absl::Status StartNode(NodeProcess* node);
  absl::Status WaitForAddress(NodeProcess* node);
  absl::Status Pump(const RecordSink& sink);
  absl::Status TakeOutput(NodeProcess* node, const RecordSink& sink);
  absl::Status TakeLine(NodeProcess* node, const std::string& line, const RecordSink& sink);
  absl::Status CheckAlive(NodeProcess* node);
  absl::Status Happen(const NodeEvent& event);
  absl::Status EndedEarly(const NodeProcess& node) const;
  bool Interrupted() const { return options_.interrupted && options_.interrupted(); }
  NodeProcess* Find(int tier, int index);
  v1::NodeConfig ConfigOf(int tier, int index) const;

  NetworkPlan plan_;
  LocalTreeOptions options_;
  std::vector<std::unique_ptr<NodeProcess>> nodes_;  // root first
  size_t next_event_ = 0;
};

/// The configuration that the topology gives to every node of a tier: device, edge or cloud.
const v1::NodeConfig& RoleConfig(const NetworkPlan& plan, const v1::Topology& topology, int tier);

}  // namespace ddnn

#endif  // DDNN_TOOLS_LOCAL_LOCAL_TREE_H_

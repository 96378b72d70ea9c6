#ifndef DDNN_TESTS_NODE_SIMULATED_TREE_H_
#define DDNN_TESTS_NODE_SIMULATED_TREE_H_

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "runtime/core/bundle.h"
#include "runtime/node/node.h"

namespace ddnn {

/// All nodes of a network in one thread: their actions become messages on links that keep their
/// order, take a random time and can be cut. Nothing here knows a policy. Same seed, same run.
class SimulatedTree {
 public:
  struct Options {
    uint64_t seed = 1;
    absl::Duration max_delay = absl::Milliseconds(5);  ///< of a message and of an engine
    double loss = 0;            ///< fraction of messages that vanish on an unbroken link
    double engine_failure = 0;  ///< fraction of forward passes that fail
    NodeOptions node;           ///< tier, index and thresholds are filled in
    std::vector<ExitThreshold> thresholds;
  };
  /// What one node did.
  struct Record {
    std::map<SampleKey, std::vector<Answer>> answers;  ///< repeated ones excluded
    std::vector<Answer> repeated;
    std::map<SampleKey, std::string> hard;
    std::map<SampleKey, std::map<int, std::string>> pixels;
    int scores_sent = 0, features_sent = 0, absent_sent = 0, features_requested = 0;
  };

  SimulatedTree(const Bundle& bundle, EngineFactory factory, Options options);

  absl::Time now() const { return now_; }
  /// One camera's picture, or that it sees nothing, at a time not before now.
  void Feed(int view, SampleKey key, std::string pixels, absl::Time at);
  void FeedAbsent(int view, SampleKey key, absl::Time at);
  /// Cuts or mends the link between a node and its parent, at once.
  void CutLink(int tier, int index);
  void MendLink(int tier, int index);
  /// Runs what is due until then. Returns what went wrong, or nothing.
  void RunUntil(absl::Time end);
  /// Until nothing is under way and no message travels, or `limit` is over.
  void RunUntilQuiet(absl::Duration limit);

  const Record& record(int tier, int index) const { return At(tier, index).record; }
  const Node& node(int tier, int index) const { return *At(tier, index).node; }
  const NetworkPlan& plan() const { return plan_; }
  /// Broken invariants and refused messages, in words; empty when all is well.
  const std::vector<std::string>& complaints() const { return complaints_; }

 private:
  struct Place {
    int tier = 0, index = 0;
    std::unique_ptr<Node> node;
    std::unique_ptr<Engine> engine;
    Record record;
    bool linked = false;
    int link_epoch = 0;  // messages of an older one are lost
    absl::Time last_up, last_down;
  };
  using Event = std::function<void()>;

  Place& At(int tier, int index) { return *places_.at({tier, index}); }
  const Place& At(int tier, int index) const { return *places_.at({tier, index}); }
  void Later(absl::Time at, Event event) { events_.emplace(at, std::move(event)); }
  absl::Duration Delay();
  bool Chance(double probability);
  void Up(Place* from, std::function<absl::Status(Node*, int, std::vector<Action>*)> say);
  void Down(Place* to, std::function<void(Node*, std::vector<Action>*)> say);
  void Do(Place* place, std::vector<Action> actions);
  void Do(Place* place, Action* action);
  void RunEngine(Place* place, const SampleKey& key,
                 std::function<void(std::vector<Action>*)> done);
  void Give(Place* place, const GiveAnswer& give);
  void Check(const Place& place);
  bool Quiet() const;

  const NetworkPlan plan_;
  const Options options_;
  std::mt19937_64 random_;
  absl::Time now_ = absl::FromUnixSeconds(1000);
  std::map<std::pair<int, int>, std::unique_ptr<Place>> places_;
  std::multimap<absl::Time, Event> events_;  // equal times in the order of insertion
  std::vector<std::string> complaints_;
};

}  // namespace ddnn

#endif  // DDNN_TESTS_NODE_SIMULATED_TREE_H_

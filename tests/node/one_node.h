#ifndef DDNN_TESTS_NODE_ONE_NODE_H_
#define DDNN_TESTS_NODE_ONE_NODE_H_

#include <string>
#include <utility>
#include <vector>

#include "models/network_plan.h"
#include "runtime/node/node.h"

namespace ddnn {

/// Those of the actions that are of one kind, in order.
template <typename Kind>
std::vector<Kind> Of(const std::vector<Action>& actions) {
  std::vector<Kind> some;
  for (const Action& action : actions) {
    if (const Kind* one = std::get_if<Kind>(&action)) some.push_back(*one);
  }
  return some;
}

/// Which children are told.
inline std::vector<int> ChildrenTold(const std::vector<Action>& actions) {
  std::vector<int> told;
  for (const GiveAnswer& give : Of<GiveAnswer>(actions)) {
    told.insert(told.end(), give.children.begin(), give.children.end());
  }
  return told;
}

/// One node, whose neighbours and engine the test plays, with a clock that stands still until it is
/// moved. Every event returns the actions it caused. Thresholds are 0.5 unless given; every child
/// and the parent are connected.
class OneNode {
 public:
  using Actions = std::vector<Action>;

  OneNode(const NetworkPlan& plan, int tier, NodeOptions options = {}, int index = 0);

  /// Messages that must be accepted: anything else fails the test.
  Actions Scores(int child, SampleKey key, const std::vector<float>& scores,
                 absl::Duration time_left = absl::InfiniteDuration());
  Actions Features(int child, SampleKey key, absl::Duration time_left = absl::InfiniteDuration());
  Actions Absent(int child, SampleKey key, absl::Duration time_left = absl::InfiniteDuration());
  Actions Pixels(int child, SampleKey key, std::vector<std::pair<int, std::string>> pixels);
  Actions Gone(int child);
  void Joined(int child) { node_.OnChildJoined(child, now_); }
  /// The engine's: the section's features, and scores if given.
  Actions Section(SampleKey key, std::vector<float> scores = {});
  Actions JoinedScores(SampleKey key, std::vector<float> scores);
  Actions Failed(SampleKey key);
  Actions Wanted(SampleKey key);
  Actions AnswerFromAbove(const Answer& answer);
  Actions ParentGone();
  void ParentUp() { node_.OnParentUp(now_); }
  /// Moves the clock, and tells the node if it asked to be told by then.
  Actions Pass(absl::Duration time);
  /// Moves the clock and tells nobody, as when the host is late.
  void Stall(absl::Duration time) { now_ += time; }

  /// What this child's features are for every sample.
  std::string FeaturesOf(int child) const;
  /// What the section gives.
  std::string OwnFeatures() const;
  int children() const;

  Node& node() { return node_; }
  const NodeCounters& counters() const { return node_.counters(); }
  absl::Time now() const { return now_; }
  const NetworkPlan& plan() const { return plan_; }

 private:
  const NetworkPlan plan_;
  const int tier_;
  const int index_;
  Node node_;
  absl::Time now_ = absl::FromUnixSeconds(1000);
};

/// A full answer of some exit, as a parent sends it down.
Answer FromAbove(SampleKey key, int exit, uint64_t presence, int class_index = 1);

inline constexpr SampleKey kOne{7, 1}, kTwo{7, 2}, kThree{7, 3};

}  // namespace ddnn

#endif  // DDNN_TESTS_NODE_ONE_NODE_H_

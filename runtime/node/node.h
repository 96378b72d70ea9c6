#ifndef DDNN_RUNTIME_NODE_NODE_H_
#define DDNN_RUNTIME_NODE_NODE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "models/network_plan.h"
#include "runtime/core/answer.h"
#include "runtime/core/engine.h"
#include "runtime/core/exit_criterion.h"

namespace ddnn {

/// What a node wants done. The host carries actions out in the order given.
struct SendScores {  // to the parent
  SampleKey sample;
  std::string scores;  // packed
  uint64_t presence = 0;
  absl::Duration time_left;
};
struct SendFeatures {  // to the parent
  SampleKey sample;
  std::string features;  ///< as they travel: see runtime/core/feature_code.h
  uint64_t presence = 0;
  absl::Duration time_left;
};
struct SendAbsent {  // to the parent
  SampleKey sample;
};
struct SendPixels {  // to the parent, pictures of a hard sample
  SampleKey sample;
  std::vector<std::pair<int, std::string>> pixels;  // by view
};
struct RequestFeatures {  // from one child
  int child = 0;
  SampleKey sample;
  absl::Duration time_left;  ///< until the sample must be answered
};
struct RunSection {  // call SectionDone (or SectionFailed) with the same sample afterwards
  SampleKey sample;
  SectionInput input;
};
struct RunScores {  // CC of scores: call ScoresDone afterwards
  SampleKey sample;
  std::vector<float> joined;
};
struct GiveAnswer {  // to these children, and to whoever watches this node
  Answer answer;
  std::vector<int> children;  // none at a device: a camera needs no answer
  // A late child is told what the others were told before: nothing for those who watch or count.
  bool repeated = false;
  absl::Duration time_left;  ///< that the children had still left for it; none where unknown
};
struct KeepHard {  // root only: store the sample
  Answer answer;
  // The children's features as they came, in slot order, each with the size the plan gives it; zero
  // bytes where the child was missing (answer.presence says which views were there).
  std::string features;
};
struct KeepPixels {  // root only: pictures that arrived for a hard sample
  SampleKey sample;
  std::vector<std::pair<int, std::string>> pixels;
};
struct KeepAlone {  // device with keep_alone: what would have gone up, had somebody taken it
  Answer answer;    // as it was given; expired where there was none
  // One of the two: the section's, packed, or with share_pixels the picture.
  std::string features;
  std::string pixels;
  bool in_doubt = false;  // its features were sent, so it may have come through
};
using Action = std::variant<SendScores, SendFeatures, SendAbsent, SendPixels, RequestFeatures,
                            RunSection, RunScores, GiveAnswer, KeepHard, KeepPixels, KeepAlone>;

struct NodeOptions {
  int tier = 0;
  int index = 0;
  std::vector<ExitThreshold> thresholds;  ///< one per exit of the network
  /// From the first word about a sample: children that did not speak by then are missing.
  absl::Duration gather_deadline = absl::Milliseconds(200);
  /// From the first word about a sample: without an answer from above by then, the node gives its
  /// own (degraded), or the sample expires if it has no scores.
  absl::Duration sample_deadline = absl::Seconds(2);
  /// Features (and pixels) kept for a later request, and how long.
  size_t cache_bytes = 4 << 20;
  absl::Duration cache_time = absl::Seconds(10);
  /// Samples under way; one more is shed ("overloaded").
  int max_samples = 1024;
  /// Device tier: keep pixels so that they can go up when the sample turns out hard.
  bool share_pixels = false;
  /// Device tier: KeepAlone for samples that were answered without a parent, or below the exit that
  /// should have, and were not sure; and for those that expired so. Needs cache_bytes for them.
  bool keep_alone = false;
};

struct NodeCounters {
  uint64_t entered = 0, answered = 0, shed = 0, expired = 0, degraded = 0;
  uint64_t late_messages = 0;     ///< came too late to count, twice, or about unknown samples
  uint64_t evicted_features = 0;  ///< from the cache, before they were asked for or answered
  uint64_t payload_bytes = 0;     ///< sent up; at the root, received
  uint64_t alone_evicted = 0;     ///< no KeepAlone: the cache had dropped it
};

/// The policy of one node of the tree: gather, aggregate, decide, escalate, degrade, answer.
///
/// Pure: no sockets, threads or clocks. Every event takes the time and appends what is to be done.
/// Invariant: entered == answered + shed + expired + samples under way.
/// Not safe to call from several threads at once.
///
/// A device is a node with one child, the camera, whose "features" are pixels. At any node: if the
/// plan puts an exit over the children's scores here, gather scores, decide, and only then ask
/// those present for their features; else features come unasked. Above, likewise: if the parent
/// decides this tier's exit the node sends scores and keeps features until they are asked for, else
/// it decides its own exit (if it has one) and pushes features when unsure.
class Node {
 public:
  Node(const NetworkPlan& plan, NodeOptions options);
  ~Node();

  // From below. `child` is the slot. Sizes and presence masks are checked: INVALID_ARGUMENT names
  // what was found and expected, and nothing has happened. A presence of 0 from a child with one
  // view means that view. `time_left` is how long the child still waits for an answer: the sample's
  // deadline here is never later.
  absl::Status OnChildScores(int child, SampleKey sample, const std::string& scores,
                             uint64_t presence, absl::Time now, std::vector<Action>* actions,
                             absl::Duration time_left = absl::InfiniteDuration());
  absl::Status OnChildFeatures(int child, SampleKey sample, std::string features, uint64_t presence,
                               absl::Time now, std::vector<Action>* actions,
                               absl::Duration time_left = absl::InfiniteDuration());
  /// Accepted once per view, for samples that the root was unsure about too; else counted as late.
  absl::Status OnChildPixels(int child, SampleKey sample,
                             std::vector<std::pair<int, std::string>> pixels, absl::Time now,
                             std::vector<Action>* actions);
  /// The child has nothing to show for this sample.
  absl::Status OnChildAbsent(int child, SampleKey sample, absl::Time now,
                             std::vector<Action>* actions,
                             absl::Duration time_left = absl::InfiniteDuration());
  /// Samples do not wait for children that are not connected, or joined after the first word about
  /// the sample. A device's camera is connected from the start.
  void OnChildJoined(int child, absl::Time now);
  void OnChildGone(int child, absl::Time now, std::vector<Action>* actions);

  // From the engine.
  void SectionDone(SampleKey sample, SectionOutput output, absl::Time now,
                   std::vector<Action>* actions);
  void ScoresDone(SampleKey sample, std::vector<float> scores, absl::Time now,
                  std::vector<Action>* actions);
  /// The engine could not: the sample gets the best answer there is (degraded), or is shed with
  /// this reason.
  void SectionFailed(SampleKey sample, const absl::Status& why, absl::Time now,
                     std::vector<Action>* actions);

  // From above.
  void OnFeaturesWanted(SampleKey sample, absl::Time now, std::vector<Action>* actions);
  void OnAnswer(const Answer& answer, absl::Time now, std::vector<Action>* actions);
  /// There is no parent until this is called.
  void OnParentUp(absl::Time now);
  /// Samples that wait for the parent are answered here, degraded.
  void OnParentGone(absl::Time now, std::vector<Action>* actions);

  /// Ends what is overdue. Call at NextDeadline(), or later.
  void OnTime(absl::Time now, std::vector<Action>* actions);
  /// absl::InfiniteFuture() when nothing waits.
  absl::Time NextDeadline() const;

  int under_way() const;
  /// True for a sample that is under way, or ended not long ago: a word about it begins nothing.
  bool Knows(SampleKey sample) const;
  /// Bytes of features and pixels kept for later; at most NodeOptions::cache_bytes.
  size_t cached_bytes() const;
  const NodeCounters& counters() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NODE_NODE_H_

#ifndef DDNN_RUNTIME_NODE_NODE_IMPL_H_
#define DDNN_RUNTIME_NODE_NODE_IMPL_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "runtime/node/child_messages.h"
#include "runtime/node/feature_cache.h"
#include "runtime/node/node.h"
#include "runtime/node/recent_answers.h"

namespace ddnn {

/// The samples of one node and what happens to them. node.cc takes events in and finds the sample;
/// node_steps.cc takes a sample from one phase to the next.
///
/// Children are named by slot, sets of them are bit masks. A step may end the sample it is given,
/// so nothing may touch the sample after it.
class Node::Impl {
 public:
  Impl(const NetworkPlan& plan, NodeOptions options);

  absl::Status OnChildScores(int child, SampleKey key, const std::string& packed, uint64_t presence,
                             absl::Time now, std::vector<Action>* actions,
                             absl::Duration time_left);
  absl::Status OnChildFeatures(int child, SampleKey key, std::string features, uint64_t presence,
                               absl::Time now, std::vector<Action>* actions,
                               absl::Duration time_left);
  absl::Status OnChildPixels(int child, SampleKey key,
                             std::vector<std::pair<int, std::string>> pixels,
                             std::vector<Action>* actions);
  absl::Status OnChildAbsent(int child, SampleKey key, absl::Time now, std::vector<Action>* actions,
                             absl::Duration time_left);
  void OnChildJoined(int child);
  void OnChildGone(int child, absl::Time now, std::vector<Action>* actions);
  void SectionDone(SampleKey key, SectionOutput output, absl::Time now,
                   std::vector<Action>* actions);
  void ScoresDone(SampleKey key, std::vector<float> scores, absl::Time now,
                  std::vector<Action>* actions);
  void SectionFailed(SampleKey key, const absl::Status& why, absl::Time now,
                     std::vector<Action>* actions);
  void OnFeaturesWanted(SampleKey key, absl::Time now, std::vector<Action>* actions);
  void OnAnswer(const Answer& answer, absl::Time now, std::vector<Action>* actions);
  void OnParentUp() { parent_up_ = true; }
  void OnParentGone(absl::Time now, std::vector<Action>* actions);
  void OnTime(absl::Time now, std::vector<Action>* actions);
  absl::Time NextDeadline() const;
  bool Knows(SampleKey key) { return Find(key) != nullptr || recent_.Find(key) != nullptr; }
  int under_way() const { return static_cast<int>(samples_.size()); }
  size_t cached_bytes() const { return cache_.bytes(); }
  const NodeCounters& counters() const;

 private:
  enum class Phase {
    kScores,       // waits for children's scores
    kScoresLayer,  // waits for the engine to join them
    kFeatures,     // waits for children's features
    kSection,      // waits for the engine to run the section
    kParent,       // waits for the answer from above
  };
  struct Child {
    std::vector<float> scores;  // empty: none came
    uint64_t score_presence = 0;
    std::string features;  // empty: none came
    uint64_t feature_presence = 0;
    bool absent = false;

    bool spoke() const { return absent || !scores.empty() || !features.empty(); }
  };
  struct Sample {
    SampleKey key;
    Phase phase = Phase::kScores;
    absl::Time entered;
    absl::Time gather_until;
    absl::Time deadline;
    absl::Time wake;       // its entry in timers_
    uint64_t waiting = 0;  // children whose word the present gather waits for
    uint64_t spoke = 0;    // children that shall have the answer
    std::vector<Child> children;
    uint64_t presence = 0;  // views in what is being computed
    std::string handed_on;  // features of a tier without layers
    std::string pixels;     // device with share_pixels, until they go into the cache
    std::string features;   // device with keep_alone and without share_pixels, likewise
    bool told_parent = false;
    bool features_asked = false;
    bool computed = false;       // the section ran
    std::optional<Answer> best;  // of the exits that were unsure
    uint64_t payload_bytes = 0;
  };

  // node.cc
  Sample* Find(SampleKey key);
  Sample* Enter(int child, SampleKey key, absl::Time now, absl::Duration time_left,
                std::vector<Action>* actions);
  void TellLate(int child, SampleKey key, std::vector<Action>* actions);
  void CountReceived(Sample* sample, size_t bytes);
  void SetWake(Sample* sample);
  bool IsSane(const Answer& answer) const;
  Sample Remove(SampleKey key);

  // node_steps.cc
  void Heard(Sample* sample, int child, absl::Time now, std::vector<Action>* actions);
  void CloseGather(Sample* sample, absl::Time now, std::vector<Action>* actions);
  void CloseScores(Sample* sample, absl::Time now, std::vector<Action>* actions);
  void ScoresReady(Sample* sample, std::vector<float> scores, absl::Time now,
                   std::vector<Action>* actions);
  void AskForFeatures(Sample* sample, absl::Time now, std::vector<Action>* actions);
  void CloseFeatures(Sample* sample, absl::Time now, std::vector<Action>* actions);
  absl::StatusOr<SectionInput> JoinInput(Sample* sample);
  void SectionReady(Sample* sample, SectionOutput output, absl::Time now,
                    std::vector<Action>* actions);
  void TellParent(Sample* sample, SectionOutput output, absl::Time now,
                  std::vector<Action>* actions);
  void NobodyPresent(Sample* sample, absl::Time now, std::vector<Action>* actions);
  void Degrade(Sample* sample, const std::string& reason, absl::Time now,
               std::vector<Action>* actions);
  void Fail(Sample* sample, const absl::Status& why, absl::Time now, std::vector<Action>* actions);
  Answer MakeAnswer(int exit, std::vector<float> scores, uint64_t presence) const;
  bool IsSure(const Answer& answer) const;
  absl::Duration TimeLeft(const Sample& sample, absl::Time now) const;
  void End(SampleKey key, Answer answer, bool from_above, absl::Time now,
           std::vector<Action>* actions);
  void Finish(Sample sample, Answer answer, bool from_above, absl::Time now,
              std::vector<Action>* actions);
  void KeepIfAlone(Sample* sample, const Answer& answer, bool from_above,
                   std::vector<Action>* actions);
  void Count(const Answer& answer);
  std::string JoinedFeatures(const Sample& sample) const;

  const NetworkPlan plan_;
  NodeOptions options_;
  ChildMessages messages_;
  const bool root_;
  const int children_exit_;  // decided here over the children's scores; -1: features come unasked
  const int exit_;           // whose scores this node computes; -1: none
  const bool sends_scores_;  // the parent decides exit_
  const bool has_siblings_;  // the parent has other children, which wait for this node's word
  const bool keeps_alone_;

  std::map<SampleKey, Sample> samples_;
  std::set<std::pair<absl::Time, SampleKey>> timers_;
  FeatureCache cache_;
  RecentAnswers recent_;
  uint64_t connected_ = 0;
  bool parent_up_ = false;
  mutable NodeCounters counters_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NODE_NODE_IMPL_H_

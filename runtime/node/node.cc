#include "runtime/node/node.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "runtime/core/feature_code.h"
#include "runtime/node/node_impl.h"

namespace ddnn {
namespace {

// How many ended samples are remembered for those who come late.
constexpr int kMinRecent = 256;

uint64_t Bit(int child) { return uint64_t{1} << child; }

bool HasSiblings(const NetworkPlan& plan, int tier, int index) {
  if (tier == plan.root_tier()) return false;
  return plan.node(tier + 1, plan.node(tier, index).parent).children.size() > 1;
}

bool DecidedAbove(const NetworkPlan& plan, int tier) {
  const int exit = plan.tiers()[tier].exit;
  return exit >= 0 && plan.exits()[exit].decided_tier > tier;
}

}  // namespace

Node::Impl::Impl(const NetworkPlan& plan, NodeOptions options)
    : plan_(plan),
      options_(std::move(options)),
      messages_(plan_, options_.tier, options_.index),
      root_(options_.tier == plan.root_tier()),
      children_exit_(plan.tiers()[options_.tier].children_exit),
      exit_(plan.tiers()[options_.tier].exit),
      sends_scores_(DecidedAbove(plan, options_.tier)),
      has_siblings_(HasSiblings(plan, options_.tier, options_.index)),
      keeps_alone_(options_.keep_alone && options_.tier == 0 && !root_),
      cache_(options_.cache_bytes, options_.cache_time),
      recent_(std::max(kMinRecent, options_.max_samples)) {
  // An exit without a threshold is never sure.
  options_.thresholds.resize(plan.exits().size());
  if (options_.tier == 0) connected_ = Bit(0);
}

Node::Impl::Sample* Node::Impl::Find(SampleKey key) {
  const auto found = samples_.find(key);
  return found == samples_.end() ? nullptr : &found->second;
}

Node::Impl::Sample Node::Impl::Remove(SampleKey key) {
  const auto found = samples_.find(key);
  Sample sample = std::move(found->second);
  timers_.erase({sample.wake, key});
  samples_.erase(found);
  return sample;
}

void Node::Impl::SetWake(Sample* sample) {
  timers_.erase({sample->wake, sample->key});
  const bool gathers = sample->phase == Phase::kScores || sample->phase == Phase::kFeatures;
  sample->wake = gathers ? std::min(sample->gather_until, sample->deadline) : sample->deadline;
  timers_.insert({sample->wake, sample->key});
}

// The sample a child speaks about, new if need be. Null when the word is too late to count or the
// sample was shed.
Node::Impl::Sample* Node::Impl::Enter(int child, SampleKey key, absl::Time now,
                                      absl::Duration time_left, std::vector<Action>* actions) {
  if (Sample* known = Find(key)) {
    known->spoke |= Bit(child);
    if (now + time_left < known->deadline) {
      known->deadline = now + time_left;
      SetWake(known);
    }
    return known;
  }
  if (recent_.Find(key) != nullptr) {
    TellLate(child, key, actions);
    return nullptr;
  }
  ++counters_.entered;
  Sample sample;
  sample.key = key;
  sample.phase = children_exit_ >= 0 ? Phase::kScores : Phase::kFeatures;
  sample.entered = now;
  sample.gather_until = now + options_.gather_deadline;
  sample.deadline = now + std::min(options_.sample_deadline, time_left);
  sample.waiting = connected_ & ~Bit(child);
  sample.spoke = Bit(child);
  sample.children.resize(messages_.slots());
  if (under_way() >= options_.max_samples) {
    Answer answer;
    answer.outcome = Outcome::kShed;
    answer.reason = "overloaded";
    Finish(std::move(sample), std::move(answer), /*from_above=*/false, now, actions);
    return nullptr;
  }
  Sample& entered = samples_[key] = std::move(sample);
  SetWake(&entered);
  return &entered;
}

void Node::Impl::TellLate(int child, SampleKey key, std::vector<Action>* actions) {
  ++counters_.late_messages;
  RecentAnswers::Record* record = recent_.Find(key);
  if (record == nullptr || options_.tier == 0 || (record->told & Bit(child)) != 0) return;
  record->told |= Bit(child);
  actions->emplace_back(
      GiveAnswer{record->answer, {child}, /*repeated=*/true, /*time_left=*/absl::ZeroDuration()});
}

void Node::Impl::CountReceived(Sample* sample, size_t bytes) {
  if (!root_ || options_.tier == 0) return;
  counters_.payload_bytes += bytes;
  if (sample != nullptr) sample->payload_bytes += bytes;
}

absl::Status Node::Impl::OnChildScores(int child, SampleKey key, const std::string& packed,
                                       uint64_t presence, absl::Time now,
                                       std::vector<Action>* actions, absl::Duration time_left) {
  if (absl::Status ok = messages_.CheckSlot(child); !ok.ok()) return ok;
  if (children_exit_ < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("scores from child ", child, " of tier ", plan_.tiers()[options_.tier].name,
                     ", which decides no exit over its children's scores; expected features"));
  }
  if (absl::Status ok = messages_.CheckPresence(child, &presence); !ok.ok()) return ok;
  std::vector<float> scores;
  if (absl::Status ok = messages_.CheckScores(child, packed, &scores); !ok.ok()) return ok;

  Sample* sample = Enter(child, key, now, time_left, actions);
  CountReceived(sample, packed.size());
  if (sample == nullptr) return absl::OkStatus();
  Child& state = sample->children[child];
  if (sample->phase != Phase::kScores || state.spoke()) {
    ++counters_.late_messages;
    return absl::OkStatus();
  }
  state.scores = std::move(scores);
  state.score_presence = presence;
  Heard(sample, child, now, actions);
  return absl::OkStatus();
}

absl::Status Node::Impl::OnChildFeatures(int child, SampleKey key, std::string features,
                                         uint64_t presence, absl::Time now,
                                         std::vector<Action>* actions, absl::Duration time_left) {
  if (absl::Status ok = messages_.CheckSlot(child); !ok.ok()) return ok;
  if (absl::Status ok = messages_.CheckPresence(child, &presence); !ok.ok()) return ok;
  const size_t travelled = features.size();
  if (absl::Status ok = messages_.RestoreFeatures(child, &features); !ok.ok()) return ok;

  Sample* sample = Find(key);
  if (children_exit_ >= 0 && sample == nullptr) {
    // Features that were asked for once; they begin nothing.
    CountReceived(nullptr, travelled);
    TellLate(child, key, actions);
    return absl::OkStatus();
  }
  sample = Enter(child, key, now, time_left, actions);
  CountReceived(sample, travelled);
  if (sample == nullptr) return absl::OkStatus();
  Child& state = sample->children[child];
  const bool asked = children_exit_ < 0 || (sample->waiting & Bit(child)) != 0;
  const bool expected =
      sample->phase == Phase::kScores || (sample->phase == Phase::kFeatures && asked);
  if (!expected || state.absent || !state.features.empty()) {
    ++counters_.late_messages;
    return absl::OkStatus();
  }
  if (options_.tier == 0 && options_.share_pixels) sample->pixels = features;
  state.features = std::move(features);
  state.feature_presence = presence;
  Heard(sample, child, now, actions);
  return absl::OkStatus();
}

absl::Status Node::Impl::OnChildAbsent(int child, SampleKey key, absl::Time now,
                                       std::vector<Action>* actions, absl::Duration time_left) {
  if (absl::Status ok = messages_.CheckSlot(child); !ok.ok()) return ok;
  Sample* sample = Enter(child, key, now, time_left, actions);
  if (sample == nullptr) return absl::OkStatus();
  Child& state = sample->children[child];
  const bool refuses = sample->phase == Phase::kFeatures && !state.scores.empty() &&
                       (sample->waiting & Bit(child)) != 0;
  const bool gathers = sample->phase == Phase::kScores || sample->phase == Phase::kFeatures;
  if (!refuses && (!gathers || state.spoke())) {
    ++counters_.late_messages;
    return absl::OkStatus();
  }
  state.absent = true;
  Heard(sample, child, now, actions);
  return absl::OkStatus();
}

absl::Status Node::Impl::OnChildPixels(int child, SampleKey key,
                                       std::vector<std::pair<int, std::string>> pixels,
                                       std::vector<Action>* actions) {
  if (absl::Status ok = messages_.CheckSlot(child); !ok.ok()) return ok;
  if (options_.tier == 0) {
    return absl::InvalidArgumentError("a camera gives its pixels as features");
  }
  if (absl::Status ok = messages_.CheckPixels(child, pixels); !ok.ok()) return ok;
  RecentAnswers::Record* record = recent_.Find(key);
  std::vector<std::pair<int, std::string>> fresh;
  if (record != nullptr && record->answer.hard) {
    for (auto& [view, bytes] : pixels) {
      const uint64_t bit = uint64_t{1} << view;
      if ((record->pixel_views & bit) != 0) continue;
      record->pixel_views |= bit;
      fresh.emplace_back(view, std::move(bytes));
    }
  }
  if (fresh.empty()) {
    ++counters_.late_messages;
  } else if (root_) {
    actions->emplace_back(KeepPixels{key, std::move(fresh)});
  } else if (parent_up_) {
    actions->emplace_back(SendPixels{key, std::move(fresh)});
  }
  return absl::OkStatus();
}

void Node::Impl::OnChildJoined(int child) {
  if (messages_.CheckSlot(child).ok()) connected_ |= Bit(child);
}

void Node::Impl::OnChildGone(int child, absl::Time now, std::vector<Action>* actions) {
  if (!messages_.CheckSlot(child).ok()) return;
  connected_ &= ~Bit(child);
  recent_.ForgetTold(child);
  std::vector<SampleKey> waited_for_it;
  for (auto& [key, sample] : samples_) {
    sample.spoke &= ~Bit(child);
    if ((sample.waiting & Bit(child)) == 0) continue;
    sample.waiting &= ~Bit(child);
    if (sample.waiting == 0) waited_for_it.push_back(key);
  }
  for (SampleKey key : waited_for_it) CloseGather(Find(key), now, actions);
}

void Node::Impl::SectionDone(SampleKey key, SectionOutput output, absl::Time now,
                             std::vector<Action>* actions) {
  Sample* sample = Find(key);
  if (sample == nullptr || sample->phase != Phase::kSection) return;
  SectionReady(sample, std::move(output), now, actions);
}

void Node::Impl::ScoresDone(SampleKey key, std::vector<float> scores, absl::Time now,
                            std::vector<Action>* actions) {
  Sample* sample = Find(key);
  if (sample == nullptr || sample->phase != Phase::kScoresLayer) return;
  ScoresReady(sample, std::move(scores), now, actions);
}

void Node::Impl::SectionFailed(SampleKey key, const absl::Status& why, absl::Time now,
                               std::vector<Action>* actions) {
  Sample* sample = Find(key);
  if (sample == nullptr) return;
  if (sample->phase != Phase::kSection && sample->phase != Phase::kScoresLayer) return;
  Fail(sample, why, now, actions);
}

void Node::Impl::OnFeaturesWanted(SampleKey key, absl::Time now, std::vector<Action>* actions) {
  Sample* sample = Find(key);
  if (sample == nullptr) {
    ++counters_.late_messages;
    // Who asks for a sample that this node gave up shall not wait for it.
    RecentAnswers::Record* record = recent_.Find(key);
    if (record == nullptr || !record->from_above) actions->emplace_back(SendAbsent{key});
    return;
  }
  if (sample->phase != Phase::kParent || !sends_scores_ || sample->features_asked) {
    ++counters_.late_messages;
    return;
  }
  sample->features_asked = true;
  cache_.Expire(now);
  std::string features =
      keeps_alone_ && !options_.share_pixels ? cache_.CopyFeatures(key) : cache_.TakeFeatures(key);
  if (features.empty()) {
    actions->emplace_back(SendAbsent{key});
    return;
  }
  features = CodeFeatures(plan_.node(options_.tier, options_.index).features, std::move(features));
  counters_.payload_bytes += features.size();
  sample->payload_bytes += features.size();
  actions->emplace_back(
      SendFeatures{key, std::move(features), sample->presence, TimeLeft(*sample, now)});
}

bool Node::Impl::IsSane(const Answer& answer) const {
  if (answer.outcome != Outcome::kAnswered) return true;
  return answer.class_index >= 0 && answer.class_index < plan_.classes() && answer.exit >= 0 &&
         answer.exit < static_cast<int>(plan_.exits().size()) && answer.entropy >= 0 &&
         answer.entropy <= 1 && (answer.presence & ~plan_.all_views()) == 0;
}

void Node::Impl::OnAnswer(const Answer& answer, absl::Time now, std::vector<Action>* actions) {
  Sample* sample = Find(answer.sample);
  if (sample == nullptr || sample->phase != Phase::kParent || !IsSane(answer)) {
    ++counters_.late_messages;
    return;
  }
  Answer passed = answer;
  passed.scores.clear();
  End(sample->key, std::move(passed), /*from_above=*/true, now, actions);
}

void Node::Impl::OnParentGone(absl::Time now, std::vector<Action>* actions) {
  parent_up_ = false;
  std::vector<SampleKey> waiting;
  for (const auto& [key, sample] : samples_) {
    if (sample.phase == Phase::kParent) waiting.push_back(key);
  }
  for (SampleKey key : waiting) Degrade(Find(key), "the parent is gone", now, actions);
}

void Node::Impl::OnTime(absl::Time now, std::vector<Action>* actions) {
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const SampleKey key = timers_.begin()->second;
    Sample* sample = Find(key);
    // Scores that did come are worth an answer, even at the very end.
    if (sample->phase == Phase::kScores || sample->deadline > now) {
      CloseGather(sample, now, actions);
      sample = Find(key);
    }
    if (sample == nullptr || sample->deadline > now) continue;
    Degrade(
        sample,
        sample->phase == Phase::kParent ? "no answer from the parent in time" : "not done in time",
        now, actions);
  }
  cache_.Expire(now);
}

absl::Time Node::Impl::NextDeadline() const {
  const absl::Time sample = timers_.empty() ? absl::InfiniteFuture() : timers_.begin()->first;
  return std::min(sample, cache_.NextExpiry());
}

const NodeCounters& Node::Impl::counters() const {
  counters_.evicted_features = cache_.evicted();
  return counters_;
}

Node::Node(const NetworkPlan& plan, NodeOptions options)
    : impl_(std::make_unique<Impl>(plan, std::move(options))) {}
Node::~Node() = default;

absl::Status Node::OnChildScores(int child, SampleKey sample, const std::string& scores,
                                 uint64_t presence, absl::Time now, std::vector<Action>* actions,
                                 absl::Duration time_left) {
  return impl_->OnChildScores(child, sample, scores, presence, now, actions, time_left);
}
absl::Status Node::OnChildFeatures(int child, SampleKey sample, std::string features,
                                   uint64_t presence, absl::Time now, std::vector<Action>* actions,
                                   absl::Duration time_left) {
  return impl_->OnChildFeatures(child, sample, std::move(features), presence, now, actions,
                                time_left);
}
absl::Status Node::OnChildPixels(int child, SampleKey sample,
                                 std::vector<std::pair<int, std::string>> pixels, absl::Time now,
                                 std::vector<Action>* actions) {
  return impl_->OnChildPixels(child, sample, std::move(pixels), actions);
}
absl::Status Node::OnChildAbsent(int child, SampleKey sample, absl::Time now,
                                 std::vector<Action>* actions, absl::Duration time_left) {
  return impl_->OnChildAbsent(child, sample, now, actions, time_left);
}
void Node::OnChildJoined(int child, absl::Time now) { impl_->OnChildJoined(child); }
void Node::OnChildGone(int child, absl::Time now, std::vector<Action>* actions) {
  impl_->OnChildGone(child, now, actions);
}
void Node::SectionDone(SampleKey sample, SectionOutput output, absl::Time now,
                       std::vector<Action>* actions) {
  impl_->SectionDone(sample, std::move(output), now, actions);
}
void Node::ScoresDone(SampleKey sample, std::vector<float> scores, absl::Time now,
                      std::vector<Action>* actions) {
  impl_->ScoresDone(sample, std::move(scores), now, actions);
}
void Node::SectionFailed(SampleKey sample, const absl::Status& why, absl::Time now,
                         std::vector<Action>* actions) {
  impl_->SectionFailed(sample, why, now, actions);
}
void Node::OnFeaturesWanted(SampleKey sample, absl::Time now, std::vector<Action>* actions) {
  impl_->OnFeaturesWanted(sample, now, actions);
}
void Node::OnAnswer(const Answer& answer, absl::Time now, std::vector<Action>* actions) {
  impl_->OnAnswer(answer, now, actions);
}
void Node::OnParentUp(absl::Time now) { impl_->OnParentUp(); }
void Node::OnParentGone(absl::Time now, std::vector<Action>* actions) {
  impl_->OnParentGone(now, actions);
}
void Node::OnTime(absl::Time now, std::vector<Action>* actions) { impl_->OnTime(now, actions); }
absl::Time Node::NextDeadline() const { return impl_->NextDeadline(); }
bool Node::Knows(SampleKey sample) const { return impl_->Knows(sample); }
int Node::under_way() const { return impl_->under_way(); }
size_t Node::cached_bytes() const { return impl_->cached_bytes(); }
const NodeCounters& Node::counters() const { return impl_->counters(); }

}  // namespace ddnn

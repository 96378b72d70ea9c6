#include <algorithm>

#include "absl/strings/str_cat.h"
#include "runtime/core/aggregate.h"
#include "runtime/core/exit_criterion.h"
#include "runtime/core/feature_code.h"
#include "runtime/core/feature_codec.h"
#include "runtime/core/score_codec.h"
#include "runtime/node/node_impl.h"
#include "runtime/node/section_io.h"

namespace ddnn {

// A child said what the present gather waited for.
void Node::Impl::Heard(Sample* sample, int child, absl::Time now, std::vector<Action>* actions) {
  sample->waiting &= ~(uint64_t{1} << child);
  if (sample->waiting == 0) CloseGather(sample, now, actions);
}

void Node::Impl::CloseGather(Sample* sample, absl::Time now, std::vector<Action>* actions) {
  if (sample->phase == Phase::kScores) {
    CloseScores(sample, now, actions);
  } else if (sample->phase == Phase::kFeatures) {
    CloseFeatures(sample, now, actions);
  }
}

void Node::Impl::CloseScores(Sample* sample, absl::Time now, std::vector<Action>* actions) {
  std::vector<std::vector<float>> scores;
  bool any_features = false;
  sample->presence = 0;
  for (const Child& child : sample->children) {
    scores.push_back(child.scores);
    sample->presence |= child.score_presence;
    any_features |= !child.features.empty();
  }
  if (sample->presence == 0) {
    if (!any_features) return NobodyPresent(sample, now, actions);
    sample->phase = Phase::kFeatures;
    return CloseFeatures(sample, now, actions);
  }
  auto joined = JoinScores(plan_.exits()[children_exit_].scores, scores);
  if (!joined.ok()) return Fail(sample, joined.status(), now, actions);
  if (!JoinsScoresByLayer(plan_, options_.tier)) {
    return ScoresReady(sample, *std::move(joined), now, actions);
  }
  sample->phase = Phase::kScoresLayer;
  SetWake(sample);
  actions->emplace_back(RunScores{sample->key, *std::move(joined)});
}

void Node::Impl::ScoresReady(Sample* sample, std::vector<float> scores, absl::Time now,
                             std::vector<Action>* actions) {
  Answer answer = MakeAnswer(children_exit_, std::move(scores), sample->presence);
  if (IsSure(answer)) return End(sample->key, std::move(answer), false, now, actions);
  sample->best = std::move(answer);
  if (sample->deadline <= now) return Degrade(sample, "not done in time", now, actions);
  // Without a parent, features are of use only if there is an exit of this node's own.
  if (!root_ && !parent_up_ && exit_ < 0) {
    return Degrade(sample, "the parent is gone", now, actions);
  }
  AskForFeatures(sample, now, actions);
}

void Node::Impl::AskForFeatures(Sample* sample, absl::Time now, std::vector<Action>* actions) {
  sample->phase = Phase::kFeatures;
  sample->gather_until = now + options_.gather_deadline;
  sample->waiting = 0;
  for (int slot = 0; slot < messages_.slots(); ++slot) {
    const Child& child = sample->children[slot];
    const bool connected = (sample->spoke >> slot & 1) != 0;
    if (child.scores.empty() || !child.features.empty() || !connected) continue;
    sample->waiting |= uint64_t{1} << slot;
    actions->emplace_back(RequestFeatures{slot, sample->key, sample->deadline - now});
  }
  SetWake(sample);
  if (sample->waiting == 0) CloseFeatures(sample, now, actions);
}

void Node::Impl::CloseFeatures(Sample* sample, absl::Time now, std::vector<Action>* actions) {
  sample->presence = 0;
  for (const Child& child : sample->children) sample->presence |= child.feature_presence;
  if (sample->presence == 0) {
    if (!sample->best.has_value()) return NobodyPresent(sample, now, actions);
    return Degrade(sample, "no child sent its features", now, actions);
  }
  auto input = JoinInput(sample);
  if (!input.ok()) return Fail(sample, input.status(), now, actions);
  sample->phase = Phase::kSection;
  SetWake(sample);
  if (!RunsSection(plan_, options_.tier)) {
    return SectionReady(sample, SectionOutput{}, now, actions);
  }
  actions->emplace_back(RunSection{sample->key, *std::move(input)});
}

// Joins the children's features; keeps them only at the root, which may want to store them.
absl::StatusOr<SectionInput> Node::Impl::JoinInput(Sample* sample) {
  const bool hands_on = HandsOn(plan_, options_.tier);
  if (options_.tier == 0) {
    SectionInput input;
    std::string& pixels = sample->children[0].features;
    if (hands_on) sample->handed_on = pixels;
    input.pixels = root_ ? pixels : std::move(pixels);
    return input;
  }
  std::vector<ChildFeatures> children(sample->children.size());
  for (size_t slot = 0; slot < children.size(); ++slot) {
    Child& child = sample->children[slot];
    children[slot].packed = root_ ? child.features : std::move(child.features);
    children[slot].presence = child.feature_presence;
  }
  auto joined = JoinFeatures(plan_, options_.tier, options_.index, children);
  if (!joined.ok()) return joined.status();
  if (hands_on) sample->handed_on = HandOn(plan_, options_.tier, options_.index, *joined);
  return SectionInput{/*pixels=*/"", *std::move(joined)};
}

void Node::Impl::SectionReady(Sample* sample, SectionOutput output, absl::Time now,
                              std::vector<Action>* actions) {
  sample->computed = true;
  if (!sample->handed_on.empty()) output.features = std::move(sample->handed_on);
  if (keeps_alone_ && !options_.share_pixels) sample->features = output.features;
  if (exit_ >= 0) {
    if (output.scores.size() != static_cast<size_t>(plan_.classes())) {
      const std::string what = absl::StrCat("the engine gave ", output.scores.size(),
                                            " scores, expected ", plan_.classes());
      return Fail(sample, absl::InternalError(what), now, actions);
    }
    RoundScores(plan_.exits()[exit_].score_code, &output.scores);
    Answer answer = MakeAnswer(exit_, output.scores, sample->presence);
    const bool sure = IsSure(answer);
    answer.hard = root_ && !sure;
    if (root_ || (sure && !sends_scores_)) {
      return End(sample->key, std::move(answer), false, now, actions);
    }
    sample->best = std::move(answer);
  }
  if (!parent_up_) return Degrade(sample, "the parent is gone", now, actions);
  if (sample->deadline <= now) return Degrade(sample, "not done in time", now, actions);
  TellParent(sample, std::move(output), now, actions);
}

void Node::Impl::TellParent(Sample* sample, SectionOutput output, absl::Time now,
                            std::vector<Action>* actions) {
  sample->phase = Phase::kParent;
  sample->told_parent = true;
  SetWake(sample);
  const absl::Duration time_left = TimeLeft(*sample, now);
  FeatureCache::Entry kept;
  kept.pixels = std::move(sample->pixels);
  kept.features = std::move(sample->features);
  size_t bytes = 0;
  if (sends_scores_) {
    std::string scores = PackScores(output.scores, plan_.exits()[exit_].score_code);
    bytes = scores.size();
    kept.features = std::move(output.features);
    actions->emplace_back(SendScores{sample->key, std::move(scores), sample->presence, time_left});
  } else {
    std::string features = CodeFeatures(plan_.node(options_.tier, options_.index).features,
                                        std::move(output.features));
    bytes = features.size();
    actions->emplace_back(
        SendFeatures{sample->key, std::move(features), sample->presence, time_left});
  }
  counters_.payload_bytes += bytes;
  sample->payload_bytes += bytes;
  cache_.Put(sample->key, std::move(kept), now);
}

void Node::Impl::NobodyPresent(Sample* sample, absl::Time now, std::vector<Action>* actions) {
  if (root_) {
    Answer answer;
    answer.outcome = Outcome::kShed;
    answer.reason = "no view present";
    return End(sample->key, std::move(answer), false, now, actions);
  }
  if (!parent_up_) return Degrade(sample, "the parent is gone", now, actions);
  sample->phase = Phase::kParent;
  sample->told_parent = true;
  SetWake(sample);
  actions->emplace_back(SendAbsent{sample->key});
}

// No better answer will come.
void Node::Impl::Degrade(Sample* sample, const std::string& reason, absl::Time now,
                         std::vector<Action>* actions) {
  Answer answer;
  if (sample->best.has_value()) {
    answer = *std::move(sample->best);
    answer.degraded = true;
  } else {
    answer.outcome = Outcome::kExpired;
  }
  answer.reason = reason;
  End(sample->key, std::move(answer), false, now, actions);
}

void Node::Impl::Fail(Sample* sample, const absl::Status& why, absl::Time now,
                      std::vector<Action>* actions) {
  const std::string reason = absl::StrCat("the section failed: ", std::string(why.message()));
  if (sample->best.has_value()) return Degrade(sample, reason, now, actions);
  Answer answer;
  answer.outcome = Outcome::kShed;
  answer.reason = reason;
  End(sample->key, std::move(answer), false, now, actions);
}

Answer Node::Impl::MakeAnswer(int exit, std::vector<float> scores, uint64_t presence) const {
  Answer answer;
  answer.exit = exit;
  answer.class_index = ArgMax(scores);
  answer.entropy = Uncertainty(options_.thresholds[exit], scores);
  answer.presence = presence;
  answer.scores = std::move(scores);
  return answer;
}

bool Node::Impl::IsSure(const Answer& answer) const {
  return Exits(answer.entropy,
               options_.thresholds[answer.exit].At(ViewsMissing(plan_.views(), answer.presence)));
}

// What the parent is told. An eighth is kept back for the way down, so that a degraded answer from
// above still comes before this node gives up.
absl::Duration Node::Impl::TimeLeft(const Sample& sample, absl::Time now) const {
  return std::max(absl::ZeroDuration(), (sample.deadline - now) * 7 / 8);
}

void Node::Impl::End(SampleKey key, Answer answer, bool from_above, absl::Time now,
                     std::vector<Action>* actions) {
  Finish(Remove(key), std::move(answer), from_above, now, actions);
}

void Node::Impl::Finish(Sample sample, Answer answer, bool from_above, absl::Time now,
                        std::vector<Action>* actions) {
  answer.sample = sample.key;
  answer.latency = now - sample.entered;
  answer.payload_bytes = sample.payload_bytes;
  Count(answer);
  // Siblings' gather must not wait for a node that has nothing more to say. A node alone below its
  // parent need not mention a sample that ends here.
  if (!root_ && parent_up_ && has_siblings_ && !sample.told_parent) {
    actions->emplace_back(SendAbsent{sample.key});
  }
  if (keeps_alone_) KeepIfAlone(&sample, answer, from_above, actions);
  GiveAnswer give{answer, {}, /*repeated=*/false, sample.deadline - now};
  for (int slot = 0; options_.tier > 0 && slot < messages_.slots(); ++slot) {
    if ((sample.spoke >> slot & 1) != 0) give.children.push_back(slot);
  }
  actions->emplace_back(std::move(give));
  if (answer.hard && root_) actions->emplace_back(KeepHard{answer, JoinedFeatures(sample)});
  std::string pixels = cache_.TakePixels(sample.key);
  cache_.Drop(sample.key);
  if (answer.hard && from_above && !pixels.empty()) {
    actions->emplace_back(SendPixels{sample.key, {{options_.index, std::move(pixels)}}});
  }
  answer.scores.clear();
  recent_.Add({std::move(answer), sample.spoke, /*pixel_views=*/0, from_above});
}

// Whether the sample would have gone further than it did. The device's own exit speaks for the one
// that is decided above it: with nobody above, its scores are all there are.
void Node::Impl::KeepIfAlone(Sample* sample, const Answer& answer, bool from_above,
                             std::vector<Action>* actions) {
  if (!sample->computed || (sample->phase != Phase::kParent && parent_up_)) return;
  if (answer.outcome == Outcome::kShed) return;
  if (answer.outcome == Outcome::kAnswered) {
    if (!answer.degraded || (!from_above && IsSure(answer))) return;
  }
  KeepAlone keep;
  keep.answer = answer;
  keep.in_doubt = sample->told_parent && (!sends_scores_ || sample->features_asked);
  if (options_.share_pixels) {
    keep.pixels = sample->told_parent ? cache_.TakePixels(sample->key) : std::move(sample->pixels);
  } else {
    keep.features =
        sample->told_parent ? cache_.TakeFeatures(sample->key) : std::move(sample->features);
  }
  if (keep.pixels.empty() && keep.features.empty()) {
    ++counters_.alone_evicted;
    return;
  }
  actions->emplace_back(std::move(keep));
}

void Node::Impl::Count(const Answer& answer) {
  switch (answer.outcome) {
    case Outcome::kAnswered:
      ++counters_.answered;
      break;
    case Outcome::kShed:
      ++counters_.shed;
      break;
    case Outcome::kExpired:
      ++counters_.expired;
      break;
  }
  if (answer.degraded) ++counters_.degraded;
}

std::string Node::Impl::JoinedFeatures(const Sample& sample) const {
  std::string all;
  for (int slot = 0; slot < messages_.slots(); ++slot) {
    const std::string& packed = sample.children[slot].features;
    all += packed.empty() ? std::string(messages_.feature_bytes(slot), '\0') : packed;
  }
  return all;
}

}  // namespace ddnn

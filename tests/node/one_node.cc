#include "tests/node/one_node.h"

#include "gtest/gtest.h"
#include "runtime/core/feature_codec.h"
#include "runtime/core/score_codec.h"
#include "tests/node/networks.h"

namespace ddnn {
namespace {

NodeOptions Placed(const NetworkPlan& plan, int tier, int index, NodeOptions options) {
  options.tier = tier;
  options.index = index;
  if (options.thresholds.empty()) options.thresholds.assign(plan.exits().size(), 0.5f);
  return options;
}

}  // namespace

OneNode::OneNode(const NetworkPlan& plan, int tier, NodeOptions options, int index)
    : plan_(plan),
      tier_(tier),
      index_(index),
      node_(plan_, Placed(plan, tier, index, std::move(options))) {
  for (int child = 0; tier > 0 && child < children(); ++child) Joined(child);
  if (tier < plan.root_tier()) ParentUp();
}

int OneNode::children() const {
  return tier_ == 0 ? 1 : static_cast<int>(plan_.node(tier_, index_).children.size());
}

std::string OneNode::FeaturesOf(int child) const {
  if (tier_ == 0) return SomeFeatures(plan_.node(0, index_).input, 100);
  const int below = plan_.node(tier_, index_).children[child];
  return SomeFeatures(plan_.node(tier_ - 1, below).features, 100 + child);
}

std::string OneNode::OwnFeatures() const {
  return SomeFeatures(plan_.node(tier_, index_).features, 200);
}

OneNode::Actions OneNode::Scores(int child, SampleKey key, const std::vector<float>& scores,
                                 absl::Duration time_left) {
  Actions actions;
  const uint64_t views = plan_.node(tier_ - 1, plan_.node(tier_, index_).children[child]).views;
  const absl::Status ok =
      node_.OnChildScores(child, key, PackScores(scores), views, now_, &actions, time_left);
  EXPECT_TRUE(ok.ok()) << ok;
  return actions;
}

OneNode::Actions OneNode::Features(int child, SampleKey key, absl::Duration time_left) {
  Actions actions;
  const uint64_t views =
      tier_ == 0 ? 0 : plan_.node(tier_ - 1, plan_.node(tier_, index_).children[child]).views;
  const absl::Status ok =
      node_.OnChildFeatures(child, key, FeaturesOf(child), views, now_, &actions, time_left);
  EXPECT_TRUE(ok.ok()) << ok;
  return actions;
}

OneNode::Actions OneNode::Absent(int child, SampleKey key, absl::Duration time_left) {
  Actions actions;
  const absl::Status ok = node_.OnChildAbsent(child, key, now_, &actions, time_left);
  EXPECT_TRUE(ok.ok()) << ok;
  return actions;
}

OneNode::Actions OneNode::Pixels(int child, SampleKey key,
                                 std::vector<std::pair<int, std::string>> pixels) {
  Actions actions;
  const absl::Status ok = node_.OnChildPixels(child, key, std::move(pixels), now_, &actions);
  EXPECT_TRUE(ok.ok()) << ok;
  return actions;
}

OneNode::Actions OneNode::Gone(int child) {
  Actions actions;
  node_.OnChildGone(child, now_, &actions);
  return actions;
}

OneNode::Actions OneNode::Section(SampleKey key, std::vector<float> scores) {
  Actions actions;
  node_.SectionDone(key, SectionOutput{OwnFeatures(), std::move(scores)}, now_, &actions);
  return actions;
}

OneNode::Actions OneNode::JoinedScores(SampleKey key, std::vector<float> scores) {
  Actions actions;
  node_.ScoresDone(key, std::move(scores), now_, &actions);
  return actions;
}

OneNode::Actions OneNode::Failed(SampleKey key) {
  Actions actions;
  node_.SectionFailed(key, absl::InternalError("on purpose"), now_, &actions);
  return actions;
}

OneNode::Actions OneNode::Wanted(SampleKey key) {
  Actions actions;
  node_.OnFeaturesWanted(key, now_, &actions);
  return actions;
}

OneNode::Actions OneNode::AnswerFromAbove(const Answer& answer) {
  Actions actions;
  node_.OnAnswer(answer, now_, &actions);
  return actions;
}

OneNode::Actions OneNode::ParentGone() {
  Actions actions;
  node_.OnParentGone(now_, &actions);
  return actions;
}

OneNode::Actions OneNode::Pass(absl::Duration time) {
  Actions actions;
  now_ += time;
  if (node_.NextDeadline() <= now_) node_.OnTime(now_, &actions);
  return actions;
}

Answer FromAbove(SampleKey key, int exit, uint64_t presence, int class_index) {
  Answer answer;
  answer.sample = key;
  answer.exit = exit;
  answer.class_index = class_index;
  answer.entropy = 0.25f;
  answer.presence = presence;
  return answer;
}

}  // namespace ddnn

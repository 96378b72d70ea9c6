#include "runtime/node/section_io.h"

#include "runtime/core/feature_codec.h"

namespace ddnn {

bool RunsSection(const NetworkPlan& plan, int tier) {
  return plan.spec().tier(tier).layer_size() > 0 || plan.tiers()[tier].exit >= 0;
}

bool JoinsScoresByLayer(const NetworkPlan& plan, int tier) {
  const int exit = plan.tiers()[tier].children_exit;
  return exit >= 0 && plan.exits()[exit].scores == v1::CC;
}

bool NeedsEngine(const NetworkPlan& plan, int tier) {
  return RunsSection(plan, tier) || JoinsScoresByLayer(plan, tier);
}

bool HandsOn(const NetworkPlan& plan, int tier) {
  return plan.spec().tier(tier).layer_size() == 0 && tier < plan.root_tier();
}

std::string HandOn(const NetworkPlan& plan, int tier, int index, const std::vector<float>& joined) {
  return PackFeatures(plan.node(tier, index).features, plan.spec().input(), joined);
}

}  // namespace ddnn

#include "runtime/node/section_io.h"

#include <utility>

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

SectionInput JoinedInput(const NetworkPlan& plan, int tier, int index, std::vector<float> joined) {
  SectionInput input;
  const ValueType& type = plan.node(tier, index).input;
  if (type.kind == ValueKind::kPixel) {
    input.pixels = PackFeatures(type, plan.spec().input(), joined);
  }
  input.values = std::move(joined);
  return input;
}

std::string HandOn(const NetworkPlan& plan, int tier, int index, const std::vector<float>& joined) {
  return PackFeatures(plan.node(tier, index).features, plan.spec().input(), joined);
}

}  // namespace ddnn

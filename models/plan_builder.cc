#include "models/plan_builder.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "models/spec_checks.h"

namespace ddnn {
namespace {

template <typename... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

template <typename Layers>
absl::StatusOr<Flow> ThroughLayers(const Layers& layers, const std::string& section, Flow flow,
                                   std::vector<ValueType>* types) {
  for (int i = 0; i < layers.size(); ++i) {
    const std::string where = LayerPlace(section, layers[i], i);
    // The pair is merged into one comparison; in between, dropout would be neither here nor there.
    if (layers[i].has_dropout() && i > 0 && layers[i - 1].has_batch_norm() &&
        i + 1 < layers.size() && layers[i + 1].has_sign()) {
      return Invalid(where, ": dropout between batch_norm and sign, put it behind sign");
    }
    absl::StatusOr<Flow> next = ThroughLayer(layers[i], where, flow);
    if (!next.ok()) return next.status();
    flow = *next;
    types->push_back(flow.type);
  }
  return flow;
}

}  // namespace

PlanBuilder::PlanBuilder(const v1::NetworkSpec& spec) {
  plan_.spec_ = spec;
  plan_.tiers_.resize(spec.tier_size());
  features_.resize(spec.tier_size());
}

absl::StatusOr<NetworkPlan> PlanBuilder::Build() {
  for (int t = 0; t < plan_.spec_.tier_size(); ++t) {
    absl::Status status = AddTier(t);
    if (!status.ok()) return status;
  }
  const TierPlan& root = plan_.tiers_.back();
  if (root.nodes.size() != 1) {
    return Invalid(root.name, ": the last tier has ", root.nodes.size(), " nodes, expected 1");
  }
  for (int t = 0; t < plan_.spec_.tier_size(); ++t) {
    absl::Status status = AddExit(t);
    if (!status.ok()) return status;
  }
  return std::move(plan_);
}

absl::Status PlanBuilder::AddTier(int t) {
  TierPlan& tier = plan_.tiers_[t];
  tier.name = plan_.spec_.tier(t).name();
  tier.features = plan_.spec_.tier(t).features();
  absl::Status status = AddNodes(t);
  if (!status.ok()) return status;
  for (NodePlan& node : tier.nodes) {
    Flow features;
    status = PlanNode(t, &node, &features);
    if (!status.ok()) return status;
    features_[t].push_back(std::move(features));
  }
  return absl::OkStatus();
}

absl::Status PlanBuilder::AddNodes(int t) {
  TierPlan& tier = plan_.tiers_[t];
  if (t == 0) {
    for (int v = 0; v < plan_.views(); ++v) {
      NodePlan node;
      node.index = v;
      node.views = uint64_t{1} << v;
      tier.nodes.push_back(std::move(node));
    }
    return absl::OkStatus();
  }
  const int below = static_cast<int>(plan_.tiers_[t - 1].nodes.size());
  const v1::Tier& spec = plan_.spec_.tier(t);
  if (spec.node_size() == 0) {
    std::vector<int> all(below);
    std::iota(all.begin(), all.end(), 0);
    return AddGroup(t, all);
  }
  for (const v1::Node& node : spec.node()) {
    absl::Status status = AddGroup(t, std::vector<int>(node.child().begin(), node.child().end()));
    if (!status.ok()) return status;
  }
  for (const NodePlan& child : plan_.tiers_[t - 1].nodes) {
    if (child.parent < 0) {
      return Invalid(tier.name, ".node: no node joins child ", child.index, " of ",
                     plan_.tiers_[t - 1].name, " (0 to ", below - 1, ")");
    }
  }
  return absl::OkStatus();
}

absl::Status PlanBuilder::AddGroup(int t, const std::vector<int>& children) {
  TierPlan& tier = plan_.tiers_[t];
  std::vector<NodePlan>& below = plan_.tiers_[t - 1].nodes;
  NodePlan node;
  node.tier = t;
  node.index = static_cast<int>(tier.nodes.size());
  if (children.empty()) return Invalid(tier.name, ".node ", node.index, " joins no child");
  for (int child : children) {
    if (child < 0 || child >= static_cast<int>(below.size())) {
      return Invalid(tier.name, ".node ", node.index, " joins child ", child, " of ",
                     plan_.tiers_[t - 1].name, ", expected 0 to ", below.size() - 1);
    }
    if (below[child].parent >= 0) {
      return Invalid(tier.name, ".node ", node.index, " joins child ", child, " of ",
                     plan_.tiers_[t - 1].name, ", which node ", below[child].parent, " has");
    }
    below[child].parent = node.index;
    below[child].slot = static_cast<int>(node.children.size());
    node.children.push_back(child);
    node.views |= below[child].views;
  }
  tier.nodes.push_back(std::move(node));
  return absl::OkStatus();
}

absl::StatusOr<Flow> PlanBuilder::PlanInput(int t, const NodePlan& node) const {
  if (t > 0) {
    std::vector<Flow> children;
    for (int child : node.children) children.push_back(features_[t - 1][child]);
    return ThroughJoin(plan_.tiers_[t].features, plan_.tiers_[t].name, children);
  }
  const v1::Input& input = plan_.spec_.input();
  Flow flow;
  flow.type.shape = plan_.view_shape();
  flow.type.kind = ValueKind::kPixel;
  flow.type.unit = input.scale();
  flow.bound = std::max(input.offset(), 255 - input.offset());
  return flow;
}

absl::Status PlanBuilder::PlanNode(int t, NodePlan* node, Flow* features) {
  const v1::Tier& tier = plan_.spec_.tier(t);
  absl::StatusOr<Flow> input = PlanInput(t, *node);
  if (!input.ok()) return input.status();
  node->input = input->type;
  absl::StatusOr<Flow> body = ThroughLayers(tier.layer(), tier.name(), *input, &node->body);
  if (!body.ok()) return body.status();
  *features = *body;
  if (tier.layer_size() == 0 && t > 0) {
    if (t != plan_.root_tier() && tier.features().kind() != v1::CC) {
      return Invalid(tier.name(), ": a tier without layers must join features by CC");
    }
    // It hands on its children's packed values in their slots; the presence mask tells its parent
    // which of them are missing.
    const Flow& child = features_[t - 1][node->children[0]];
    if (tier.features().kind() == v1::CC && child.type.kind == ValueKind::kPixel) {
      features->type.kind = ValueKind::kPixel;
      features->type.unit = child.type.unit;
    }
  } else if (features->has_zeros) {
    // Three values do not pack into a bit.
    features->type.kind = ValueKind::kFloat;
    features->has_zeros = false;
  }
  node->features = features->type;
  return PlanHead(t, node, *body);
}

absl::Status PlanBuilder::PlanHead(int t, NodePlan* node, Flow flow) const {
  const v1::Tier& tier = plan_.spec_.tier(t);
  if (!tier.has_exit()) return absl::OkStatus();
  const std::string section = absl::StrCat(tier.name(), ".", tier.exit().name());
  absl::StatusOr<Flow> scores = ThroughLayers(tier.exit().layer(), section, flow, &node->head);
  if (!scores.ok()) return scores.status();
  const Shape expected{plan_.classes(), 1, 1};
  if (!(scores->type.shape == expected)) {
    return Invalid(section, " gives ", ToString(scores->type.shape), ", expected ",
                   ToString(expected), ": one score per class");
  }
  return absl::OkStatus();
}

absl::Status PlanBuilder::AddExit(int t) {
  const v1::Tier& tier = plan_.spec_.tier(t);
  if (!tier.has_exit()) return absl::OkStatus();
  const size_t nodes = plan_.tiers_[t].nodes.size();
  const int index = static_cast<int>(plan_.exits_.size());
  ExitPlan exit;
  exit.name = tier.exit().name();
  exit.tier = t;
  exit.decided_tier = nodes == 1 ? t : t + 1;
  exit.weight = tier.exit().has_weight() ? tier.exit().weight() : 1;
  exit.each_weight = tier.exit().has_each_weight() ? tier.exit().each_weight() : 1;
  exit.score_code = tier.exit().score_code();
  exit.scores = tier.exit().scores();
  if (nodes == 1 && exit.scores != v1::AGGREGATOR_UNSPECIFIED) {
    return Invalid(tier.name(), ".", exit.name, ": scores joins several nodes, the tier has one");
  }
  if (nodes == 1 && tier.exit().has_score_code()) {
    return Invalid(tier.name(), ".", exit.name,
                   ": score_code is for scores that several nodes send, the tier has one");
  }
  if (nodes > 1) {
    absl::Status status = CheckExitParent(t);
    if (!status.ok()) return status;
    plan_.tiers_[t + 1].children_exit = index;
  }
  plan_.tiers_[t].exit = index;
  plan_.exits_.push_back(std::move(exit));
  return absl::OkStatus();
}

absl::Status PlanBuilder::CheckExitParent(int t) const {
  const v1::Exit& exit = plan_.spec_.tier(t).exit();
  const std::string where = absl::StrCat(plan_.spec_.tier(t).name(), ".", exit.name());
  const size_t nodes = plan_.tiers_[t].nodes.size();
  if (exit.scores() != v1::MP && exit.scores() != v1::AP && exit.scores() != v1::CC) {
    return Invalid(where, ": scores is ", static_cast<int>(exit.scores()),
                   ", expected MP, AP or CC to join ", nodes, " nodes");
  }
  const size_t parents = plan_.tiers_[t + 1].nodes.size();
  if (parents != 1) {
    return Invalid(where, ": the scores of ", nodes, " nodes must meet at one parent, ",
                   plan_.tiers_[t + 1].name, " has ", parents, " nodes");
  }
  const int64_t weights = static_cast<int64_t>(nodes) * plan_.classes() * plan_.classes();
  if (exit.scores() == v1::CC && weights > kMaxSectionWeights) {
    return Invalid(where, ": CC of scores needs ", weights, " weights, expected at most ",
                   kMaxSectionWeights);
  }
  return absl::OkStatus();
}

}  // namespace ddnn

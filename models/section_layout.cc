#include "models/section_layout.h"

#include "absl/strings/str_cat.h"
#include "models/spec_checks.h"

namespace ddnn {
namespace {

v1::SectionLayer::KindCase SectionKind(v1::Layer::KindCase kind) {
  switch (kind) {
    case v1::Layer::kBinaryConv:
      return v1::SectionLayer::kBinaryConv;
    case v1::Layer::kConv:
      return v1::SectionLayer::kConv;
    case v1::Layer::kBinaryLinear:
      return v1::SectionLayer::kBinaryLinear;
    case v1::Layer::kLinear:
      return v1::SectionLayer::kLinear;
    case v1::Layer::kBatchNorm:
      return v1::SectionLayer::kAffine;
    case v1::Layer::kMaxPool:
      return v1::SectionLayer::kMaxPool;
    case v1::Layer::kAveragePool:
      return v1::SectionLayer::kAveragePool;
    case v1::Layer::kSign:
      return v1::SectionLayer::kSign;
    case v1::Layer::kRelu:
      return v1::SectionLayer::kRelu;
    case v1::Layer::kFlatten:
      return v1::SectionLayer::kFlatten;
    case v1::Layer::kDropout:
    case v1::Layer::KIND_NOT_SET:
      break;
  }
  return v1::SectionLayer::KIND_NOT_SET;
}

template <typename Layers>
std::vector<LayerSlot> LayOut(const Layers& layers, const std::string& section, ValueType in,
                              const std::vector<ValueType>& types) {
  std::vector<LayerSlot> slots;
  for (int i = 0; i < layers.size(); ++i) {
    if (layers[i].has_dropout()) continue;
    LayerSlot slot;
    slot.name = LayerPlace(section, layers[i], i);
    slot.kind = SectionKind(layers[i].kind_case());
    slot.spec = layers[i];
    slot.in = in;
    if (layers[i].has_batch_norm() && in.kind == ValueKind::kInteger && i + 1 < layers.size() &&
        layers[i + 1].has_sign()) {
      slot.kind = v1::SectionLayer::kThreshold;
      ++i;
    }
    slot.out = in = types[i];
    slots.push_back(slot);
  }
  return slots;
}

std::vector<LayerSlot> LayOutScores(const NetworkPlan& plan, int tier) {
  const int exit = plan.tiers()[tier].children_exit;
  if (exit < 0 || plan.exits()[exit].scores != v1::CC) return {};
  LayerSlot slot;
  slot.name = absl::StrCat(plan.tiers()[tier].name, ".", plan.exits()[exit].name, " scores");
  slot.kind = v1::SectionLayer::kLinear;
  slot.spec.mutable_linear()->set_outputs(plan.classes());
  const int children = static_cast<int>(plan.node(tier, 0).children.size());
  slot.in.shape = Shape{children * plan.classes(), 1, 1};
  slot.out.shape = Shape{plan.classes(), 1, 1};
  return {slot};
}

}  // namespace

SectionLayout LayOutSection(const NetworkPlan& plan, int tier, int index) {
  const NodePlan& node = plan.node(tier, index);
  const v1::Tier& spec = plan.spec().tier(tier);
  SectionLayout layout;
  layout.scores = LayOutScores(plan, tier);
  layout.body = LayOut(spec.layer(), spec.name(), node.input, node.body);
  const ValueType features = node.body.empty() ? node.input : node.body.back();
  layout.head = LayOut(spec.exit().layer(), absl::StrCat(spec.name(), ".", spec.exit().name()),
                       features, node.head);
  return layout;
}

}  // namespace ddnn

#include <cmath>

#include "google/protobuf/text_format.h"
#include "models/section_layout.h"
#include "runtime/core/float_bytes.h"
#include "tests/support/random_network.h"

namespace ddnn {
namespace {

std::string RandomBits(int64_t count, Random* random) {
  std::string bits(static_cast<size_t>((count + 7) / 8), '\0');
  for (char& byte : bits) byte = static_cast<char>((*random)() >> 56);
  if (count % 8 != 0) bits.back() = static_cast<char>(bits.back() & ((1 << (count % 8)) - 1));
  return bits;
}

std::string RandomFloats(int64_t count, float low, float high, Random* random) {
  std::string bytes;
  for (int64_t i = 0; i < count; ++i) AppendFloat(RandomFloat(low, high, random), &bytes);
  return bytes;
}

// Keeps values near 1 from layer to layer.
std::string RandomWeights(int64_t outputs, int64_t inputs, Random* random) {
  const float most = 2.0f / std::sqrt(static_cast<float>(inputs));
  return RandomFloats(outputs * inputs, -most, most, random);
}

void FillConv(const LayerSlot& slot, bool binary, v1::SectionConv* conv, Random* random) {
  const v1::Conv& spec = binary ? slot.spec.binary_conv() : slot.spec.conv();
  conv->set_filters(spec.filters());
  conv->set_kernel(spec.kernel());
  conv->set_stride(spec.stride());
  conv->set_padding(spec.padding());
  const int64_t inputs = int64_t{slot.in.shape.channels} * spec.kernel() * spec.kernel();
  conv->set_weights(binary ? RandomBits(spec.filters() * inputs, random)
                           : RandomWeights(spec.filters(), inputs, random));
  if (!binary && RandomInt(0, 3, random) > 0) {
    conv->set_bias(RandomFloats(spec.filters(), -1, 1, random));
  }
}

void FillLinear(const LayerSlot& slot, bool binary, v1::SectionLinear* linear, Random* random) {
  const int outputs = binary ? slot.spec.binary_linear().outputs() : slot.spec.linear().outputs();
  linear->set_outputs(outputs);
  const int64_t inputs = slot.in.shape.channels;
  linear->set_weights(binary ? RandomBits(outputs * inputs, random)
                             : RandomWeights(outputs, inputs, random));
  if (!binary && RandomInt(0, 3, random) > 0) {
    linear->set_bias(RandomFloats(outputs, -1, 1, random));
  }
}

// Inputs that lie around the thresholds, so that both answers come.
int ThresholdSpread(const LayerSlot* before) {
  if (before == nullptr) return 100;
  const v1::Layer& spec = before->spec;
  const int kernel = spec.has_binary_conv() ? spec.binary_conv().kernel() : 1;
  const double inputs = static_cast<double>(before->in.shape.channels) * kernel * kernel;
  const double each = before->in.kind == ValueKind::kBit ? 1 : 100;
  return 1 + static_cast<int>(each * std::sqrt(inputs));
}

void FillThreshold(const LayerSlot& slot, int spread, v1::Threshold* threshold, Random* random) {
  threshold->set_unit(slot.in.unit);
  for (int c = 0; c < slot.in.shape.channels; ++c) {
    int at = RandomInt(-spread, spread, random);
    // Constants, as they come from gamma = 0.
    if (RandomInt(0, 19, random) == 0) at = RandomInt(0, 1, random) != 0 ? 1 << 24 : 1 - (1 << 24);
    threshold->add_at(at);
  }
  if (RandomInt(0, 2, random) > 0) {
    threshold->set_flip(RandomBits(slot.in.shape.channels, random));
  }
}

void FillLayer(const LayerSlot& slot, const LayerSlot* before, v1::SectionLayer* layer,
               Random* random) {
  switch (slot.kind) {
    case v1::SectionLayer::kBinaryConv:
      return FillConv(slot, true, layer->mutable_binary_conv(), random);
    case v1::SectionLayer::kConv:
      return FillConv(slot, false, layer->mutable_conv(), random);
    case v1::SectionLayer::kBinaryLinear:
      return FillLinear(slot, true, layer->mutable_binary_linear(), random);
    case v1::SectionLayer::kLinear:
      return FillLinear(slot, false, layer->mutable_linear(), random);
    case v1::SectionLayer::kAffine:
      layer->mutable_affine()->set_scale(RandomFloats(slot.in.shape.channels, -1.5f, 1.5f, random));
      layer->mutable_affine()->set_bias(RandomFloats(slot.in.shape.channels, -1, 1, random));
      return;
    case v1::SectionLayer::kThreshold:
      return FillThreshold(slot, ThresholdSpread(before), layer->mutable_threshold(), random);
    case v1::SectionLayer::kMaxPool:
      *layer->mutable_max_pool() = slot.spec.max_pool();
      return;
    case v1::SectionLayer::kAveragePool:
      *layer->mutable_average_pool() = slot.spec.average_pool();
      return;
    case v1::SectionLayer::kSign:
      layer->mutable_sign();
      return;
    case v1::SectionLayer::kRelu:
      layer->mutable_relu();
      return;
    case v1::SectionLayer::kFlatten:
      layer->mutable_flatten();
      return;
    case v1::SectionLayer::KIND_NOT_SET:
      return;
  }
}

void FillLayers(const std::vector<LayerSlot>& slots,
                google::protobuf::RepeatedPtrField<v1::SectionLayer>* layers, Random* random) {
  const LayerSlot* weights = nullptr;
  for (const LayerSlot& slot : slots) {
    FillLayer(slot, weights, layers->Add(), random);
    if (slot.spec.has_binary_conv() || slot.spec.has_binary_linear()) weights = &slot;
  }
}

}  // namespace

v1::Section RandomSection(const NetworkPlan& plan, int tier, int node, Random* random) {
  v1::Section section;
  section.set_network(plan.spec().name());
  section.set_tier(plan.tiers()[tier].name);
  section.set_node(node);
  const SectionLayout layout = LayOutSection(plan, tier, node);
  FillLayers(layout.scores, section.mutable_scores(), random);
  FillLayers(layout.body, section.mutable_body(), random);
  FillLayers(layout.head, section.mutable_head(), random);
  return section;
}

std::vector<v1::Section> RandomSections(const NetworkPlan& plan, Random* random) {
  std::vector<v1::Section> sections;
  for (const TierPlan& tier : plan.tiers()) {
    for (const NodePlan& node : tier.nodes) {
      sections.push_back(RandomSection(plan, node.tier, node.index, random));
    }
  }
  return sections;
}

Bundle RandomBundle(const NetworkPlan& plan, float threshold, Random* random) {
  Bundle bundle;
  bundle.plan = plan;
  bundle.manifest.set_format_version(1);
  *bundle.manifest.mutable_network() = plan.spec();
  for (const ExitPlan& exit : plan.exits()) {
    v1::ExitThreshold* entry = bundle.manifest.add_threshold();
    entry->set_exit(exit.name);
    entry->set_entropy(threshold);
    bundle.thresholds.push_back(threshold);
  }
  std::string everything = bundle.manifest.SerializeAsString();
  for (v1::Section& section : RandomSections(plan, random)) {
    everything += section.SerializeAsString();
    const int tier = *plan.FindTier(section.tier());
    const int node = section.node();
    bundle.sections[{tier, node}] = std::move(section);
  }
  bundle.sha256 = Sha256(everything);
  return bundle;
}

absl::Status SaveBundleTo(const std::string& directory, const Bundle& bundle) {
  std::vector<v1::Section> sections;
  for (const auto& entry : bundle.sections) sections.push_back(entry.second);
  return SaveBundle(directory, bundle.manifest, sections);
}

}  // namespace ddnn

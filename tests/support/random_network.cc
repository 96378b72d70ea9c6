#include "tests/support/random_network.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "models/layer_flow.h"
#include "models/section_layout.h"

namespace ddnn {
namespace {

bool Chance(int percent, Random* random) { return RandomInt(1, 100, random) <= percent; }

template <typename T>
void SetWindow(T* window, const Shape& in, bool pool, Random* random) {
  const int smallest = std::min(in.height, in.width);
  const int kernel = RandomInt(1, std::min(5, smallest + 2), random);
  int padding = RandomInt(0, pool ? kernel / 2 : kernel - 1, random);
  while (smallest + 2 * padding < kernel) ++padding;
  window->set_kernel(kernel);
  window->set_stride(RandomInt(0, 3, random));
  window->set_padding(padding);
}

// Layers appended one by one, each fitting what the one before gives.
class LayerWriter {
 public:
  LayerWriter(google::protobuf::RepeatedPtrField<v1::Layer>* layers, const ValueType& input,
              const RandomSpecOptions& options, Random* random)
      : layers_(layers), options_(options), random_(random) {
    flow_.type = input;
    flow_.bound = 255;
  }

  void WriteBlock() {
    const bool maps = flow_.type.shape.height > 1 || flow_.type.shape.width > 1;
    if (!maps || Chance(60, random_)) {
      WriteWeights();
    } else {
      WritePool();
    }
    if (Chance(60, random_)) WriteNorm();
    if (!options_.binary_only && Chance(15, random_)) WriteDropout();
  }

  void WriteHead(int classes) {
    v1::Layer flatten;
    flatten.mutable_flatten();
    if (flow_.type.shape.size() != flow_.type.shape.channels || Chance(80, random_)) Add(flatten);
    v1::Layer layer;
    if (options_.binary_only || Chance(50, random_)) {
      layer.mutable_binary_linear()->set_outputs(classes);
    } else {
      layer.mutable_linear()->set_outputs(classes);
    }
    Add(layer);
    if (!options_.binary_only && Chance(50, random_)) AddBatchNorm();
  }

  const Shape& shape() const { return flow_.type.shape; }

 private:
  void Add(const v1::Layer& layer) {
    absl::StatusOr<Flow> next = ThroughLayer(layer, "random", flow_);
    if (!next.ok()) {
      std::fprintf(stderr, "RandomSpec: %s\n", next.status().ToString().c_str());
      std::abort();
    }
    flow_ = *next;
    *layers_->Add() = layer;
  }

  void AddBatchNorm() {
    v1::Layer norm;
    norm.mutable_batch_norm();
    Add(norm);
  }

  void AddSign() {
    v1::Layer sign;
    sign.mutable_sign();
    Add(sign);
  }

  void WriteWeights() {
    const bool flat = flow_.type.shape.size() == flow_.type.shape.channels;
    const bool binary = options_.binary_only || Chance(60, random_);
    const int outputs = RandomInt(1, 9, random_);
    v1::Layer layer;
    if (flat && Chance(50, random_)) {
      (binary ? layer.mutable_binary_linear() : layer.mutable_linear())->set_outputs(outputs);
    } else {
      v1::Conv* conv = binary ? layer.mutable_binary_conv() : layer.mutable_conv();
      conv->set_filters(outputs);
      SetWindow(conv, flow_.type.shape, false, random_);
    }
    Add(layer);
  }

  void WritePool() {
    v1::Layer layer;
    const bool max = options_.binary_only || Chance(60, random_);
    SetWindow(max ? layer.mutable_max_pool() : layer.mutable_average_pool(), flow_.type.shape, true,
              random_);
    Add(layer);
  }

  void WriteNorm() {
    const bool integer = flow_.type.kind == ValueKind::kInteger;
    if (options_.binary_only) {
      if (integer) AddBatchNorm();
      AddSign();
      return;
    }
    if (Chance(70, random_)) AddBatchNorm();
    if (Chance(60, random_)) {
      AddSign();
    } else {
      v1::Layer relu;
      relu.mutable_relu();
      Add(relu);
    }
  }

  void WriteDropout() {
    v1::Layer dropout;
    dropout.mutable_dropout()->set_probability(0.25f);
    Add(dropout);
  }

  google::protobuf::RepeatedPtrField<v1::Layer>* layers_;
  const RandomSpecOptions& options_;
  Random* random_;
  Flow flow_;
};

// What the nodes of the last tier of `spec` join; its layers and exit are still to come.
ValueType InputOfLastTier(v1::NetworkSpec spec, int nodes) {
  const int t = spec.tier_size() - 1;
  spec.mutable_tier(t)->add_layer()->mutable_relu();
  if (nodes > 1) {
    v1::Tier* probe = spec.add_tier();
    probe->set_name("probe");
    probe->mutable_features()->set_kind(v1::CC);
  }
  v1::Exit* exit = spec.mutable_tier(spec.tier_size() - 1)->mutable_exit();
  exit->set_name("probe");
  exit->add_layer()->mutable_flatten();
  exit->add_layer()->mutable_linear()->set_outputs(spec.class_name_size());
  absl::StatusOr<NetworkPlan> plan = NetworkPlan::Create(spec);
  if (!plan.ok()) {
    std::fprintf(stderr, "RandomSpec: %s\n%s", plan.status().ToString().c_str(),
                 spec.DebugString().c_str());
    std::abort();
  }
  return plan->node(t, 0).input;
}

// Two groups of equal size, shuffled.
void WriteGroups(int below, v1::Tier* tier, Random* random) {
  std::vector<int> children(below);
  for (int i = 0; i < below; ++i) children[i] = i;
  for (int i = below - 1; i > 0; --i) std::swap(children[i], children[RandomInt(0, i, random)]);
  tier->add_node();
  tier->add_node();
  for (int i = 0; i < below; ++i) tier->mutable_node(i < below / 2 ? 0 : 1)->add_child(children[i]);
}

void WriteJoin(int children, v1::Tier* tier, bool stack, Random* random) {
  v1::Aggregation* features = tier->mutable_features();
  features->set_kind(stack ? v1::CC : static_cast<v1::Aggregator>(RandomInt(1, 3, random)));
  if (features->kind() != v1::CC || !Chance(40, random)) return;
  const int rows = children % 2 == 0 ? 2 : 1;
  features->mutable_grid()->set_rows(rows);
  features->mutable_grid()->set_columns(children / rows);
}

void WriteExit(int t, int nodes, const ValueType& input, int classes,
               const RandomSpecOptions& options, v1::Tier* tier, Random* random) {
  tier->mutable_exit()->set_name(absl::StrCat("exit", t));
  if (nodes > 1) {
    const int kinds = options.binary_only ? 2 : 3;
    tier->mutable_exit()->set_scores(static_cast<v1::Aggregator>(RandomInt(1, kinds, random)));
    if (RandomInt(0, 1, random) == 1) {
      v1::ScoreCode* code = tier->mutable_exit()->mutable_score_code();
      code->set_bits(RandomInt(2, 8, random));
      code->set_range(RandomFloat(1, 100, random));
    }
  }
  LayerWriter(tier->mutable_exit()->mutable_layer(), input, options, random).WriteHead(classes);
}

struct TierChoice {
  int below = 0;  // nodes of the tier below
  int nodes = 1;
  bool root = false;
  bool exit_allowed = true;  // the tier above will be one node, or this one is
};

void WriteTier(int t, const TierChoice& choice, const RandomSpecOptions& options,
               v1::NetworkSpec* spec, Random* random) {
  v1::Tier* tier = spec->add_tier();
  tier->set_name(absl::StrCat("tier", t));
  const bool empty = options.odd_trees && !choice.root && Chance(20, random);
  if (choice.nodes > 1 && t > 0) WriteGroups(choice.below, tier, random);
  if (t > 0) WriteJoin(choice.below / choice.nodes, tier, empty || options.binary_only, random);
  const ValueType input = InputOfLastTier(*spec, choice.nodes);
  ValueType output = input;
  if (!empty) {
    LayerWriter body(tier->mutable_layer(), input, options, random);
    for (int blocks = RandomInt(1, 3, random); blocks > 0; --blocks) body.WriteBlock();
    if (tier->layer_size() == 0) body.WriteBlock();
    output.shape = body.shape();
  }
  // The head's own checks come with the plan; here only shapes and pixels matter.
  if (!empty) output.kind = ValueKind::kFloat;
  const bool exit = choice.root || (choice.exit_allowed && Chance(70, random));
  if (exit) {
    WriteExit(t, choice.nodes, output, spec->class_name_size(), options, tier, random);
  }
}

}  // namespace

int RandomInt(int low, int high, Random* random) {
  const uint64_t range = static_cast<uint64_t>(int64_t{high} - low) + 1;
  return static_cast<int>(low + static_cast<int64_t>((*random)() % range));
}

float RandomFloat(float low, float high, Random* random) {
  const double unit = static_cast<double>((*random)() >> 11) / 9007199254740992.0;
  return static_cast<float>(low + unit * (static_cast<double>(high) - low));
}

namespace {

// Sums that grow too long for integers, or zeros of missing children among pooled bits.
bool HasFloats(const v1::NetworkSpec& spec) {
  absl::StatusOr<NetworkPlan> plan = NetworkPlan::Create(spec);
  if (!plan.ok()) return false;  // the test that uses it says why
  const auto is_float = [](const ValueType& type) { return type.kind == ValueKind::kFloat; };
  for (const TierPlan& tier : plan->tiers()) {
    for (const NodePlan& node : tier.nodes) {
      if (is_float(node.input) || is_float(node.features)) return true;
      if (!node.head.empty() && is_float(node.head.back())) return true;
      const SectionLayout layout = LayOutSection(*plan, node.tier, node.index);
      for (const LayerSlot& slot : layout.body) {
        if (is_float(slot.out)) return true;
      }
    }
  }
  return false;
}

v1::NetworkSpec DrawSpec(const RandomSpecOptions& options, Random* random) {
  v1::NetworkSpec spec;
  spec.set_name("random");
  v1::Input* input = spec.mutable_input();
  input->set_channels(RandomInt(1, 3, random));
  input->set_height(RandomInt(3, 12, random));
  input->set_width(RandomInt(3, 12, random));
  input->set_offset(RandomInt(0, 255, random));
  input->set_scale(1.0f / static_cast<float>(1 << RandomInt(0, 8, random)));
  const int classes = options.classes > 0 ? options.classes : RandomInt(2, 7, random);
  for (int c = 0; c < classes; ++c) spec.add_class_name(absl::StrCat("class ", c));
  int tiers = options.tiers > 0 ? options.tiers : RandomInt(1, 3, random);
  int views = options.views > 0 ? options.views : RandomInt(1, 6, random);
  if (tiers == 1) views = 1;
  spec.set_views(views);
  // With three tiers and an even number of views, the middle one may be two nodes.
  const bool two =
      options.odd_trees && tiers == 3 && views >= 2 && views % 2 == 0 && Chance(40, random);
  int below = views;
  for (int t = 0; t < tiers; ++t) {
    TierChoice choice;
    choice.below = below;
    choice.root = t == tiers - 1;
    choice.nodes = t == 0 ? views : (t == 1 && two ? 2 : 1);
    choice.exit_allowed = !(t == 0 && two);
    WriteTier(t, choice, options, &spec, random);
    below = choice.nodes;
  }
  return spec;
}

}  // namespace

v1::NetworkSpec RandomSpec(const RandomSpecOptions& options, Random* random) {
  v1::NetworkSpec spec = DrawSpec(options, random);
  while (options.binary_only && HasFloats(spec)) spec = DrawSpec(options, random);
  return spec;
}

std::string RandomPixels(const NetworkPlan& plan, Random* random) {
  std::string pixels(static_cast<size_t>(plan.view_shape().size()), '\0');
  for (char& pixel : pixels) pixel = static_cast<char>(RandomInt(0, 255, random));
  return pixels;
}

std::string SourcePath(const std::string& relative) {
  const char* root = std::getenv("DDNN_SOURCE_DIR");
  return absl::StrCat(root == nullptr ? "." : root, "/", relative);
}

}  // namespace ddnn

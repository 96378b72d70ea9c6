#include "tests/engine/section_values.h"

#include <cmath>
#include <cstdlib>
#include <iostream>

#include "google/protobuf/text_format.h"
#include "models/section_layout.h"
#include "runtime/core/float_bytes.h"

namespace ddnn {
namespace testing {
namespace {

int Uniform(std::mt19937* rng, int low, int high) {
  return low + static_cast<int>((*rng)() % static_cast<unsigned>(high - low + 1));
}

std::string RandomBits(size_t count, std::mt19937* rng) {
  std::string bits((count + 7) / 8, '\0');
  for (char& byte : bits) byte = static_cast<char>((*rng)());
  if (count % 8 != 0) bits.back() &= static_cast<char>((1 << (count % 8)) - 1);
  return bits;
}

class Filler {
 public:
  Filler(Weights weights, std::mt19937* rng) : weights_(weights), rng_(rng) {}

  void Fill(const LayerSlot& slot, v1::SectionLayer* layer) {
    switch (slot.kind) {
      case v1::SectionLayer::kBinaryConv:
        FillConv(slot, slot.spec.binary_conv(), true, layer->mutable_binary_conv());
        break;
      case v1::SectionLayer::kConv:
        FillConv(slot, slot.spec.conv(), false, layer->mutable_conv());
        break;
      case v1::SectionLayer::kBinaryLinear:
        FillLinear(slot, slot.spec.binary_linear(), true, layer->mutable_binary_linear());
        break;
      case v1::SectionLayer::kLinear:
        FillLinear(slot, slot.spec.linear(), false, layer->mutable_linear());
        break;
      case v1::SectionLayer::kAffine:
        layer->mutable_affine()->set_scale(Floats(slot.in.shape.channels, 4));
        layer->mutable_affine()->set_bias(Floats(slot.in.shape.channels, 4));
        break;
      case v1::SectionLayer::kThreshold:
        FillThreshold(slot, layer->mutable_threshold());
        break;
      case v1::SectionLayer::kMaxPool:
        *layer->mutable_max_pool() = slot.spec.max_pool();
        break;
      case v1::SectionLayer::kAveragePool:
        *layer->mutable_average_pool() = slot.spec.average_pool();
        break;
      case v1::SectionLayer::kSign:
        layer->mutable_sign();
        break;
      case v1::SectionLayer::kRelu:
        layer->mutable_relu();
        break;
      case v1::SectionLayer::kFlatten:
        layer->mutable_flatten();
        break;
      case v1::SectionLayer::KIND_NOT_SET:
        break;
    }
  }

 private:
  std::string Floats(int count, int fan_in) {
    std::normal_distribution<float> normal(0, 1 / std::sqrt(static_cast<float>(fan_in)));
    std::string bytes;
    for (int i = 0; i < count; ++i) {
      AppendFloat(weights_ == Weights::kReal ? normal(*rng_) : Uniform(rng_, -8, 8) / 8.0f, &bytes);
    }
    return bytes;
  }

  void FillConv(const LayerSlot& slot, const v1::Conv& spec, bool binary, v1::SectionConv* conv) {
    conv->set_filters(spec.filters());
    conv->set_kernel(spec.kernel());
    conv->set_stride(spec.stride());
    conv->set_padding(spec.padding());
    const int inputs = slot.in.shape.channels * spec.kernel() * spec.kernel();
    conv->set_weights(binary ? RandomBits(size_t{1} * spec.filters() * inputs, rng_)
                             : Floats(spec.filters() * inputs, inputs));
    if (!binary && Uniform(rng_, 0, 1) == 1) conv->set_bias(Floats(spec.filters(), 4));
  }

  void FillLinear(const LayerSlot& slot, const v1::Linear& spec, bool binary,
                  v1::SectionLinear* linear) {
    linear->set_outputs(spec.outputs());
    const int inputs = slot.in.shape.size();
    linear->set_weights(binary ? RandomBits(size_t{1} * spec.outputs() * inputs, rng_)
                               : Floats(spec.outputs() * inputs, inputs));
    if (!binary && Uniform(rng_, 0, 1) == 1) linear->set_bias(Floats(spec.outputs(), 4));
  }

  // Small numbers, which sums of bits meet exactly; larger ones; and constants.
  void FillThreshold(const LayerSlot& slot, v1::Threshold* threshold) {
    for (int c = 0; c < slot.in.shape.channels; ++c) {
      switch (Uniform(rng_, 0, 5)) {
        case 0:
          threshold->add_at(1 << 24);
          break;
        case 1:
          threshold->add_at(-(1 << 24));
          break;
        case 2:
          threshold->add_at(Uniform(rng_, -500, 500));
          break;
        default:
          threshold->add_at(Uniform(rng_, -4, 4));
      }
    }
    if (Uniform(rng_, 0, 2) > 0) threshold->set_flip(RandomBits(slot.in.shape.channels, rng_));
    threshold->set_unit(slot.in.unit);
  }

  const Weights weights_;
  std::mt19937* const rng_;
};

}  // namespace

v1::Section RandomSection(const NetworkPlan& plan, int tier, int index, Weights weights,
                          std::mt19937* rng) {
  v1::Section section;
  section.set_network(plan.spec().name());
  section.set_tier(plan.tiers()[tier].name);
  section.set_node(index);
  const SectionLayout layout = LayOutSection(plan, tier, index);
  Filler filler(weights, rng);
  for (const LayerSlot& slot : layout.scores) filler.Fill(slot, section.add_scores());
  for (const LayerSlot& slot : layout.body) filler.Fill(slot, section.add_body());
  for (const LayerSlot& slot : layout.head) filler.Fill(slot, section.add_head());
  return section;
}

SectionInput RandomInput(const NodePlan& node, std::mt19937* rng) {
  SectionInput input;
  std::normal_distribution<float> normal(0, 1);
  for (int i = 0; i < node.input.shape.size(); ++i) {
    if (node.tier == 0) {
      input.pixels.push_back(static_cast<char>((*rng)()));
    } else if (node.features.kind == ValueKind::kPixel) {
      // A tier without layers hands on pixels, whatever it holds them as; these fit any offset.
      input.values.push_back(static_cast<float>(Uniform(rng, 0, 127)) * node.features.unit);
    } else if (node.input.kind == ValueKind::kBit) {
      input.values.push_back(static_cast<float>(Uniform(rng, -1, 1)));
    } else if (node.input.kind == ValueKind::kFloat) {
      input.values.push_back(normal(*rng));
    } else {
      input.values.push_back(static_cast<float>(Uniform(rng, -128, 128)) * node.input.unit);
    }
  }
  return input;
}

std::vector<SectionInput> RandomBatch(const NodePlan& node, int count, std::mt19937* rng) {
  std::vector<SectionInput> batch;
  for (int i = 0; i < count; ++i) batch.push_back(RandomInput(node, rng));
  return batch;
}

NetworkPlan PlanOf(const std::string& textproto) {
  v1::NetworkSpec spec;
  if (google::protobuf::TextFormat::ParseFromString(textproto, &spec)) {
    auto plan = NetworkPlan::Create(spec);
    if (plan.ok()) return *plan;
    std::cerr << plan.status() << "\n";
  }
  std::cerr << "the test's spec is wrong:\n" << textproto << "\n";
  std::abort();
}

std::string Bits(const std::string& text) {
  std::string bits((text.size() + 7) / 8, '\0');
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '1') bits[i / 8] |= static_cast<char>(1 << (i % 8));
  }
  return bits;
}

}  // namespace testing
}  // namespace ddnn

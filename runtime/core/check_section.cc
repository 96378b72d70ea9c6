#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "models/layer_flow.h"
#include "models/section_layout.h"
#include "runtime/core/bundle.h"
#include "runtime/core/feature_codec.h"
#include "runtime/core/float_bytes.h"

namespace ddnn {
namespace {

template <typename... Args>
absl::Status Invalid(const std::string& where, const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(where, ": ", args...));
}

std::string KindName(v1::SectionLayer::KindCase kind) {
  const auto* field = v1::SectionLayer::descriptor()->FindFieldByNumber(kind);
  return field == nullptr ? "nothing" : field->name();
}

absl::Status CheckNumber(const std::string& where, const char* what, int found, int expected) {
  if (found == expected) return absl::OkStatus();
  return Invalid(where, what, " is ", found, ", expected ", expected);
}

absl::Status CheckBits(const std::string& where, const char* what, const std::string& bits,
                       int64_t count) {
  if (static_cast<int64_t>(bits.size()) != (count + 7) / 8) {
    return Invalid(where, what, " has ", bits.size(), " bytes, expected ", (count + 7) / 8, " for ",
                   count, " bits");
  }
  if (HasSpareBits(bits, static_cast<size_t>(count))) {
    return Invalid(where, what, " has a bit set behind the last of ", count);
  }
  return absl::OkStatus();
}

absl::Status CheckFloats(const std::string& where, const char* what, const std::string& bytes,
                         int64_t count) {
  if (static_cast<int64_t>(bytes.size()) != 4 * count) {
    return Invalid(where, what, " has ", bytes.size(), " bytes, expected ", 4 * count, " for ",
                   count, " floats");
  }
  for (int64_t i = 0; i < count; ++i) {
    const float value = FloatAt(bytes, static_cast<size_t>(i));
    if (!std::isfinite(value)) {
      return Invalid(where, what, "[", i, "] is ", value, ", expected a finite number");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckWeights(const std::string& where, bool binary, const std::string& weights,
                          const std::string& bias, int64_t outputs, int64_t inputs) {
  absl::Status status = binary ? CheckBits(where, "weights", weights, outputs * inputs)
                               : CheckFloats(where, "weights", weights, outputs * inputs);
  if (!status.ok() || bias.empty()) return status;
  if (binary) return Invalid(where, "a binary layer has no bias, found ", bias.size(), " bytes");
  return CheckFloats(where, "bias", bias, outputs);
}

absl::Status CheckConv(const LayerSlot& slot, bool binary, const v1::SectionConv& conv) {
  const v1::Conv& spec = binary ? slot.spec.binary_conv() : slot.spec.conv();
  absl::Status status = CheckNumber(slot.name, "filters", conv.filters(), spec.filters());
  if (status.ok()) status = CheckNumber(slot.name, "kernel", conv.kernel(), spec.kernel());
  if (status.ok()) {
    status =
        CheckNumber(slot.name, "stride", std::max(1, conv.stride()), std::max(1, spec.stride()));
  }
  if (status.ok()) status = CheckNumber(slot.name, "padding", conv.padding(), spec.padding());
  if (!status.ok()) return status;
  const int64_t inputs = int64_t{slot.in.shape.channels} * spec.kernel() * spec.kernel();
  return CheckWeights(slot.name, binary, conv.weights(), conv.bias(), spec.filters(), inputs);
}

absl::Status CheckLinear(const LayerSlot& slot, bool binary, const v1::SectionLinear& linear) {
  const v1::Linear& spec = binary ? slot.spec.binary_linear() : slot.spec.linear();
  absl::Status status = CheckNumber(slot.name, "outputs", linear.outputs(), spec.outputs());
  if (!status.ok()) return status;
  return CheckWeights(slot.name, binary, linear.weights(), linear.bias(), spec.outputs(),
                      slot.in.shape.channels);
}

absl::Status CheckPool(const LayerSlot& slot, const v1::Pool& spec, const v1::Pool& pool) {
  const auto stride = [](const v1::Pool& p) { return p.stride() == 0 ? p.kernel() : p.stride(); };
  absl::Status status = CheckNumber(slot.name, "kernel", pool.kernel(), spec.kernel());
  if (status.ok()) status = CheckNumber(slot.name, "stride", stride(pool), stride(spec));
  if (status.ok()) status = CheckNumber(slot.name, "padding", pool.padding(), spec.padding());
  return status;
}

absl::Status CheckAffine(const LayerSlot& slot, const v1::Affine& affine) {
  absl::Status status = CheckFloats(slot.name, "scale", affine.scale(), slot.in.shape.channels);
  if (!status.ok()) return status;
  return CheckFloats(slot.name, "bias", affine.bias(), slot.in.shape.channels);
}

absl::Status CheckThreshold(const LayerSlot& slot, const v1::Threshold& threshold) {
  const int channels = slot.in.shape.channels;
  absl::Status status =
      CheckNumber(slot.name, "number of thresholds", threshold.at_size(), channels);
  if (!status.ok()) return status;
  constexpr int kLimit = 1 << 24;
  for (int at : threshold.at()) {
    if (at < -kLimit || at > kLimit) {
      return Invalid(slot.name, "threshold ", at, ", expected ", -kLimit, " to ", kLimit);
    }
  }
  const float unit = threshold.unit() == 0 ? 1.0f : threshold.unit();
  if (unit != slot.in.unit) {
    return Invalid(slot.name, "unit is ", threshold.unit(), ", expected ", slot.in.unit);
  }
  if (threshold.flip().empty()) return absl::OkStatus();
  return CheckBits(slot.name, "flip", threshold.flip(), channels);
}

absl::Status CheckLayer(const LayerSlot& slot, const v1::SectionLayer& layer) {
  if (layer.kind_case() != slot.kind) {
    return Invalid(slot.name, "the section has ", KindName(layer.kind_case()), ", expected ",
                   KindName(slot.kind));
  }
  switch (layer.kind_case()) {
    case v1::SectionLayer::kBinaryConv:
      return CheckConv(slot, true, layer.binary_conv());
    case v1::SectionLayer::kConv:
      return CheckConv(slot, false, layer.conv());
    case v1::SectionLayer::kBinaryLinear:
      return CheckLinear(slot, true, layer.binary_linear());
    case v1::SectionLayer::kLinear:
      return CheckLinear(slot, false, layer.linear());
    case v1::SectionLayer::kMaxPool:
      return CheckPool(slot, slot.spec.max_pool(), layer.max_pool());
    case v1::SectionLayer::kAveragePool:
      return CheckPool(slot, slot.spec.average_pool(), layer.average_pool());
    case v1::SectionLayer::kAffine:
      return CheckAffine(slot, layer.affine());
    case v1::SectionLayer::kThreshold:
      return CheckThreshold(slot, layer.threshold());
    case v1::SectionLayer::kSign:
    case v1::SectionLayer::kRelu:
    case v1::SectionLayer::kFlatten:
      return absl::OkStatus();
    case v1::SectionLayer::KIND_NOT_SET:
      break;
  }
  return Invalid(slot.name, "the layer says nothing");
}

template <typename Layers>
absl::Status CheckLayers(const std::string& where, const std::vector<LayerSlot>& slots,
                         const Layers& layers) {
  if (static_cast<size_t>(layers.size()) != slots.size()) {
    return Invalid(where, layers.size(), " layers, expected ", slots.size());
  }
  for (size_t i = 0; i < slots.size(); ++i) {
    absl::Status status = CheckLayer(slots[i], layers[static_cast<int>(i)]);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSection(const NetworkPlan& plan, const v1::Section& section) {
  if (section.network() != plan.spec().name()) {
    return absl::InvalidArgumentError(absl::StrCat("section of network \"", section.network(),
                                                   "\", expected \"", plan.spec().name(), "\""));
  }
  absl::StatusOr<int> tier = plan.FindTier(section.tier());
  if (!tier.ok()) return absl::InvalidArgumentError(tier.status().message());
  const size_t nodes = plan.tiers()[*tier].nodes.size();
  if (section.node() < 0 || static_cast<size_t>(section.node()) >= nodes) {
    return absl::InvalidArgumentError(absl::StrCat("section of node ", section.node(), " of ",
                                                   section.tier(), ", expected 0 to ", nodes - 1));
  }
  const SectionLayout layout = LayOutSection(plan, *tier, section.node());
  const std::string where = absl::StrCat(section.tier(), "-", section.node());
  absl::Status status =
      CheckLayers(absl::StrCat(where, " scores"), layout.scores, section.scores());
  if (status.ok()) status = CheckLayers(absl::StrCat(where, " body"), layout.body, section.body());
  if (status.ok()) status = CheckLayers(absl::StrCat(where, " head"), layout.head, section.head());
  return status;
}

}  // namespace ddnn

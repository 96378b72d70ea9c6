#include "runtime/lite/program.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "runtime/core/feature_codec.h"
#include "runtime/core/float_bytes.h"
#include "runtime/lite/binary_block.h"
#include "runtime/lite/binary_ops.h"
#include "runtime/lite/pointwise_ops.h"
#include "runtime/lite/pool_ops.h"
#include "runtime/lite/winograd.h"
#include "runtime/lite/xnnpack_ops.h"

namespace ddnn {
namespace lite {
namespace {

std::vector<float> Signs(const std::string& bits, size_t count) {
  std::vector<float> signs(count);
  for (size_t i = 0; i < count; ++i) signs[i] = BitAt(bits, i) ? 1.0f : -1.0f;
  return signs;
}

template <typename Layer>
FloatWeights WeightsOf(const Layer& layer, bool binary, size_t count) {
  if (binary) return {Signs(layer.weights(), count), {}};
  return {FloatsOf(layer.weights()), FloatsOf(layer.bias())};
}

using Layers = google::protobuf::RepeatedPtrField<v1::SectionLayer>;

}  // namespace

// Builds a program layer by layer.
class Compiler {
 public:
  Compiler(const Values& input, Program* program) : input_(input), program_(program) {}

  // Adds the layer at `i`, with those behind it that are computed in one with it; returns how many.
  absl::StatusOr<size_t> AddFrom(const std::vector<LayerSlot>& slots, const Layers& layers,
                                 size_t i) {
    if (const size_t fused = AddBinaryBlock(slots, layers, i); fused > 0) return fused;
    const v1::SectionLayer& layer = layers[static_cast<int>(i)];
    if (!ReadsPixels(slots[i], layer)) ToPlanes();
    absl::Status status = Add(slots[i], layer);
    if (!status.ok()) return status;
    return 1;
  }

  // Changes the last output's form unless it is already held so.
  void ToForm(Form form) {
    if (last().form == form) return;
    // Between planes and pixels floats are turned as floats.
    const bool from_pixels = last().form == Form::kPixels;
    if (form == Form::kPixelFloats && !from_pixels) ToForm(Form::kFloats);
    Push(MakeConversion(), last().shape, form, last().unit);
  }

  // To a form that every layer reads.
  void ToPlanes() {
    if (last().form == Form::kPixels) ToForm(Form::kIntegers);
    if (last().form == Form::kPixelBits) ToForm(Form::kBits);
    if (last().form == Form::kPixelFloats) ToForm(Form::kFloats);
  }

 private:
  // Whether the layer reads the last output as it is held, pixel by pixel, or turns it itself.
  bool ReadsPixels(const LayerSlot& slot, const v1::SectionLayer& layer) const {
    const bool floats = last().form == Form::kPixelFloats;
    switch (layer.kind_case()) {
      case v1::SectionLayer::kConv:
        return floats || last().form == Form::kPixels;
      case v1::SectionLayer::kBinaryConv:
        return floats && slot.out.kind == ValueKind::kFloat;
      case v1::SectionLayer::kAffine:
      case v1::SectionLayer::kMaxPool:
      case v1::SectionLayer::kAveragePool:
      case v1::SectionLayer::kSign:
      case v1::SectionLayer::kRelu:
        return floats;
      default:
        return false;
    }
  }

  // Floats in the order that they are in, or planes.
  void ToFloats() {
    if (last().form != Form::kPixelFloats) ToForm(Form::kFloats);
  }

  // binary_conv, threshold or binary_conv, max_pool, threshold; 0 where they are not there.
  size_t AddBinaryBlock(const std::vector<LayerSlot>& slots, const Layers& layers, size_t i) {
    const bool pixels = last().form == Form::kPixels;
    const bool bits =
        last().form == Form::kPixelBits || (last().form == Form::kBits && !last().masked);
    if (!(pixels || bits) || slots[i].out.kind != ValueKind::kInteger) return 0;
    const auto layer = [&](size_t at) -> const v1::SectionLayer& {
      return layers[static_cast<int>(at)];
    };
    if (!layer(i).has_binary_conv()) return 0;
    size_t end = i + 1;
    const bool pooled = end < slots.size() && layer(end).has_max_pool();
    if (pooled) ++end;
    if (end >= slots.size() || !layer(end).has_threshold()) return 0;
    if (bits) ToForm(Form::kPixelBits);
    const BinaryBlock block = {&layer(i).binary_conv(), pooled ? &layer(i + 1).max_pool() : nullptr,
                               &layer(end).threshold(), slots[i].out.shape, slots[end].out.shape};
    auto op = pixels ? MakePixelBlock(block, last()) : MakeBitBlock(block, last().shape);
    Push(std::move(op), block.out, Form::kPixelBits);
    return end + 1 - i;
  }

  absl::Status Add(const LayerSlot& slot, const v1::SectionLayer& layer) {
    switch (layer.kind_case()) {
      case v1::SectionLayer::kBinaryConv:
        return AddConv(slot, layer.binary_conv(), true);
      case v1::SectionLayer::kConv:
        return AddConv(slot, layer.conv(), false);
      case v1::SectionLayer::kBinaryLinear:
        return AddLinear(slot, layer.binary_linear(), true);
      case v1::SectionLayer::kLinear:
        return AddLinear(slot, layer.linear(), false);
      case v1::SectionLayer::kAffine:
        ToFloats();
        Push(MakeAffine(layer.affine()), slot.out.shape, last().form);
        return absl::OkStatus();
      case v1::SectionLayer::kThreshold:
        Push(MakeThreshold(layer.threshold()), slot.out.shape, Form::kBits);
        return absl::OkStatus();
      case v1::SectionLayer::kMaxPool:
        AddMaxPool(slot, layer.max_pool());
        return absl::OkStatus();
      case v1::SectionLayer::kAveragePool:
        ToFloats();
        Push(MakeAveragePool(layer.average_pool()), slot.out.shape, last().form);
        return absl::OkStatus();
      case v1::SectionLayer::kSign:
        Push(MakeSign(), slot.out.shape,
             last().form == Form::kPixelFloats ? Form::kPixelBits : Form::kBits);
        return absl::OkStatus();
      case v1::SectionLayer::kRelu:
        if (slot.out.kind != ValueKind::kInteger) ToFloats();
        Push(MakeRelu(), slot.out.shape, last().form, last().unit);
        return absl::OkStatus();
      case v1::SectionLayer::kFlatten:
        Push(MakeReshape(), slot.out.shape, last().form, last().unit, last().masked);
        return absl::OkStatus();
      case v1::SectionLayer::KIND_NOT_SET:
        break;
    }
    return absl::InvalidArgumentError(absl::StrCat(slot.name, ": the layer says nothing"));
  }

  const Values& last() const { return program_->output(input_); }

  void Push(std::unique_ptr<Op> op, const Shape& shape, Form form, float unit = 1,
            bool masked = false) {
    program_->stages_.push_back({std::move(op), MakeValues(shape, form, unit, masked)});
  }

  absl::Status AddConv(const LayerSlot& slot, const v1::SectionConv& conv, bool binary) {
    if (binary && slot.out.kind == ValueKind::kInteger) {
      Push(MakeBinaryConv(conv, last()), slot.out.shape, Form::kIntegers, slot.out.unit);
      return absl::OkStatus();
    }
    ToForm(Form::kPixelFloats);
    const size_t count =
        size_t{1} * conv.filters() * slot.in.shape.channels * conv.kernel() * conv.kernel();
    const ConvGeometry geometry{conv.kernel(), std::max(1, conv.stride()), conv.padding()};
    const FloatWeights weights = WeightsOf(conv, binary, count);
    const Shape &in = slot.in.shape, &out = slot.out.shape;
    if (WinogradPays(geometry, in, out)) {
      Push(MakeWinogradConv(geometry.padding, weights, in, out), out, Form::kPixelFloats);
      return absl::OkStatus();
    }
    auto op = MakeFloatConv(geometry, weights, in, out);
    if (!op.ok()) return op.status();
    Push(*std::move(op), slot.out.shape, Form::kPixelFloats);
    return absl::OkStatus();
  }

  absl::Status AddLinear(const LayerSlot& slot, const v1::SectionLinear& linear, bool binary) {
    if (binary && slot.out.kind == ValueKind::kInteger) {
      Push(MakeBinaryLinear(linear, last()), slot.out.shape, Form::kIntegers, slot.out.unit);
      return absl::OkStatus();
    }
    ToForm(Form::kFloats);
    const int inputs = slot.in.shape.size();
    const size_t count = size_t{1} * linear.outputs() * inputs;
    auto op = MakeFloatLinear(WeightsOf(linear, binary, count), inputs, linear.outputs());
    if (!op.ok()) return op.status();
    Push(*std::move(op), slot.out.shape, Form::kFloats);
    return absl::OkStatus();
  }

  void AddMaxPool(const LayerSlot& slot, const v1::Pool& pool) {
    const bool bits = last().form == Form::kBits, masked = last().masked;
    if (bits) ToForm(Form::kIntegers);
    Push(MakeMaxPool(pool), slot.out.shape, last().form, last().unit);
    if (bits) Push(MakeConversion(), slot.out.shape, Form::kBits, 1, masked);
  }

  const Values& input_;
  Program* const program_;
};

absl::StatusOr<Program> Program::Create(
    const std::vector<LayerSlot>& slots,
    const google::protobuf::RepeatedPtrField<v1::SectionLayer>& layers, const Values& input) {
  Program program;
  Compiler compiler(input, &program);
  for (size_t i = 0; i < slots.size();) {
    const absl::StatusOr<size_t> added = compiler.AddFrom(slots, layers, i);
    if (!added.ok()) return added.status();
    i += *added;
  }
  compiler.ToPlanes();
  return program;
}

void Program::EndInFloats(const Values& input) { Compiler(input, this).ToForm(Form::kFloats); }

absl::StatusOr<const Values*> Program::Run(const Values& in) {
  const Values* last = &in;
  for (Stage& stage : stages_) {
    absl::Status status = stage.op->Run(*last, &stage.out);
    if (!status.ok()) return status;
    last = &stage.out;
  }
  return last;
}

}  // namespace lite
}  // namespace ddnn

#include "runtime/lite/lite_engine.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "models/section_layout.h"
#include "runtime/core/bundle.h"
#include "runtime/core/feature_codec.h"
#include "runtime/core/section_input.h"
#include "runtime/lite/bit_kernels.h"
#include "runtime/lite/bit_stream.h"
#include "runtime/lite/program.h"

namespace ddnn {
namespace {

using lite::Form;
using lite::Program;
using lite::Values;

Values InputValues(const ValueType& type, int32_t offset) {
  Values pixels;
  switch (type.kind) {
    case ValueKind::kPixel:
      pixels = lite::MakeValues(type.shape, Form::kPixels, type.unit);
      pixels.offset = offset;
      return pixels;
    case ValueKind::kInteger:
      return lite::MakeValues(type.shape, Form::kIntegers, type.unit);
    case ValueKind::kBit:
      return lite::MakeValues(type.shape, Form::kBits, 1, /*masked=*/true);
    case ValueKind::kFloat:
      break;
  }
  return lite::MakeValues(type.shape, Form::kFloats);
}

class LiteEngine : public Engine {
 public:
  LiteEngine(const NetworkPlan& plan, const NodePlan& node)
      : spec_input_(plan.spec().input()),
        node_(node),
        input_(InputValues(node.input, spec_input_.offset())) {}

  absl::Status Prepare(const SectionLayout& layout, const v1::Section& section) {
    absl::Status status = Make(layout.body, section.body(), input_, &body_);
    if (!status.ok()) return status;
    status = Make(layout.head, section.head(), body_.output(input_), &head_);
    if (!status.ok()) return status;
    has_head_ = !layout.head.empty();
    if (has_head_) head_.EndInFloats(body_.output(input_));
    if (layout.scores.empty()) return absl::OkStatus();
    joined_scores_ = lite::MakeValues(layout.scores.front().in.shape, Form::kFloats);
    return Make(layout.scores, section.scores(), joined_scores_, &scores_);
  }

  absl::StatusOr<std::vector<SectionOutput>> Run(absl::Span<const SectionInput> batch) override {
    if (batch.empty()) return absl::InvalidArgumentError("an empty batch");
    std::vector<SectionOutput> outputs(batch.size());
    for (size_t i = 0; i < batch.size(); ++i) {
      absl::Status status = RunOne(batch[i], &outputs[i]);
      if (!status.ok()) return status;
    }
    return outputs;
  }

  absl::StatusOr<std::vector<float>> RunScores(absl::Span<const float> joined) override {
    if (joined_scores_.floats.empty()) {
      return absl::FailedPreconditionError("this section does not join scores");
    }
    if (joined.size() != joined_scores_.floats.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "joined scores: ", joined.size(), " values, expected ", joined_scores_.floats.size()));
    }
    std::copy(joined.begin(), joined.end(), joined_scores_.floats.begin());
    auto out = scores_.Run(joined_scores_);
    if (!out.ok()) return out.status();
    return (*out)->floats;
  }

 private:
  static absl::Status Make(const std::vector<LayerSlot>& slots,
                           const google::protobuf::RepeatedPtrField<v1::SectionLayer>& layers,
                           const Values& input, Program* program) {
    auto made = Program::Create(slots, layers, input);
    if (!made.ok()) return made.status();
    *program = *std::move(made);
    return absl::OkStatus();
  }

  absl::Status RunOne(const SectionInput& in, SectionOutput* out) {
    absl::Status status = CheckSectionInput(node_, in);
    if (!status.ok()) return status;
    if (node_.tier == 0) {
      LoadPixels(in.pixels);
    } else {
      LoadValues(in.values);
    }
    auto features = body_.Run(input_);
    if (!features.ok()) return features.status();
    out->features = Pack(**features);
    if (!has_head_) return absl::OkStatus();
    auto scores = head_.Run(**features);
    if (!scores.ok()) return scores.status();
    out->scores = (*scores)->floats;
    return absl::OkStatus();
  }

  void LoadPixels(const std::string& pixels) {
    std::copy(pixels.begin(), pixels.end(), input_.pixels.begin());
  }

  void LoadValues(const std::vector<float>& values) {
    switch (input_.form) {
      case Form::kIntegers:
        for (size_t i = 0; i < values.size(); ++i) {
          input_.integers[i] = static_cast<int32_t>(values[i] / input_.unit);
        }
        return;
      case Form::kBits:
        std::fill(input_.bits.begin(), input_.bits.end(), 0);
        std::fill(input_.mask.begin(), input_.mask.end(), 0);
        for (size_t i = 0; i < values.size(); ++i) {
          if (values[i] > 0) lite::SetBit(input_.bits.data(), i);
          if (values[i] != 0) lite::SetBit(input_.mask.data(), i);
        }
        return;
      case Form::kFloats:
        std::copy(values.begin(), values.end(), input_.floats.begin());
        return;
      case Form::kPixels:
      case Form::kPixelBits:
      case Form::kPixelFloats:
        break;  // never the form of joined values
    }
  }

  std::string Pack(const Values& v) {
    if (v.form == Form::kBits && node_.features.kind == ValueKind::kBit) {
      std::string packed(PackedSize(node_.features), '\0');
      for (size_t i = 0; i < packed.size(); ++i) {
        packed[i] = static_cast<char>(v.bits[i / 8] >> (i % 8 * 8));
      }
      return packed;
    }
    if (v.form == Form::kFloats) return PackFeatures(node_.features, spec_input_, v.floats);
    unpacked_.resize(v.integers.size());
    for (size_t i = 0; i < unpacked_.size(); ++i) {
      unpacked_[i] = static_cast<float>(v.integers[i]) * v.unit;
    }
    return PackFeatures(node_.features, spec_input_, unpacked_);
  }

  const v1::Input spec_input_;
  const NodePlan node_;
  bool has_head_ = false;
  Values input_, joined_scores_;
  Program body_, head_, scores_;
  std::vector<float> unpacked_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> CreateLiteEngine(const NetworkPlan& plan,
                                                         const v1::Section& section) {
  if (!lite::KernelsRunHere()) {
    return absl::FailedPreconditionError(
        "this processor has no SSE4.2, which sections need to run");
  }
  absl::Status status = CheckSection(plan, section);
  if (!status.ok()) return status;
  auto tier = plan.FindTier(section.tier());
  if (!tier.ok()) return tier.status();
  const NodePlan& node = plan.node(*tier, section.node());
  auto engine = std::make_unique<LiteEngine>(plan, node);
  status = engine->Prepare(LayOutSection(plan, *tier, section.node()), section);
  if (!status.ok()) return status;
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace ddnn

#include "runtime/core/section_input.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

// Beyond this, floats do not hold every integer: no plan allows such values.
constexpr float kMaxInteger = 1 << 24;

bool IsOfKind(const ValueType& type, float x) {
  switch (type.kind) {
    case ValueKind::kBit:
      return x == 1 || x == -1 || x == 0;
    case ValueKind::kPixel:
    case ValueKind::kInteger: {
      const float n = x / type.unit;
      return std::fabs(n) <= kMaxInteger && n == std::nearbyint(n);
    }
    case ValueKind::kFloat:
      break;
  }
  return std::isfinite(x);
}

std::string Expected(const ValueType& type) {
  switch (type.kind) {
    case ValueKind::kBit:
      return "-1, 0 or 1";
    case ValueKind::kPixel:
    case ValueKind::kInteger:
      return absl::StrCat("a multiple of ", type.unit);
    case ValueKind::kFloat:
      break;
  }
  return "a finite number";
}

absl::Status CheckCount(const Shape& shape, const char* what, size_t found) {
  if (found == static_cast<size_t>(shape.size())) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("section input: ", found, " ", what, ", expected ",
                                                 shape.size(), " (", ToString(shape), ")"));
}

}  // namespace

absl::Status CheckSectionInput(const NodePlan& node, const SectionInput& input) {
  if (node.tier == 0) return CheckCount(node.input.shape, "pixels", input.pixels.size());
  absl::Status status = CheckCount(node.input.shape, "values", input.values.size());
  if (!status.ok()) return status;
  for (size_t i = 0; i < input.values.size(); ++i) {
    if (!IsOfKind(node.input, input.values[i])) {
      return absl::InvalidArgumentError(absl::StrCat("section input: value ", i, " is ",
                                                     input.values[i], ", expected ",
                                                     Expected(node.input)));
    }
  }
  return absl::OkStatus();
}

}  // namespace ddnn

#include "models/layer_flow.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

constexpr int kMaxKernel = 64;

template <typename... Args>
absl::Status Invalid(const std::string& where, const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(where, ": ", args...));
}

const char* KindName(ValueKind kind) {
  switch (kind) {
    case ValueKind::kPixel:
      return "pixels";
    case ValueKind::kBit:
      return "bits";
    case ValueKind::kInteger:
      return "integers";
    case ValueKind::kFloat:
      break;
  }
  return "floats";
}

absl::Status CheckSize(const std::string& where, int64_t channels, int64_t height, int64_t width) {
  // Each factor is checked first: the product of three 31-bit numbers does not fit in 64 bits.
  for (int64_t d : {channels, height, width}) {
    if (d < 1 || d > kMaxTensorValues) {
      return Invalid(where, "gives ", channels, "x", height, "x", width,
                     "; every dimension must be 1 to ", kMaxTensorValues);
    }
  }
  if (channels * height > kMaxTensorValues || channels * height * width > kMaxTensorValues) {
    return Invalid(where, "gives ", channels, "x", height, "x", width, ", more than ",
                   kMaxTensorValues, " values");
  }
  return absl::OkStatus();
}

absl::Status AddWeights(const std::string& where, int64_t outputs, int64_t inputs, Flow* flow) {
  if (outputs * inputs > kMaxSectionWeights ||
      flow->weights + outputs * inputs > kMaxSectionWeights) {
    return Invalid(where, outputs, " x ", inputs, " weights; a section has at most ",
                   kMaxSectionWeights);
  }
  flow->weights += outputs * inputs;
  return absl::OkStatus();
}

struct Window {
  const char* kind;
  int kernel, stride, padding, max_padding;
};

// Output size of a square window sliding over the picture, rounded down.
absl::Status SlideWindow(const std::string& where, const Window& w, const Shape& in, Shape* out) {
  if (w.kernel < 1 || w.kernel > kMaxKernel) {
    return Invalid(where, w.kind, " has kernel ", w.kernel, ", expected 1 to ", kMaxKernel);
  }
  if (w.stride < 1 || w.stride > kMaxKernel) {
    return Invalid(where, w.kind, " has stride ", w.stride, ", expected 1 to ", kMaxKernel);
  }
  if (w.padding < 0 || w.padding > w.max_padding) {
    return Invalid(where, w.kind, " with kernel ", w.kernel, " has padding ", w.padding,
                   ", expected 0 to ", w.max_padding);
  }
  if (in.height + 2 * w.padding < w.kernel || in.width + 2 * w.padding < w.kernel) {
    return Invalid(where, w.kind, " with kernel ", w.kernel, " and padding ", w.padding,
                   " does not fit its input ", ToString(in), ": expected at least ",
                   w.kernel - 2 * w.padding, " rows and columns");
  }
  out->height = (in.height + 2 * w.padding - w.kernel) / w.stride + 1;
  out->width = (in.width + 2 * w.padding - w.kernel) / w.stride + 1;
  return absl::OkStatus();
}

// Kind behind a layer with +1/-1 weights: integers stay integers as long as a float holds their
// sums.
absl::Status SetBinaryKind(const std::string& where, double inputs, Flow* flow) {
  ValueType& type = flow->type;
  if (type.kind == ValueKind::kFloat) return absl::OkStatus();
  if (type.kind == ValueKind::kPixel && !IsPowerOfTwo(type.unit)) {
    return Invalid(where,
                   "a binary layer over pixels needs input.scale to be a power of two, "
                   "found ",
                   type.unit);
  }
  flow->bound *= inputs;
  flow->has_zeros = false;
  if (flow->bound >= kMaxExactInteger) {
    type.kind = ValueKind::kFloat;
    type.unit = 1;
    return absl::OkStatus();
  }
  if (type.kind == ValueKind::kBit) type.unit = 1;
  type.kind = ValueKind::kInteger;
  return absl::OkStatus();
}

void SetFloat(Flow* flow) {
  flow->type.kind = ValueKind::kFloat;
  flow->type.unit = 1;
  flow->has_zeros = false;
}

absl::StatusOr<Flow> ThroughConv(const v1::Conv& conv, bool binary, const std::string& where,
                                 const Flow& in) {
  Flow out = in;
  const char* kind = binary ? "binary_conv" : "conv";
  const int stride = conv.stride() == 0 ? 1 : conv.stride();
  const Shape& shape = in.type.shape;
  absl::Status status = SlideWindow(
      where, {kind, conv.kernel(), stride, conv.padding(), std::max(conv.kernel(), 1) - 1}, shape,
      &out.type.shape);
  if (!status.ok()) return status;
  if (conv.filters() < 1) {
    return Invalid(where, kind, " has ", conv.filters(), " filters, expected at least 1");
  }
  status = CheckSize(where, conv.filters(), out.type.shape.height, out.type.shape.width);
  if (!status.ok()) return status;
  const int64_t inputs = int64_t{shape.channels} * conv.kernel() * conv.kernel();
  status = AddWeights(where, conv.filters(), inputs, &out);
  if (!status.ok()) return status;
  out.type.shape.channels = conv.filters();
  if (binary) {
    status = SetBinaryKind(where, static_cast<double>(inputs), &out);
    if (!status.ok()) return status;
  } else {
    SetFloat(&out);
  }
  return out;
}

absl::StatusOr<Flow> ThroughLinear(const v1::Linear& linear, bool binary, const std::string& where,
                                   const Flow& in) {
  Flow out = in;
  const char* kind = binary ? "binary_linear" : "linear";
  const Shape& shape = in.type.shape;
  if (shape.height != 1 || shape.width != 1) {
    return Invalid(where, kind, " over ", ToString(shape), ": expected ", shape.size(),
                   "x1x1, put flatten before it");
  }
  absl::Status status = CheckSize(where, linear.outputs(), 1, 1);
  if (!status.ok()) return status;
  status = AddWeights(where, linear.outputs(), shape.channels, &out);
  if (!status.ok()) return status;
  out.type.shape = Shape{linear.outputs(), 1, 1};
  if (binary) {
    status = SetBinaryKind(where, shape.channels, &out);
    if (!status.ok()) return status;
  } else {
    SetFloat(&out);
  }
  return out;
}

absl::StatusOr<Flow> ThroughPool(const v1::Pool& pool, bool max, const std::string& where,
                                 const Flow& in) {
  Flow out = in;
  const int stride = pool.stride() == 0 ? pool.kernel() : pool.stride();
  // Half the kernel at most: then every window holds at least one real value.
  absl::Status status = SlideWindow(
      where,
      {max ? "max_pool" : "average_pool", pool.kernel(), stride, pool.padding(), pool.kernel() / 2},
      in.type.shape, &out.type.shape);
  if (!status.ok()) return status;
  status = CheckSize(where, out.type.shape.channels, out.type.shape.height, out.type.shape.width);
  if (!status.ok()) return status;
  if (!max) SetFloat(&out);
  return out;
}

absl::StatusOr<Flow> ThroughBatchNorm(const v1::BatchNorm& norm, const std::string& where,
                                      const Flow& in) {
  if (norm.has_epsilon() && !(norm.epsilon() > 0 && norm.epsilon() <= 1)) {
    return Invalid(where, "batch_norm has epsilon ", norm.epsilon(), ", expected 0 < epsilon <= 1");
  }
  if (norm.has_momentum() && !(norm.momentum() > 0 && norm.momentum() <= 1)) {
    return Invalid(where, "batch_norm has momentum ", norm.momentum(),
                   ", expected 0 < momentum <= 1");
  }
  Flow out = in;
  SetFloat(&out);
  return out;
}

absl::StatusOr<Flow> ThroughDropout(const v1::Dropout& dropout, const std::string& where,
                                    const Flow& in) {
  if (!(dropout.probability() >= 0 && dropout.probability() < 1)) {
    return Invalid(where, "dropout has probability ", dropout.probability(),
                   ", expected 0 <= probability < 1");
  }
  return in;
}

Flow ThroughSign(const Flow& in) {
  Flow out = in;
  out.type.kind = ValueKind::kBit;
  out.type.unit = 1;
  out.bound = 1;
  out.has_zeros = false;
  return out;
}

Flow ThroughRelu(const Flow& in) {
  Flow out = in;
  // Integers stay integers; of bits and pixels, relu makes values that do not pack as such.
  if (in.type.kind != ValueKind::kInteger) SetFloat(&out);
  return out;
}

// Joined pixels are integers where the unit is exact; only devices hold pixels as bytes.
void SetJoinedKind(v1::Aggregator aggregator, size_t children, Flow* out) {
  ValueType& type = out->type;
  if (aggregator == v1::AP) {
    SetFloat(out);
  } else if (type.kind == ValueKind::kBit) {
    // An only child is never missing: then there is nothing to run on.
    out->has_zeros = out->has_zeros || (aggregator == v1::CC && children > 1);
  } else if (type.kind == ValueKind::kPixel) {
    if (!IsPowerOfTwo(type.unit)) {
      SetFloat(out);
    } else {
      type.kind = ValueKind::kInteger;
    }
  }
}

}  // namespace

bool IsPowerOfTwo(float value) {
  int exponent = 0;
  return std::isfinite(value) && std::frexp(value, &exponent) == 0.5f;
}

std::string LayerKindName(const v1::Layer& layer) {
  const auto* field = v1::Layer::descriptor()->FindFieldByNumber(layer.kind_case());
  return field == nullptr ? "nothing" : field->name();
}

absl::StatusOr<Flow> ThroughLayer(const v1::Layer& layer, const std::string& where,
                                  const Flow& in) {
  switch (layer.kind_case()) {
    case v1::Layer::kBinaryConv:
      return ThroughConv(layer.binary_conv(), true, where, in);
    case v1::Layer::kConv:
      return ThroughConv(layer.conv(), false, where, in);
    case v1::Layer::kBinaryLinear:
      return ThroughLinear(layer.binary_linear(), true, where, in);
    case v1::Layer::kLinear:
      return ThroughLinear(layer.linear(), false, where, in);
    case v1::Layer::kBatchNorm:
      return ThroughBatchNorm(layer.batch_norm(), where, in);
    case v1::Layer::kMaxPool:
      return ThroughPool(layer.max_pool(), true, where, in);
    case v1::Layer::kAveragePool:
      return ThroughPool(layer.average_pool(), false, where, in);
    case v1::Layer::kSign:
      return ThroughSign(in);
    case v1::Layer::kRelu:
      return ThroughRelu(in);
    case v1::Layer::kFlatten: {
      Flow out = in;
      out.type.shape = Shape{in.type.shape.size(), 1, 1};
      return out;
    }
    case v1::Layer::kDropout:
      return ThroughDropout(layer.dropout(), where, in);
    case v1::Layer::KIND_NOT_SET:
      break;
  }
  return Invalid(where, "the layer says nothing; expected one of binary_conv, conv, ...");
}

absl::StatusOr<Flow> ThroughJoin(const v1::Aggregation& aggregation, const std::string& where,
                                 const std::vector<Flow>& children) {
  const v1::Aggregator kind = aggregation.kind();
  if (kind != v1::MP && kind != v1::AP && kind != v1::CC) {
    return Invalid(where, "features.kind is ", static_cast<int>(kind), ", expected MP, AP or CC");
  }
  const bool grid = aggregation.has_grid();
  if (grid && kind != v1::CC) return Invalid(where, "features.grid needs kind CC");
  Flow out = children[0];
  out.weights = 0;
  int64_t channels = 0;
  for (const Flow& child : children) {
    const Shape& first = children[0].type.shape;
    const Shape& shape = child.type.shape;
    // CC without a grid stacks channels, however many each child has.
    const bool fits = kind == v1::CC && !grid
                          ? shape.height == first.height && shape.width == first.width
                          : shape == first;
    if (!fits) {
      return Invalid(where, "children give ", ToString(first), " and ", ToString(shape),
                     ": shapes do not fit together");
    }
    channels += shape.channels;
    out.bound = std::max(out.bound, child.bound);
    out.has_zeros = out.has_zeros || child.has_zeros;
    if (child.type.kind != out.type.kind || child.type.unit != out.type.unit) SetFloat(&out);
  }
  SetJoinedKind(kind, children.size(), &out);
  if (grid) {
    const v1::Grid& g = aggregation.grid();
    const int64_t count = static_cast<int64_t>(children.size());
    if (g.rows() < 1 || g.columns() < 1 || int64_t{g.rows()} * g.columns() != count) {
      return Invalid(where, "features.grid has ", g.rows(), " rows and ", g.columns(),
                     " columns for ", count, " children of kind ", KindName(out.type.kind));
    }
    const Shape tile = children[0].type.shape;
    absl::Status status = CheckSize(where, tile.channels, int64_t{tile.height} * g.rows(),
                                    int64_t{tile.width} * g.columns());
    if (!status.ok()) return status;
    out.type.shape = Shape{tile.channels, tile.height * g.rows(), tile.width * g.columns()};
  } else if (kind == v1::CC) {
    absl::Status status = CheckSize(where, channels, out.type.shape.height, out.type.shape.width);
    if (!status.ok()) return status;
    out.type.shape.channels = static_cast<int>(channels);
  }
  return out;
}

}  // namespace ddnn

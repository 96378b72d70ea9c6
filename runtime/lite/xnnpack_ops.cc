// The only file that knows XNNPACK. Its operator API has changed: Debian 12 has create and setup,
// Debian 13 create, reshape and setup (DDNN_XNNPACK_HAS_RESHAPE, set by CMake). Versions with
// reshape also differ in trailing arguments, which are found by overload resolution.
#include "runtime/lite/xnnpack_ops.h"

#include <xnnpack.h>

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "runtime/lite/transpose.h"

namespace ddnn {
namespace lite {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
static_assert(kFloatSlack * sizeof(float) >= XNN_EXTRA_BYTES, "what XNNPACK reads past the end");

absl::Status ToStatus(xnn_status status, const char* what) {
  if (status == xnn_status_success) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("XNNPACK: ", what, " failed with status ", static_cast<int>(status)));
}

absl::Status Initialize() {
  static const xnn_status status = xnn_initialize(nullptr);
  return ToStatus(status, "xnn_initialize");
}

struct DeleteOperator {
  void operator()(xnn_operator_t op) const { xnn_delete_operator(op); }
};
using Operator = std::unique_ptr<std::remove_pointer_t<xnn_operator_t>, DeleteOperator>;

// Calls a create function, whose last arguments are up to two caches (none here) and the operator.
template <typename Create, typename... Args>
xnn_status CallCreate(Create create, Operator* op, Args... args) {
  xnn_operator_t made = nullptr;
  xnn_status status;
  if constexpr (std::is_invocable_v<Create, Args..., xnn_operator_t*>) {
    status = create(args..., &made);
  } else if constexpr (std::is_invocable_v<Create, Args..., std::nullptr_t, xnn_operator_t*>) {
    status = create(args..., nullptr, &made);
  } else {
    status = create(args..., nullptr, nullptr, &made);
  }
  op->reset(made);
  return status;
}

#ifdef DDNN_XNNPACK_HAS_RESHAPE
// Some versions also tell the workspace's alignment.
template <typename Reshape>
xnn_status CallReshapeConv(Reshape reshape, xnn_operator_t op, const Shape& in, size_t* workspace) {
  size_t alignment = 1;
  if constexpr (std::is_invocable_v<Reshape, xnn_operator_t, size_t, size_t, size_t, size_t*,
                                    size_t*, size_t*, size_t*, pthreadpool_t>) {
    return reshape(op, 1, in.height, in.width, workspace, &alignment, nullptr, nullptr, nullptr);
  } else {
    return reshape(op, 1, in.height, in.width, workspace, nullptr, nullptr, nullptr);
  }
}
#endif

// Where an operator reads and writes; it is told only when that changes.
class Addresses {
 public:
  bool Change(const float* in, float* out) {
    if (in == in_ && out == out_) return false;
    in_ = in;
    out_ = out;
    return true;
  }

 private:
  const float* in_ = nullptr;
  float* out_ = nullptr;
};

class ConvOp : public Op {
 public:
  explicit ConvOp(const Shape& in) : in_(in) {}

  absl::Status Create(const ConvGeometry& g, const FloatWeights& weights, int out_channels) {
    const uint32_t padding = g.padding, kernel = g.kernel, stride = g.stride;
    const size_t channels = in_.channels, filters = out_channels;
    const uint32_t one = 1, flags = 0;
    const std::vector<float> ordered = ChannelsLast(weights.kernel, filters, channels, g.kernel);
    const float* bias = weights.bias.empty() ? nullptr : weights.bias.data();
    xnn_status status =
        CallCreate(xnn_create_convolution2d_nhwc_f32, &op_, padding, padding, padding, padding,
                   kernel, kernel, stride, stride, one, one, one, channels, filters, channels,
                   filters, ordered.data(), bias, -kInfinity, kInfinity, flags);
#ifdef DDNN_XNNPACK_HAS_RESHAPE
    if (status != xnn_status_success) return ToStatus(status, "creating a convolution");
    size_t workspace = 0;
    status = CallReshapeConv(xnn_reshape_convolution2d_nhwc_f32, op_.get(), in_, &workspace);
    if (status != xnn_status_success) return ToStatus(status, "shaping a convolution");
    aligned_ = AlignedWorkspace(workspace);
#endif
    return ToStatus(status, "creating a convolution");
  }

  absl::Status Run(const Values& in, Values* out) override {
    if (addresses_.Change(in.floats.data(), out->floats.data())) {
#ifdef DDNN_XNNPACK_HAS_RESHAPE
      const xnn_status set = xnn_setup_convolution2d_nhwc_f32(op_.get(), aligned_, in.floats.data(),
                                                              out->floats.data());
#else
      const xnn_status set = xnn_setup_convolution2d_nhwc_f32(
          op_.get(), 1, in_.height, in_.width, in.floats.data(), out->floats.data(), nullptr);
#endif
      if (set != xnn_status_success) return ToStatus(set, "setting up a convolution");
    }
    return ToStatus(xnn_run_operator(op_.get(), nullptr), "running a convolution");
  }

 private:
  static std::vector<float> ChannelsLast(const std::vector<float>& kernel, size_t filters,
                                         size_t channels, int size) {
    const size_t window = size_t{1} * size * size;
    std::vector<float> ordered(kernel.size());
    for (size_t f = 0; f < filters; ++f) {
      const size_t at = f * channels * window;
      Transpose(&kernel[at], static_cast<int>(channels), static_cast<int>(window), &ordered[at]);
    }
    return ordered;
  }

#ifdef DDNN_XNNPACK_HAS_RESHAPE
  void* AlignedWorkspace(size_t bytes) {
    if (bytes == 0) return nullptr;
    constexpr size_t kAlignment = 64;
    size_t space = bytes + kAlignment;
    workspace_.resize(space);
    void* start = workspace_.data();
    return std::align(kAlignment, bytes, start, space);
  }

  std::vector<char> workspace_;
  void* aligned_ = nullptr;
#endif

  const Shape in_;
  Addresses addresses_;
  Operator op_;
};

class LinearOp : public Op {
 public:
  LinearOp(int inputs, int outputs)
      : inputs_(inputs), outputs_(outputs), input_(inputs + kFloatSlack) {}

  absl::Status Create(const FloatWeights& weights) {
    const uint32_t flags = 0;
    const float* bias = weights.bias.empty() ? nullptr : weights.bias.data();
    xnn_status status =
        CallCreate(xnn_create_fully_connected_nc_f32, &op_, inputs_, outputs_, inputs_, outputs_,
                   weights.kernel.data(), bias, -kInfinity, kInfinity, flags);
#ifdef DDNN_XNNPACK_HAS_RESHAPE
    if (status != xnn_status_success) return ToStatus(status, "creating a linear layer");
    status = xnn_reshape_fully_connected_nc_f32(op_.get(), 1, nullptr);
    if (status != xnn_status_success) return ToStatus(status, "shaping a linear layer");
#endif
    return ToStatus(status, "creating a linear layer");
  }

  absl::Status Run(const Values& in, Values* out) override {
    std::copy_n(in.floats.begin(), inputs_, input_.begin());
    if (addresses_.Change(input_.data(), out->floats.data())) {
#ifdef DDNN_XNNPACK_HAS_RESHAPE
      const xnn_status set =
          xnn_setup_fully_connected_nc_f32(op_.get(), input_.data(), out->floats.data());
#else
      const xnn_status set = xnn_setup_fully_connected_nc_f32(op_.get(), 1, input_.data(),
                                                              out->floats.data(), nullptr);
#endif
      if (set != xnn_status_success) return ToStatus(set, "setting up a linear layer");
    }
    return ToStatus(xnn_run_operator(op_.get(), nullptr), "running a linear layer");
  }

 private:
  const size_t inputs_, outputs_;
  std::vector<float> input_;  // with slack behind it
  Addresses addresses_;
  Operator op_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Op>> MakeFloatConv(const ConvGeometry& geometry,
                                                  const FloatWeights& weights, const Shape& in,
                                                  const Shape& out) {
  absl::Status status = Initialize();
  if (!status.ok()) return status;
  auto op = std::make_unique<ConvOp>(in);
  status = op->Create(geometry, weights, out.channels);
  if (!status.ok()) return status;
  return std::unique_ptr<Op>(std::move(op));
}

absl::StatusOr<std::unique_ptr<Op>> MakeFloatLinear(const FloatWeights& weights, int inputs,
                                                    int outputs) {
  absl::Status status = Initialize();
  if (!status.ok()) return status;
  auto op = std::make_unique<LinearOp>(inputs, outputs);
  status = op->Create(weights);
  if (!status.ok()) return status;
  return std::unique_ptr<Op>(std::move(op));
}

}  // namespace lite
}  // namespace ddnn

#include "runtime/torch/torch_layers.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <string>

#include "runtime/core/feature_codec.h"
#include "runtime/core/float_bytes.h"

namespace ddnn {
namespace {

at::Tensor TensorOf(const std::vector<float>& values, at::IntArrayRef shape) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  TORCH_CHECK(tensor.numel() == static_cast<int64_t>(values.size()), "weights of the wrong size");
  std::copy(values.begin(), values.end(), tensor.data_ptr<float>());
  return tensor;
}

at::Tensor FloatTensor(const std::string& bytes, at::IntArrayRef shape) {
  return TensorOf(FloatsOf(bytes), shape);
}

// Binary weights as -1 and +1.
at::Tensor SignTensor(const std::string& bits, at::IntArrayRef shape) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  float* values = tensor.data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = BitAt(bits, i) ? 1.0f : -1.0f;
  return tensor;
}

at::Tensor Weights(const std::string& bytes, bool binary, at::IntArrayRef shape) {
  return binary ? SignTensor(bytes, shape) : FloatTensor(bytes, shape);
}

// True and false as +1 and -1.
at::Tensor AsSign(const at::Tensor& condition) { return condition.to(at::kFloat).mul_(2).sub_(1); }

}  // namespace

TorchLayers::TorchLayers(const std::vector<LayerSlot>& slots,
                         const google::protobuf::RepeatedPtrField<v1::SectionLayer>& layers) {
  TORCH_CHECK(static_cast<size_t>(layers.size()) == slots.size(), "layers do not fit the plan");
  for (size_t i = 0; i < slots.size(); ++i) {
    layers_.push_back(Make(slots[i], layers[static_cast<int>(i)]));
  }
}

TorchLayers::Layer TorchLayers::Make(const LayerSlot& slot, const v1::SectionLayer& layer) {
  Layer made;
  made.kind = layer.kind_case();
  const int64_t channels = slot.in.shape.channels;
  const auto set_conv = [&](const v1::SectionConv& conv, bool binary) {
    made.kernel = conv.kernel();
    made.stride = std::max(1, conv.stride());
    made.padding = conv.padding();
    made.weight =
        Weights(conv.weights(), binary, {conv.filters(), channels, made.kernel, made.kernel});
    if (!conv.bias().empty()) made.bias = FloatTensor(conv.bias(), {conv.filters()});
  };
  const auto set_linear = [&](const v1::SectionLinear& linear, bool binary) {
    made.weight = Weights(linear.weights(), binary, {linear.outputs(), slot.in.shape.size()});
    if (!linear.bias().empty()) made.bias = FloatTensor(linear.bias(), {linear.outputs()});
  };
  const auto set_pool = [&](const v1::Pool& pool) {
    made.kernel = pool.kernel();
    made.stride = pool.stride() == 0 ? pool.kernel() : pool.stride();
    made.padding = pool.padding();
  };
  switch (made.kind) {
    case v1::SectionLayer::kBinaryConv:
      set_conv(layer.binary_conv(), true);
      break;
    case v1::SectionLayer::kConv:
      set_conv(layer.conv(), false);
      break;
    case v1::SectionLayer::kBinaryLinear:
      set_linear(layer.binary_linear(), true);
      break;
    case v1::SectionLayer::kLinear:
      set_linear(layer.linear(), false);
      break;
    case v1::SectionLayer::kMaxPool:
      set_pool(layer.max_pool());
      break;
    case v1::SectionLayer::kAveragePool:
      set_pool(layer.average_pool());
      break;
    case v1::SectionLayer::kAffine:
      made.weight = FloatTensor(layer.affine().scale(), {1, channels, 1, 1});
      made.bias = FloatTensor(layer.affine().bias(), {1, channels, 1, 1});
      break;
    case v1::SectionLayer::kThreshold: {
      // n >= at as n * unit >= at * unit: both sides are exact, unit being a power of two.
      std::vector<float> bound, flip;
      for (int i = 0; i < layer.threshold().at_size(); ++i) {
        bound.push_back(static_cast<float>(layer.threshold().at(i)) * slot.in.unit);
        const bool turned = !layer.threshold().flip().empty() && BitAt(layer.threshold().flip(), i);
        flip.push_back(turned ? -1.0f : 1.0f);
      }
      made.weight = TensorOf(bound, {1, channels, 1, 1});
      made.flip = TensorOf(flip, {1, channels, 1, 1});
      break;
    }
    default:
      break;
  }
  return made;
}

at::Tensor TorchLayers::Apply(const Layer& layer, const at::Tensor& x) {
  const std::vector<int64_t> kernel(2, layer.kernel), stride(2, layer.stride),
      padding(2, layer.padding);
  switch (layer.kind) {
    case v1::SectionLayer::kBinaryConv:
    case v1::SectionLayer::kConv:
      return at::conv2d(x, layer.weight, layer.bias, stride, padding);
    case v1::SectionLayer::kBinaryLinear:
    case v1::SectionLayer::kLinear:
      return at::linear(x.flatten(1), layer.weight, layer.bias).unsqueeze(-1).unsqueeze(-1);
    case v1::SectionLayer::kAffine:
      // Two operators, so that the product is rounded before the sum.
      return at::add(at::mul(x, layer.weight), layer.bias);
    case v1::SectionLayer::kThreshold:
      return AsSign(at::ge(x, layer.weight)).mul_(layer.flip);
    case v1::SectionLayer::kMaxPool:
      return at::max_pool2d(x, kernel, stride, padding);
    case v1::SectionLayer::kAveragePool:
      return at::avg_pool2d(x, kernel, stride, padding, /*ceil_mode=*/false,
                            /*count_include_pad=*/false);
    case v1::SectionLayer::kSign:
      return AsSign(at::ge(x, 0));
    case v1::SectionLayer::kRelu:
      return at::relu(x);
    case v1::SectionLayer::kFlatten:
      return x.flatten(1).unsqueeze(-1).unsqueeze(-1);
    case v1::SectionLayer::KIND_NOT_SET:
      break;
  }
  TORCH_CHECK(false, "a layer that says nothing");
}

at::Tensor TorchLayers::Forward(at::Tensor x) const {
  for (const Layer& layer : layers_) x = Apply(layer, x);
  return x;
}

}  // namespace ddnn

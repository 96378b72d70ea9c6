#include "tests/engine/reference.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

namespace ddnn {
namespace testing {
namespace {

struct Tensor {
  int c, h, w;
  std::vector<double> v;

  double at(int channel, int y, int x) const { return v[(channel * h + y) * w + x]; }
  bool inside(int y, int x) const { return y >= 0 && y < h && x >= 0 && x < w; }
};

double Float(const std::string& bytes, size_t i) {
  float value;
  std::memcpy(&value, bytes.data() + 4 * i, 4);
  return value;
}

bool Bit(const std::string& bits, size_t i) { return (bits[i / 8] >> (i % 8)) & 1; }

double Weight(const std::string& weights, bool binary, size_t i) {
  if (!binary) return Float(weights, i);
  return Bit(weights, i) ? 1 : -1;
}

Tensor Empty(int c, int h, int w) { return {c, h, w, std::vector<double>(size_t{1} * c * h * w)}; }

int OutputSize(int size, int kernel, int stride, int padding) {
  return (size + 2 * padding - kernel) / stride + 1;
}

Tensor Conv(const v1::SectionConv& layer, bool binary, const Tensor& in) {
  const int k = layer.kernel(), s = std::max(1, layer.stride()), p = layer.padding();
  Tensor out = Empty(layer.filters(), OutputSize(in.h, k, s, p), OutputSize(in.w, k, s, p));
  size_t place = 0;
  for (int f = 0; f < out.c; ++f) {
    for (int y = 0; y < out.h; ++y) {
      for (int x = 0; x < out.w; ++x) {
        double sum = layer.bias().empty() ? 0 : Float(layer.bias(), f);
        for (int i = 0; i < in.c * k * k; ++i) {
          const int c = i / (k * k), iy = y * s - p + i / k % k, ix = x * s - p + i % k;
          if (!in.inside(iy, ix)) continue;
          sum +=
              in.at(c, iy, ix) * Weight(layer.weights(), binary, size_t{1} * f * in.c * k * k + i);
        }
        out.v[place++] = sum;
      }
    }
  }
  return out;
}

Tensor Linear(const v1::SectionLinear& layer, bool binary, const Tensor& in) {
  Tensor out = Empty(layer.outputs(), 1, 1);
  for (int o = 0; o < out.c; ++o) {
    double sum = layer.bias().empty() ? 0 : Float(layer.bias(), o);
    for (size_t i = 0; i < in.v.size(); ++i) {
      sum += in.v[i] * Weight(layer.weights(), binary, o * in.v.size() + i);
    }
    out.v[o] = sum;
  }
  return out;
}

Tensor Pool(const v1::Pool& layer, bool max, const Tensor& in) {
  const int k = layer.kernel(), s = layer.stride() == 0 ? k : layer.stride(), p = layer.padding();
  Tensor out = Empty(in.c, OutputSize(in.h, k, s, p), OutputSize(in.w, k, s, p));
  size_t place = 0;
  for (int c = 0; c < out.c; ++c) {
    for (int y = 0; y < out.h; ++y) {
      for (int x = 0; x < out.w; ++x) {
        double largest = -std::numeric_limits<double>::infinity(), sum = 0;
        int count = 0;
        for (int i = 0; i < k * k; ++i) {
          const int iy = y * s - p + i / k, ix = x * s - p + i % k;
          if (!in.inside(iy, ix)) continue;
          largest = std::max(largest, in.at(c, iy, ix));
          sum += in.at(c, iy, ix);
          ++count;
        }
        out.v[place++] = max ? largest : sum / count;
      }
    }
  }
  return out;
}

template <typename Function>
Tensor ByChannel(Tensor in, Function function) {
  const size_t plane = size_t{1} * in.h * in.w;
  for (size_t i = 0; i < in.v.size(); ++i) in.v[i] = function(i / plane, in.v[i]);
  return in;
}

Tensor Affine(const v1::Affine& layer, const Tensor& in) {
  return ByChannel(in, [&](size_t c, double x) -> double {
    // In float, as the format says.
    const float product = static_cast<float>(x) * static_cast<float>(Float(layer.scale(), c));
    return product + static_cast<float>(Float(layer.bias(), c));
  });
}

Tensor Threshold(const v1::Threshold& layer, const Tensor& in) {
  const double unit = layer.unit() == 0 ? 1 : layer.unit();
  return ByChannel(in, [&](size_t c, double x) -> double {
    const bool flip = !layer.flip().empty() && Bit(layer.flip(), c);
    return (x / unit >= layer.at(static_cast<int>(c))) != flip ? 1 : -1;
  });
}

Tensor Apply(const v1::SectionLayer& layer, const Tensor& in) {
  switch (layer.kind_case()) {
    case v1::SectionLayer::kBinaryConv:
      return Conv(layer.binary_conv(), true, in);
    case v1::SectionLayer::kConv:
      return Conv(layer.conv(), false, in);
    case v1::SectionLayer::kBinaryLinear:
      return Linear(layer.binary_linear(), true, in);
    case v1::SectionLayer::kLinear:
      return Linear(layer.linear(), false, in);
    case v1::SectionLayer::kAffine:
      return Affine(layer.affine(), in);
    case v1::SectionLayer::kThreshold:
      return Threshold(layer.threshold(), in);
    case v1::SectionLayer::kMaxPool:
      return Pool(layer.max_pool(), true, in);
    case v1::SectionLayer::kAveragePool:
      return Pool(layer.average_pool(), false, in);
    case v1::SectionLayer::kSign:
      return ByChannel(in, [](size_t, double x) { return x >= 0 ? 1.0 : -1.0; });
    case v1::SectionLayer::kRelu:
      return ByChannel(in, [](size_t, double x) { return x > 0 ? x : 0.0; });
    case v1::SectionLayer::kFlatten:
      return {static_cast<int>(in.v.size()), 1, 1, in.v};
    case v1::SectionLayer::KIND_NOT_SET:
      break;
  }
  return in;
}

std::vector<float> AsFloats(const Tensor& t) { return {t.v.begin(), t.v.end()}; }

}  // namespace

ReferenceOutput RunReference(const NetworkPlan& plan, const NodePlan& node,
                             const v1::Section& section, const SectionInput& input) {
  const Shape& s = node.input.shape;
  Tensor x = Empty(s.channels, s.height, s.width);
  const v1::Input& camera = plan.spec().input();
  for (size_t i = 0; i < x.v.size(); ++i) {
    // In float: with a scale that is no power of two the product is rounded.
    x.v[i] =
        node.tier == 0
            ? static_cast<float>(static_cast<unsigned char>(input.pixels[i]) - camera.offset()) *
                  camera.scale()
            : input.values[i];
  }
  for (const v1::SectionLayer& layer : section.body()) x = Apply(layer, x);
  ReferenceOutput output;
  output.features = AsFloats(x);
  for (const v1::SectionLayer& layer : section.head()) x = Apply(layer, x);
  if (section.head_size() > 0) output.scores = AsFloats(x);
  return output;
}

std::vector<float> RunReferenceScores(const v1::Section& section,
                                      const std::vector<float>& joined) {
  Tensor x{static_cast<int>(joined.size()), 1, 1, {joined.begin(), joined.end()}};
  for (const v1::SectionLayer& layer : section.scores()) x = Apply(layer, x);
  return AsFloats(x);
}

}  // namespace testing
}  // namespace ddnn

#include "train/layer_stack.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "runtime/core/float_bytes.h"
#include "runtime/core/fold.h"
#include "train/binary_linear.h"
#include "train/norm_block.h"

namespace ddnn::train {
namespace {

constexpr double kDefaultMomentum = 0.1;

using Kind = v1::Layer::KindCase;

int Or(int value, int otherwise) { return value > 0 ? value : otherwise; }

double Momentum(const v1::BatchNorm& norm) {
  return norm.has_momentum() ? norm.momentum() : kDefaultMomentum;
}

const v1::Conv& ConvOf(const v1::Layer& layer) {
  return layer.kind_case() == Kind::kBinaryConv ? layer.binary_conv() : layer.conv();
}

const v1::Pool& PoolOf(const v1::Layer& layer) {
  return layer.kind_case() == Kind::kMaxPool ? layer.max_pool() : layer.average_pool();
}

at::Tensor Slice(const at::Tensor& t, int group, int groups) {
  const int64_t each = t.size(0) / groups;
  return t.detach().narrow(0, group * each, each).to(at::kCPU).contiguous();
}

std::vector<float> Values(const at::Tensor& t) {
  const float* data = t.data_ptr<float>();
  return std::vector<float>(data, data + t.numel());
}

std::string SignBits(const std::vector<float>& weights) {
  std::string bytes((weights.size() + 7) / 8, '\0');
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] >= 0) bytes[i / 8] |= static_cast<char>(1 << (i % 8));
  }
  return bytes;
}

BatchNormValues NormValues(const at::Tensor& gamma, const at::Tensor& beta, const at::Tensor& mean,
                           const at::Tensor& variance, int group, int groups, double epsilon) {
  BatchNormValues values;
  values.gamma = Values(Slice(gamma, group, groups));
  values.beta = Values(Slice(beta, group, groups));
  values.mean = Values(Slice(mean, group, groups));
  values.variance = Values(Slice(variance, group, groups));
  values.epsilon = epsilon;
  return values;
}

// 1-d per-channel values as a tensor that broadcasts over [B, C, H, W].
at::Tensor PerChannel(const std::vector<float>& values, const at::Tensor& like) {
  return at::tensor(values, at::kFloat)
      .to(like.device())
      .view({1, static_cast<int64_t>(values.size()), 1, 1});
}

}  // namespace

LayerStack::LayerStack(std::vector<v1::Layer> layers, const ValueType& input,
                       const std::vector<ValueType>& types, int groups)
    : groups_(groups) {
  ValueType before = input;
  for (size_t i = 0; i < layers.size(); ++i) {
    Step step;
    step.layer = std::move(layers[i]);
    step.input = before;
    step.output = before = types[i];
    Prepare(&step);
    steps_.push_back(std::move(step));
  }
  // As in the section file: dropout is gone there, so it does not come between the two.
  Step* norm = nullptr;
  for (Step& step : steps_) {
    if (step.layer.kind_case() == Kind::kDropout) continue;
    if (norm != nullptr && step.layer.kind_case() == Kind::kSign) norm->folds_sign = true;
    const bool over_integers =
        step.layer.kind_case() == Kind::kBatchNorm && step.input.kind == ValueKind::kInteger;
    norm = over_integers ? &step : nullptr;
  }
  blocks_.resize(steps_.size());
  for (size_t i = 0; i < steps_.size(); ++i) {
    blocks_[i].steps = PlanBlock(i, &blocks_[i].shape);
  }
  for (size_t i = 0; i < steps_.size(); i += std::max<size_t>(blocks_[i].steps, 1)) {
    ends_in_block_ = blocks_[i].steps > 0;
  }
}

bool LayerStack::ZeroesAbsent(const at::Tensor& x, bool training) const {
  return ends_in_block_ && training && x.is_cpu();
}

void LayerStack::TakePixels(double offset, double scale) {
  pixels_ = true;
  offset_ = offset;
  scale_ = scale;
  if (blocks_.empty()) return;
  blocks_[0].shape.offset = offset;
  blocks_[0].shape.scale = scale;
}

void LayerStack::JoinRanks(Ranks* ranks) {
  ranks_ = ranks;
  for (Block& block : blocks_) block.shape.ranks = ranks;
}

Activation LayerStack::ActivationAt(size_t i) const {
  const Kind kind = i < steps_.size() ? steps_[i].layer.kind_case() : Kind::KIND_NOT_SET;
  if (kind == Kind::kSign) return Activation::kSign;
  return kind == Kind::kRelu ? Activation::kRelu : Activation::kNone;
}

size_t LayerStack::PlanBlock(size_t first, ConvBlockShape* shape) const {
  const auto kind = [&](size_t i) {
    return i < steps_.size() ? steps_[i].layer.kind_case() : Kind::KIND_NOT_SET;
  };
  size_t i = first;
  if (kind(i) != Kind::kBinaryConv) return 0;
  const v1::Conv& conv = steps_[i].layer.binary_conv();
  if (Or(conv.stride(), 1) != 1) return 0;
  shape->groups = groups_;
  shape->channels = steps_[i].input.shape.channels;
  shape->filters = conv.filters();
  shape->kernel = conv.kernel();
  shape->padding = conv.padding();
  ++i;
  if (kind(i) == Kind::kMaxPool) {
    const v1::Pool& pool = steps_[i++].layer.max_pool();
    shape->pool_kernel = pool.kernel();
    shape->pool_stride = Or(pool.stride(), pool.kernel());
    shape->pool_padding = pool.padding();
  }
  if (kind(i) != Kind::kBatchNorm) return 0;
  shape->momentum = Momentum(steps_[i].layer.batch_norm());
  shape->epsilon = Epsilon(steps_[i++].layer.batch_norm());
  shape->activation = ActivationAt(i);
  if (shape->activation != Activation::kNone) ++i;
  const Shape& in = steps_[first].input.shape;
  return FitsConvBlock(*shape, in.height, in.width) ? i - first : 0;
}

void LayerStack::Prepare(Step* step) const {
  const Kind kind = step->layer.kind_case();
  step->binary = kind == Kind::kBinaryConv || kind == Kind::kBinaryLinear;
  const auto draw = [&](std::vector<int64_t> shape, int64_t fan_in, bool binary) {
    const double bound = binary ? kBinaryInit : 1 / std::sqrt(static_cast<double>(fan_in));
    return at::empty(shape, at::kFloat).uniform_(-bound, bound).requires_grad_();
  };
  if (kind == Kind::kBinaryConv || kind == Kind::kConv) {
    const v1::Conv& conv = ConvOf(step->layer);
    const int64_t channels = step->input.shape.channels, kernel = conv.kernel();
    const int64_t fan_in = channels * kernel * kernel, filters = groups_ * conv.filters();
    step->weight = draw({filters, channels, kernel, kernel}, fan_in, step->binary);
    if (!step->binary) step->bias = draw({filters}, fan_in, false);
  } else if (kind == Kind::kBinaryLinear || kind == Kind::kLinear) {
    const int64_t inputs = step->input.shape.size(), outputs = step->output.shape.size();
    step->weight = draw({groups_, outputs, inputs}, inputs, step->binary);
    if (!step->binary) step->bias = draw({groups_, outputs}, inputs, false);
  } else if (kind == Kind::kBatchNorm) {
    const int64_t channels = groups_ * step->input.shape.channels;
    step->gamma = at::ones({channels}, at::kFloat).requires_grad_();
    step->beta = at::zeros({channels}, at::kFloat).requires_grad_();
    step->mean = at::zeros({channels}, at::kFloat);
    step->variance = at::ones({channels}, at::kFloat);
  }
}

at::Tensor LayerStack::Forward(at::Tensor x, const at::Tensor& mask, bool training) const {
  bool signed_already = false;
  const auto in_units = [&](const at::Tensor& t) {
    if (!pixels_ || t.scalar_type() != at::kByte) return t;
    return (t.to(at::kFloat) - static_cast<float>(offset_)).mul_(scale_);
  };
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    const Kind kind = step.layer.kind_case();
    if (training && blocks_[i].steps > 0 && x.is_cpu()) {
      const bool pooled = blocks_[i].shape.pool_kernel > 0;
      const Step& norm = steps_[i + (pooled ? 2 : 1)];
      x = ConvBlock(blocks_[i].shape, x, mask, step.weight, norm.gamma, norm.beta, norm.mean,
                    norm.variance);
      i += blocks_[i].steps - 1;
    } else if (kind == Kind::kBatchNorm && training && FitsNormBlock(x)) {
      NormShape shape{ActivationAt(i + 1), false, Momentum(step.layer.batch_norm()),
                      Epsilon(step.layer.batch_norm()), ranks_};
      if (shape.activation != Activation::kNone) ++i;
      shape.planes = i + 1 < steps_.size() && blocks_[i + 1].steps > 0;
      x = NormBlock(shape, x, mask, step.gamma, step.beta, step.mean, step.variance);
    } else if (kind == Kind::kBatchNorm && !training) {
      x = in_units(x);
      if (adopting_) AdoptStatistics(step, x, mask);
      x = ApplyFolded(step, x);
      signed_already = step.folds_sign;
    } else if (kind == Kind::kSign && signed_already) {
      signed_already = false;
    } else {
      x = Apply(step, in_units(x), mask, training);
    }
  }
  // No copy where it is float already.
  return in_units(x).to(at::kFloat);
}

at::Tensor LayerStack::Apply(const Step& step, const at::Tensor& x, const at::Tensor& mask,
                             bool training) const {
  switch (step.layer.kind_case()) {
    case Kind::kBinaryConv:
    case Kind::kConv:
      return ApplyConv(step, x, training);
    case Kind::kBinaryLinear:
    case Kind::kLinear:
      return ApplyLinear(step, x);
    case Kind::kBatchNorm: {
      const v1::BatchNorm& norm = step.layer.batch_norm();
      return MaskedBatchNorm(x, mask, step.gamma, step.beta, step.mean, step.variance,
                             Momentum(norm), Epsilon(norm), ranks_);
    }
    case Kind::kMaxPool:
    case Kind::kAveragePool: {
      const v1::Pool& pool = PoolOf(step.layer);
      const int64_t kernel = pool.kernel(), stride = Or(pool.stride(), pool.kernel());
      if (step.layer.kind_case() == Kind::kMaxPool) {
        return at::max_pool2d(x, {kernel, kernel}, {stride, stride},
                              {pool.padding(), pool.padding()});
      }
      return at::avg_pool2d(x, {kernel, kernel}, {stride, stride}, {pool.padding(), pool.padding()},
                            /*ceil_mode=*/false,
                            /*count_include_pad=*/false);
    }
    case Kind::kSign:
      return SignSte(x);
    case Kind::kRelu:
      return at::relu(x);
    case Kind::kFlatten:
      return x.reshape({x.size(0), groups_ * step.output.shape.size(), 1, 1});
    case Kind::kDropout:
      return at::dropout(x, step.layer.dropout().probability(), training);
    case Kind::KIND_NOT_SET:
      break;
  }
  return x;  // a checked plan has no such layer
}

at::Tensor LayerStack::ApplyConv(const Step& step, const at::Tensor& x, bool training) const {
  const v1::Conv& conv = ConvOf(step.layer);
  const std::vector<int64_t> stride(2, Or(conv.stride(), 1)), padding(2, conv.padding());
  const std::vector<int64_t> dilation(2, 1);
  // Sums of binary layers are integers; a bfloat16 would round them.
  const bool half = training && !step.binary && precision_ == v1::BFLOAT16;
  const at::ScalarType type = half ? at::kBFloat16 : at::kFloat;
  const at::Tensor weight = step.binary ? SignSte(step.weight) : step.weight.to(type);
  const at::Tensor bias = step.bias.defined() ? step.bias.to(type) : step.bias;
  return at::conv2d(x.to(type).contiguous(at::MemoryFormat::ChannelsLast), weight, bias,
                    at::IntArrayRef(stride), at::IntArrayRef(padding), at::IntArrayRef(dilation),
                    groups_);
}

at::Tensor LayerStack::ApplyLinear(const Step& step, const at::Tensor& input) const {
  const at::Tensor x = input.to(at::kFloat);
  if (step.binary && x.is_cpu()) return BinaryLinearBlock(x, step.weight);
  const at::Tensor weight = step.binary ? SignSte(step.weight) : step.weight;
  const int64_t batch = x.size(0), inputs = step.input.shape.size();
  // A (grouped) convolution of one pixel is this product too. oneDNN computes it several times as
  // fast as the distribution's reference BLAS and bmm do.
  const std::vector<int64_t> one(2, 1), zero(2, 0);
  return at::conv2d(x.reshape({batch, groups_ * inputs, 1, 1}), weight.reshape({-1, inputs, 1, 1}),
                    step.bias.defined() ? step.bias.flatten() : at::Tensor(), at::IntArrayRef(one),
                    at::IntArrayRef(zero), at::IntArrayRef(one), groups_);
}

at::Tensor LayerStack::ApplyFolded(const Step& step, const at::Tensor& x) const {
  std::vector<float> first, second;
  for (int g = 0; g < groups_; ++g) {
    const v1::SectionLayer layer = ExportStep(step, g);
    if (step.folds_sign) {
      const v1::Threshold& folded = layer.threshold();
      const float unit = folded.unit() == 0 ? 1.0f : folded.unit();
      for (int c = 0; c < folded.at_size(); ++c) {
        first.push_back(static_cast<float>(folded.at(c)) * unit);
        const bool flips = !folded.flip().empty() && (folded.flip()[c / 8] >> (c % 8) & 1);
        second.push_back(flips ? -1.0f : 1.0f);
      }
    } else {
      const std::vector<float> scale = FloatsOf(layer.affine().scale());
      const std::vector<float> bias = FloatsOf(layer.affine().bias());
      first.insert(first.end(), scale.begin(), scale.end());
      second.insert(second.end(), bias.begin(), bias.end());
    }
  }
  const at::Tensor a = PerChannel(first, x), b = PerChannel(second, x);
  if (step.folds_sign) return (x >= a).to(at::kFloat).mul_(2).sub_(1).mul_(b);
  return (x * a).add_(b);
}

std::vector<at::Tensor> LayerStack::parameters() const {
  std::vector<at::Tensor> all;
  for (const Step& step : steps_) {
    for (const at::Tensor& t : {step.weight, step.bias, step.gamma, step.beta}) {
      if (t.defined()) all.push_back(t);
    }
  }
  return all;
}

void LayerStack::To(const c10::Device& device) {
  for (Step& step : steps_) {
    for (at::Tensor* t : {&step.weight, &step.bias, &step.gamma, &step.beta}) {
      if (t->defined()) *t = t->detach().to(device).requires_grad_();
    }
    for (at::Tensor* t : {&step.mean, &step.variance}) {
      if (t->defined()) *t = t->to(device);
    }
  }
}

std::vector<v1::SectionLayer> LayerStack::Export(int group) const {
  std::vector<v1::SectionLayer> layers;
  bool signed_already = false;
  for (const Step& step : steps_) {
    const Kind kind = step.layer.kind_case();
    if (kind == Kind::kDropout) continue;
    if (kind == Kind::kSign && signed_already) {
      signed_already = false;
      continue;
    }
    layers.push_back(ExportStep(step, group));
    signed_already = kind == Kind::kBatchNorm && step.folds_sign;
  }
  return layers;
}

v1::SectionLayer LayerStack::ExportStep(const Step& step, int group) const {
  v1::SectionLayer out;
  const Kind kind = step.layer.kind_case();
  const auto weights = [&] {
    const std::vector<float> values = Values(Slice(step.weight, group, groups_));
    return step.binary ? SignBits(values) : FloatBytes(values);
  };
  if (kind == Kind::kBinaryConv || kind == Kind::kConv) {
    const v1::Conv& conv = ConvOf(step.layer);
    v1::SectionConv* to = step.binary ? out.mutable_binary_conv() : out.mutable_conv();
    to->set_filters(conv.filters());
    to->set_kernel(conv.kernel());
    to->set_stride(Or(conv.stride(), 1));
    to->set_padding(conv.padding());
    to->set_weights(weights());
    if (step.bias.defined()) to->set_bias(FloatBytes(Values(Slice(step.bias, group, groups_))));
  } else if (kind == Kind::kBinaryLinear || kind == Kind::kLinear) {
    v1::SectionLinear* to = step.binary ? out.mutable_binary_linear() : out.mutable_linear();
    to->set_outputs(step.output.shape.size());
    to->set_weights(weights());
    if (step.bias.defined()) to->set_bias(FloatBytes(Values(Slice(step.bias, group, groups_))));
  } else if (kind == Kind::kBatchNorm) {
    const BatchNormValues values = NormValues(step.gamma, step.beta, step.mean, step.variance,
                                              group, groups_, Epsilon(step.layer.batch_norm()));
    if (step.folds_sign) {
      *out.mutable_threshold() = FoldThreshold(values, step.input.unit);
    } else {
      *out.mutable_affine() = FoldAffine(values);
    }
  } else if (kind == Kind::kMaxPool || kind == Kind::kAveragePool) {
    v1::Pool* to = kind == Kind::kMaxPool ? out.mutable_max_pool() : out.mutable_average_pool();
    *to = PoolOf(step.layer);
    to->set_stride(Or(to->stride(), to->kernel()));
  } else if (kind == Kind::kSign) {
    out.mutable_sign();
  } else if (kind == Kind::kRelu) {
    out.mutable_relu();
  } else if (kind == Kind::kFlatten) {
    out.mutable_flatten();
  }
  return out;
}

v1::SectionLayer ExportFloatLinear(const at::Tensor& weight, const at::Tensor& bias) {
  v1::SectionLayer out;
  out.mutable_linear()->set_outputs(static_cast<int>(weight.size(0)));
  out.mutable_linear()->set_weights(FloatBytes(Values(Slice(weight, 0, 1))));
  out.mutable_linear()->set_bias(FloatBytes(Values(Slice(bias, 0, 1))));
  return out;
}

}  // namespace ddnn::train

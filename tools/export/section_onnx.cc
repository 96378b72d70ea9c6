#include "tools/export/section_onnx.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "models/section_layout.h"
#include "runtime/core/feature_codec.h"
#include "runtime/core/float_bytes.h"

namespace ddnn {
namespace {

std::vector<float> Weights(const std::string& bytes, bool binary, int64_t count) {
  if (!binary) return FloatsOf(bytes);
  std::vector<float> weights(static_cast<size_t>(count));
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = BitAt(bytes, i) ? 1.0f : -1.0f;
  return weights;
}

// Appends layers to a value, which is [batch, C, H, W], or [batch, C * H * W] behind Flatten.
class LayerChain {
 public:
  LayerChain(OnnxGraph* graph, std::string value, const Shape& shape, bool flat)
      : graph_(graph), value_(std::move(value)), shape_(shape), flat_(flat) {}

  void Append(const LayerSlot& slot, const v1::SectionLayer& layer) {
    // Spaces are allowed in ONNX names, but not liked by all who read them.
    name_ = absl::StrReplaceAll(slot.name, {{" ", "_"}});
    switch (layer.kind_case()) {
      case v1::SectionLayer::kBinaryConv:
        AddConv(layer.binary_conv(), true);
        break;
      case v1::SectionLayer::kConv:
        AddConv(layer.conv(), false);
        break;
      case v1::SectionLayer::kBinaryLinear:
        AddLinear(layer.binary_linear(), true);
        break;
      case v1::SectionLayer::kLinear:
        AddLinear(layer.linear(), false);
        break;
      case v1::SectionLayer::kAffine:
        AddAffine(layer.affine());
        break;
      case v1::SectionLayer::kThreshold:
        AddThreshold(layer.threshold());
        break;
      case v1::SectionLayer::kMaxPool:
        AddPool("MaxPool", layer.max_pool());
        break;
      case v1::SectionLayer::kAveragePool:
        AddPool("AveragePool", layer.average_pool());
        graph_->SetInt("count_include_pad", 0);
        break;
      case v1::SectionLayer::kSign:
        AddSign();
        break;
      case v1::SectionLayer::kRelu:
        value_ = Add("Relu", {value_});
        break;
      case v1::SectionLayer::kFlatten:
        Flatten();
        break;
      case v1::SectionLayer::KIND_NOT_SET:
        break;  // CheckSection refuses it
    }
    shape_ = slot.out.shape;
  }

  void Flatten() {
    if (flat_) return;
    value_ = Add("Flatten", {value_});
    flat_ = true;
  }
  void Unflatten() {
    if (!flat_) return;
    // 0 keeps the batch size.
    const std::string shape = graph_->AddInts(absl::StrCat(name_, "/shape"),
                                              {0, shape_.channels, shape_.height, shape_.width});
    value_ = Add("Reshape", {value_, shape});
    flat_ = false;
  }

  const std::string& value() const { return value_; }

 private:
  std::string Add(const std::string& op, const std::vector<std::string>& inputs) {
    return graph_->Add(op, absl::StrCat(name_, "/", op), inputs);
  }
  std::string Constant(const char* what, const std::vector<int64_t>& dims,
                       const std::vector<float>& values) {
    return graph_->AddFloats(absl::StrCat(name_, "/", what), dims, values);
  }
  // [C, 1, 1], which OpenCV takes for any batch; with a 1 in front it does not.
  std::string PerChannel(const char* what, const std::vector<float>& values) {
    return Constant(what, {static_cast<int64_t>(values.size()), 1, 1}, values);
  }

  template <typename Layer>
  void AddWindow(const Layer& layer, int64_t stride) {
    graph_->SetInts("kernel_shape", {layer.kernel(), layer.kernel()});
    graph_->SetInts("strides", {stride, stride});
    const int64_t pad = layer.padding();
    graph_->SetInts("pads", {pad, pad, pad, pad});
  }

  void AddConv(const v1::SectionConv& conv, bool binary) {
    Unflatten();
    const std::vector<int64_t> dims = {conv.filters(), shape_.channels, conv.kernel(),
                                       conv.kernel()};
    std::vector<std::string> inputs = {
        value_, Constant("weights", dims,
                         Weights(conv.weights(), binary, dims[0] * dims[1] * dims[2] * dims[3]))};
    if (!conv.bias().empty()) {
      inputs.push_back(Constant("bias", {conv.filters()}, FloatsOf(conv.bias())));
    }
    value_ = Add("Conv", inputs);
    AddWindow(conv, std::max(1, conv.stride()));
  }

  void AddLinear(const v1::SectionLinear& linear, bool binary) {
    Flatten();
    const std::vector<int64_t> dims = {linear.outputs(), shape_.size()};
    std::vector<std::string> inputs = {
        value_, Constant("weights", dims, Weights(linear.weights(), binary, dims[0] * dims[1]))};
    if (!linear.bias().empty()) {
      inputs.push_back(Constant("bias", {linear.outputs()}, FloatsOf(linear.bias())));
    }
    value_ = Add("Gemm", inputs);
    graph_->SetInt("transB", 1);
  }

  void AddAffine(const v1::Affine& affine) {
    Unflatten();
    value_ = Add("Mul", {value_, PerChannel("scale", FloatsOf(affine.scale()))});
    value_ = Add("Add", {value_, PerChannel("bias", FloatsOf(affine.bias()))});
  }

  // Over integers n * unit, n >= at is the sign of n - at + 1/2, which is never 0. In two steps,
  // each of which keeps that sign whatever it rounds; no operator for booleans is needed.
  void AddThreshold(const v1::Threshold& threshold) {
    Unflatten();
    const float unit = threshold.unit() == 0 ? 1.0f : threshold.unit();
    std::vector<float> at, turn;
    bool turned = false;
    for (int c = 0; c < threshold.at_size(); ++c) {
      at.push_back(static_cast<float>(threshold.at(c)) * unit);
      const bool flip = !threshold.flip().empty() && BitAt(threshold.flip(), c);
      turn.push_back(flip ? -1.0f : 1.0f);
      turned = turned || flip;
    }
    value_ = Add("Sub", {value_, PerChannel("at", at)});
    value_ = Add("Add", {value_, PerChannel("half", std::vector<float>(at.size(), unit / 2))});
    if (turned) value_ = Add("Mul", {value_, PerChannel("turn", turn)});
    value_ = Add("Sign", {value_});
  }

  void AddPool(const char* op, const v1::Pool& pool) {
    Unflatten();
    value_ = Add(op, {value_});
    AddWindow(pool, pool.stride() == 0 ? pool.kernel() : pool.stride());
  }

  // ONNX has Sign(0) = 0; half a step up, and the second one makes it +1.
  void AddSign() {
    Unflatten();
    value_ = Add("Sign", {value_});
    value_ =
        Add("Add", {value_, PerChannel("half", std::vector<float>(
                                                   static_cast<size_t>(shape_.channels), 0.5f))});
    value_ = Add("Sign", {value_});
  }

  OnnxGraph* const graph_;
  std::string value_;
  Shape shape_;
  bool flat_;
  std::string name_ = "section";
};

std::string GraphName(const v1::Section& section) {
  return absl::StrCat(section.network(), ".", section.tier(), ".", section.node());
}

// x = (pixel - offset) * scale
std::string AddPixels(OnnxGraph* graph, const v1::Input& input, const Shape& shape) {
  graph->AddInput("pixels", shape);
  const std::vector<int64_t> dims = {shape.channels, 1, 1};
  const std::vector<float> offset(static_cast<size_t>(shape.channels),
                                  static_cast<float>(input.offset()));
  const std::vector<float> scale(static_cast<size_t>(shape.channels), input.scale());
  const std::string centred =
      graph->Add("Sub", "input/Sub", {"pixels", graph->AddFloats("input/offset", dims, offset)});
  return graph->Add("Mul", "input/Mul", {centred, graph->AddFloats("input/scale", dims, scale)});
}

}  // namespace

OnnxGraph SectionGraph(const NetworkPlan& plan, const v1::Section& section) {
  const int tier = *plan.FindTier(section.tier());
  const NodePlan& node = plan.node(tier, section.node());
  const SectionLayout layout = LayOutSection(plan, tier, section.node());
  OnnxGraph graph(GraphName(section));
  std::string value = "joined";
  if (tier == 0) {
    value = AddPixels(&graph, plan.spec().input(), node.input.shape);
  } else {
    graph.AddInput(value, node.input.shape);
  }
  LayerChain chain(&graph, value, node.input.shape, /*flat=*/false);
  for (size_t i = 0; i < layout.body.size(); ++i) {
    chain.Append(layout.body[i], section.body(static_cast<int>(i)));
  }
  chain.Unflatten();
  const std::string features = graph.Rename(chain.value(), "features");
  const Shape shape = layout.body.empty() ? node.input.shape : layout.body.back().out.shape;
  graph.AddOutput(features, shape);
  if (layout.head.empty()) return graph;

  LayerChain head(&graph, features, shape, /*flat=*/false);
  for (size_t i = 0; i < layout.head.size(); ++i) {
    head.Append(layout.head[i], section.head(static_cast<int>(i)));
  }
  head.Flatten();
  graph.AddOutput(graph.Rename(head.value(), "scores"), layout.head.back().out.shape,
                  /*flat=*/true);
  return graph;
}

OnnxGraph ScoresGraph(const NetworkPlan& plan, const v1::Section& section) {
  const int tier = *plan.FindTier(section.tier());
  const LayerSlot slot = LayOutSection(plan, tier, section.node()).scores.front();
  OnnxGraph graph(absl::StrCat(GraphName(section), ".scores"));
  graph.AddInput("joined_scores", slot.in.shape, /*flat=*/true);
  LayerChain chain(&graph, "joined_scores", slot.in.shape, /*flat=*/true);
  chain.Append(slot, section.scores(0));
  graph.AddOutput(graph.Rename(chain.value(), "scores"), slot.out.shape, /*flat=*/true);
  return graph;
}

}  // namespace ddnn

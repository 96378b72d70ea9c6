#ifndef DDNN_TOOLS_EXPORT_ONNX_GRAPH_H_
#define DDNN_TOOLS_EXPORT_ONNX_GRAPH_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "models/network_plan.h"
#include "onnx/onnx_pb.h"

namespace ddnn {

/// Who wrote a model, in its producer_name.
inline constexpr char kOnnxProducer[] = "ddnn-export";

/// Writes one ONNX model (opset 13) node by node. Values are named; all are float32.
class OnnxGraph {
 public:
  explicit OnnxGraph(const std::string& name);

  /// An input or output [batch, C, H, W], or [batch, C] if `flat`; the batch size is left open.
  void AddInput(const std::string& name, const Shape& shape, bool flat = false);
  void AddOutput(const std::string& name, const Shape& shape, bool flat = false);

  /// Appends a node and gives the name of its one output: `name`, with a number behind it if there
  /// was one like it.
  std::string Add(const std::string& op, const std::string& name,
                  const std::vector<std::string>& inputs);
  /// Attributes of the node appended last.
  void SetInt(const std::string& attribute, int64_t value);
  void SetInts(const std::string& attribute, const std::vector<int64_t>& values);

  /// A constant; gives its name.
  std::string AddFloats(const std::string& name, const std::vector<int64_t>& dims,
                        absl::Span<const float> values);
  std::string AddInts(const std::string& name, const std::vector<int64_t>& values);

  /// Gives the value a name of its own, as an output needs.
  std::string Rename(const std::string& value, const std::string& name);

  void AddMetadata(const std::string& key, const std::string& value);

  /// The model so far. 2 GiB is the most that a protobuf message can have; no section comes near.
  const onnx::ModelProto& model() const { return model_; }

 private:
  std::string Unique(const std::string& name);
  void Describe(onnx::ValueInfoProto* info, const std::string& name, const Shape& shape, bool flat);

  onnx::GraphProto* graph() { return model_.mutable_graph(); }

  onnx::ModelProto model_;
  std::set<std::string> names_;
};

}  // namespace ddnn

#endif  // DDNN_TOOLS_EXPORT_ONNX_GRAPH_H_

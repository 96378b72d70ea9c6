#include "tools/export/onnx_graph.h"

#include "absl/strings/str_cat.h"
#include "runtime/core/float_bytes.h"

namespace ddnn {
namespace {

constexpr int kOpset = 13;
constexpr int kIrVersion = 7;  // the one that opset 13 came with

}  // namespace

OnnxGraph::OnnxGraph(const std::string& name) {
  model_.set_ir_version(kIrVersion);
  model_.set_producer_name(kOnnxProducer);
  onnx::OperatorSetIdProto* opset = model_.add_opset_import();
  opset->set_domain("");
  opset->set_version(kOpset);
  graph()->set_name(name);
}

void OnnxGraph::Describe(onnx::ValueInfoProto* info, const std::string& name, const Shape& shape,
                         bool flat) {
  info->set_name(name);
  onnx::TypeProto::Tensor* tensor = info->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(onnx::TensorProto::FLOAT);
  tensor->mutable_shape()->add_dim()->set_dim_param("batch");
  tensor->mutable_shape()->add_dim()->set_dim_value(flat ? shape.size() : shape.channels);
  if (flat) return;
  tensor->mutable_shape()->add_dim()->set_dim_value(shape.height);
  tensor->mutable_shape()->add_dim()->set_dim_value(shape.width);
}

void OnnxGraph::AddInput(const std::string& name, const Shape& shape, bool flat) {
  names_.insert(name);
  Describe(graph()->add_input(), name, shape, flat);
}

void OnnxGraph::AddOutput(const std::string& name, const Shape& shape, bool flat) {
  Describe(graph()->add_output(), name, shape, flat);
}

std::string OnnxGraph::Unique(const std::string& name) {
  std::string unique = name;
  for (int i = 2; !names_.insert(unique).second; ++i) unique = absl::StrCat(name, "_", i);
  return unique;
}

std::string OnnxGraph::Add(const std::string& op, const std::string& name,
                           const std::vector<std::string>& inputs) {
  onnx::NodeProto* node = graph()->add_node();
  node->set_op_type(op);
  for (const std::string& input : inputs) node->add_input(input);
  node->add_output(Unique(name));
  node->set_name(node->output(0));
  return node->output(0);
}

void OnnxGraph::SetInt(const std::string& attribute, int64_t value) {
  onnx::AttributeProto* a = graph()->mutable_node(graph()->node_size() - 1)->add_attribute();
  a->set_name(attribute);
  a->set_type(onnx::AttributeProto::INT);
  a->set_i(value);
}

void OnnxGraph::SetInts(const std::string& attribute, const std::vector<int64_t>& values) {
  onnx::AttributeProto* a = graph()->mutable_node(graph()->node_size() - 1)->add_attribute();
  a->set_name(attribute);
  a->set_type(onnx::AttributeProto::INTS);
  for (int64_t value : values) a->add_ints(value);
}

std::string OnnxGraph::AddFloats(const std::string& name, const std::vector<int64_t>& dims,
                                 absl::Span<const float> values) {
  onnx::TensorProto* tensor = graph()->add_initializer();
  tensor->set_name(Unique(name));
  tensor->set_data_type(onnx::TensorProto::FLOAT);
  for (int64_t dim : dims) tensor->add_dims(dim);
  tensor->set_raw_data(FloatBytes(values));
  return tensor->name();
}

std::string OnnxGraph::AddInts(const std::string& name, const std::vector<int64_t>& values) {
  onnx::TensorProto* tensor = graph()->add_initializer();
  tensor->set_name(Unique(name));
  tensor->set_data_type(onnx::TensorProto::INT64);
  tensor->add_dims(static_cast<int64_t>(values.size()));
  for (int64_t value : values) tensor->add_int64_data(value);
  return tensor->name();
}

std::string OnnxGraph::Rename(const std::string& value, const std::string& name) {
  return Add("Identity", name, {value});
}

void OnnxGraph::AddMetadata(const std::string& key, const std::string& value) {
  onnx::StringStringEntryProto* entry = model_.add_metadata_props();
  entry->set_key(key);
  entry->set_value(value);
}

}  // namespace ddnn

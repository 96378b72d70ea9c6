#ifndef DDNN_TESTS_TOOLS_ONNX_SUPPORT_H_
#define DDNN_TESTS_TOOLS_ONNX_SUPPORT_H_

#include <algorithm>
#include <map>
#include <opencv2/dnn.hpp>
#include <string>
#include <vector>

#include "runtime/core/engine.h"
#include "tools/export/onnx_graph.h"

namespace ddnn {
namespace testing {

/// What OpenCV's dnn makes of a model, which it reads from its bytes: by output, one sample behind
/// the other. Throws cv::Exception.
inline std::map<std::string, std::vector<float>> RunOpenCv(const onnx::ModelProto& model,
                                                           const std::vector<float>& input,
                                                           int batch) {
  const std::string bytes = model.SerializeAsString();
  cv::dnn::Net net = cv::dnn::readNetFromONNX(bytes.data(), bytes.size());
#if CV_VERSION_MAJOR > 4 || CV_VERSION_MINOR >= 7
  net.enableWinograd(false);  // its sums are not exact where plain ones are
#endif
  std::vector<int> sizes = {batch};
  for (const auto& dim : model.graph().input(0).type().tensor_type().shape().dim()) {
    if (dim.has_dim_value()) sizes.push_back(static_cast<int>(dim.dim_value()));
  }
  cv::Mat blob(sizes, CV_32F);
  CV_Assert(blob.total() == input.size());
  std::copy(input.begin(), input.end(), blob.ptr<float>());
  net.setInput(blob);
  std::vector<cv::String> names;
  for (const auto& output : model.graph().output()) names.push_back(output.name());
  std::vector<cv::Mat> results;
  net.forward(results, names);
  std::map<std::string, std::vector<float>> outputs;
  for (size_t i = 0; i < names.size(); ++i) {
    outputs[names[i]].assign(results[i].ptr<float>(), results[i].ptr<float>() + results[i].total());
  }
  return outputs;
}

/// A batch as a section's model takes it.
inline std::vector<float> ModelInput(const std::vector<SectionInput>& batch) {
  std::vector<float> values;
  for (const SectionInput& sample : batch) {
    for (char pixel : sample.pixels) values.push_back(static_cast<unsigned char>(pixel));
    values.insert(values.end(), sample.values.begin(), sample.values.end());
  }
  return values;
}

}  // namespace testing
}  // namespace ddnn

#endif  // DDNN_TESTS_TOOLS_ONNX_SUPPORT_H_

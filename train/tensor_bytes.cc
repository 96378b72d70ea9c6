#include "train/tensor_bytes.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/core/float_bytes.h"

namespace ddnn::train {

std::string TensorBytes(const at::Tensor& tensor) {
  const at::Tensor values = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
  return FloatBytes({values.data_ptr<float>(), static_cast<size_t>(values.numel())});
}

absl::Status SetTensor(const std::string& what, absl::string_view bytes, const at::Tensor& tensor) {
  if (static_cast<int64_t>(bytes.size()) != 4 * tensor.numel()) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " has ", bytes.size(), " bytes, expected ", 4 * tensor.numel()));
  }
  const at::Tensor values = at::empty(tensor.sizes(), at::kFloat);
  float* data = values.data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i) data[i] = FloatAt(bytes, i);
  tensor.detach().copy_(values);
  return absl::OkStatus();
}

}  // namespace ddnn::train

#ifndef DDNN_TRAIN_TENSOR_BYTES_H_
#define DDNN_TRAIN_TENSOR_BYTES_H_

#include <ATen/core/Tensor.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace ddnn::train {

/// The values of a float tensor on any device, little endian, last dimension fastest.
std::string TensorBytes(const at::Tensor& tensor);

/// Puts such values into a tensor, which keeps its shape, device and memory format.
/// INVALID_ARGUMENT names `what` when there are more or fewer bytes than it holds.
absl::Status SetTensor(const std::string& what, absl::string_view bytes, const at::Tensor& tensor);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_TENSOR_BYTES_H_

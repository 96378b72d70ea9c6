#ifndef DDNN_TRAIN_BINARY_LINEAR_H_
#define DDNN_TRAIN_BINARY_LINEAR_H_

#include <ATen/core/Tensor.h>

namespace ddnn::train {

/// Binary linear layers of G nodes, on the CPU: SignSte(weight[g]) times x[b][g].
///
/// \param x       [B, G*I], [B, G*I, 1, 1] or whatever has that many values, float
/// \param weight  [G, O, I] before its sign is taken
/// \return        [B, G*O, 1, 1]
at::Tensor BinaryLinearBlock(const at::Tensor& x, const at::Tensor& weight);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_BINARY_LINEAR_H_

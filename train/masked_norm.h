#ifndef DDNN_TRAIN_MASKED_NORM_H_
#define DDNN_TRAIN_MASKED_NORM_H_

#include <ATen/core/Tensor.h>

#include "train/ranks.h"

namespace ddnn::train {

/// What MaskedBatchNorm (ops.h) computes, as one differentiable operation for float tensors on the
/// CPU: composed of LibTorch's elementwise operations it takes a third of a training step.
///
/// \param x     [B, G*C, H, W], any memory format; computed in channels-last
/// \param mask  [B, G] float
/// \param ranks  statistics are those of the joint batch, as are the gradients of x; gamma's and
///               beta's are this rank's part
/// Running statistics are updated in place. Deterministic for any number of threads.
at::Tensor FusedMaskedNorm(const at::Tensor& x, const at::Tensor& mask, const at::Tensor& gamma,
                           const at::Tensor& beta, const at::Tensor& mean,
                           const at::Tensor& variance, double momentum, double epsilon,
                           Ranks* ranks = nullptr);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_MASKED_NORM_H_

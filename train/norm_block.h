#ifndef DDNN_TRAIN_NORM_BLOCK_H_
#define DDNN_TRAIN_NORM_BLOCK_H_

#include <ATen/core/Tensor.h>

#include "train/plane_kernels.h"
#include "train/ranks.h"

namespace ddnn::train {

struct NormShape {
  Activation activation = Activation::kNone;
  bool planes = false;  ///< the result is contiguous and float, as ConvBlock takes it
  double momentum = 0.1, epsilon = 1e-5;
  Ranks* ranks = nullptr;  ///< statistics are those of the joint batch
};

/// MaskedBatchNorm (ops.h) in training mode and the activation behind it, as one differentiable
/// operation on the CPU: a sample's values stay in the cache while they are summed, and what batch
/// norm gives is neither written nor kept.
///
/// \param x     [B, G*C, H, W], float or bfloat16 (computed in float), any memory format
/// \param mask  [B, G] float, or undefined
/// \param gamma, beta, mean, variance   [G*C] float; the last two are updated in place
/// \return      as x, channels-last unless shape.planes
/// The same result whatever the number of threads. With ranks the gradients of gamma and beta are
/// this rank's part.
at::Tensor NormBlock(const NormShape& shape, const at::Tensor& x, const at::Tensor& mask,
                     const at::Tensor& gamma, const at::Tensor& beta, const at::Tensor& mean,
                     const at::Tensor& variance);

/// Whether NormBlock takes x.
bool FitsNormBlock(const at::Tensor& x);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_NORM_BLOCK_H_

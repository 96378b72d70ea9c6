#ifndef DDNN_TRAIN_CONV_BLOCK_H_
#define DDNN_TRAIN_CONV_BLOCK_H_

#include <ATen/core/Tensor.h>

#include "train/plane_kernels.h"
#include "train/ranks.h"

namespace ddnn::train {

/// Binary convolution, max pooling, batch norm and activation of G nodes that are alike.
struct ConvBlockShape {
  int64_t groups = 1, channels = 0, filters = 0;  ///< channels and filters of one node
  int64_t kernel = 1, padding = 0;                ///< of the convolution; its stride is 1
  int64_t pool_kernel = 0, pool_stride = 1, pool_padding = 0;  ///< pool_kernel 0: no pooling
  Activation activation = Activation::kSign;
  double momentum = 0.1, epsilon = 1e-5;
  double offset = 0, scale = 1;  ///< x = (pixel - offset) * scale, where pixels come in
  Ranks* ranks = nullptr;        ///< the batch norm's statistics are those of the joint batch
};

/// Whether ConvBlock computes this for inputs of height x width.
bool FitsConvBlock(const ConvBlockShape& shape, int64_t height, int64_t width);

/// What SignSte(weight), conv2d, max_pool2d, MaskedBatchNorm in training mode and SignSte or relu
/// compute one after the other, as one differentiable operation on the CPU: a sample's planes stay
/// in the cache from the first to the last, and what no node is present for is not computed.
///
/// \param x       [B, G*C, H, W] float, or pixels, uint8; copied if not contiguous
/// \param mask    [B, G] float, or undefined
/// \param weight  [G*F, C, K, K] before its sign is taken
/// \param gamma, beta, mean, variance   [G*F]; the last two are updated in place
/// \return        [B, G*F, H', W'], contiguous; zero where a node is absent
/// The same result whatever the number of threads. With shape.ranks the gradients of the parameters
/// are this rank's part.
at::Tensor ConvBlock(const ConvBlockShape& shape, const at::Tensor& x, const at::Tensor& mask,
                     const at::Tensor& weight, const at::Tensor& gamma, const at::Tensor& beta,
                     const at::Tensor& mean, const at::Tensor& variance);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_CONV_BLOCK_H_

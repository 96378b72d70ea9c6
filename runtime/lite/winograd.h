#ifndef DDNN_RUNTIME_LITE_WINOGRAD_H_
#define DDNN_RUNTIME_LITE_WINOGRAD_H_

#include <memory>

#include "runtime/lite/op.h"
#include "runtime/lite/xnnpack_ops.h"

namespace ddnn {
namespace lite {

/// Winograd's convolution F(2x2, 3x3): 2x2 outputs from 4x4 inputs by 16 multiplications for each
/// pair of channels where there are 36. Source: Lavin and Gray, CVPR 2016 (arXiv 1509.09308).

/// Whether it can do this convolution and is faster than XNNPACK's (docs/performance.md): 3x3,
/// stride 1, 16 channels, 24 filters, 3x3 outputs or more.
bool WinogradPays(const ConvGeometry& geometry, const Shape& in, const Shape& out);

/// Pixel floats [H, W, C] -> pixel floats [H', W', filters], in the best instructions there are
/// (runtime/lite/bit_kernels.h), for a kernel of 3x3 at stride 1 with any padding; C and filters
/// 16 or more. Holds the transformed weights, 16/9 of the weights' size, and about
/// 4 KiB * (C + filters, a multiple of 16) of scratch memory or less.
///
/// Rounding: a sum has C terms instead of 9 C, and is as near the exact one as XNNPACK's or nearer.
/// Where all terms are multiples of a small power of 1/2 it is exact, as XNNPACK's is.
std::unique_ptr<Op> MakeWinogradConv(int padding, const FloatWeights& weights, const Shape& in,
                                     const Shape& out);

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_WINOGRAD_H_

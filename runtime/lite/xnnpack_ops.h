#ifndef DDNN_RUNTIME_LITE_XNNPACK_OPS_H_
#define DDNN_RUNTIME_LITE_XNNPACK_OPS_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/lite/op.h"

namespace ddnn {
namespace lite {

/// Weights of a layer with float sums; a binary layer's are -1 and +1.
struct FloatWeights {
  std::vector<float> kernel;  ///< [filters, C, kernel, kernel] or [outputs, inputs]
  std::vector<float> bias;    ///< [filters] or [outputs]; empty: none
};

/// Square window, zero padding.
struct ConvGeometry {
  int kernel = 1;
  int stride = 1;
  int padding = 0;
};

/// Pixel floats [H, W, C] -> pixel floats [H', W', filters] through XNNPACK, which is told where
/// they lie when that changes. INTERNAL where XNNPACK refuses.
absl::StatusOr<std::unique_ptr<Op>> MakeFloatConv(const ConvGeometry& geometry,
                                                  const FloatWeights& weights, const Shape& in,
                                                  const Shape& out);

/// Floats [inputs, 1, 1] -> floats [outputs, 1, 1].
absl::StatusOr<std::unique_ptr<Op>> MakeFloatLinear(const FloatWeights& weights, int inputs,
                                                    int outputs);

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_XNNPACK_OPS_H_

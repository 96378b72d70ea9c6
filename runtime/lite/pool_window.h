#ifndef DDNN_RUNTIME_LITE_POOL_WINDOW_H_
#define DDNN_RUNTIME_LITE_POOL_WINDOW_H_

#include <algorithm>

#include "ddnn/v1/network.pb.h"

namespace ddnn {
namespace lite {

/// Where a pool's windows lie inside the picture, along rows or columns alike.
struct PoolWindow {
  explicit PoolWindow(const v1::Pool& layer)
      : kernel(layer.kernel()),
        stride(layer.stride() == 0 ? layer.kernel() : layer.stride()),
        padding(layer.padding()) {}

  /// First and one past the last position of window `out`. Never empty: padding is less than the
  /// kernel in every checked spec.
  int Begin(int out) const { return std::max(0, out * stride - padding); }
  int End(int out, int size) const { return std::min(size, out * stride - padding + kernel); }

  int kernel, stride, padding;
};

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_POOL_WINDOW_H_

#ifndef DDNN_RUNTIME_LITE_POOL_OPS_H_
#define DDNN_RUNTIME_LITE_POOL_OPS_H_

#include <memory>

#include "ddnn/v1/bundle.pb.h"
#include "runtime/lite/op.h"

namespace ddnn {
namespace lite {

/// Integers -> integers, floats -> floats or pixel floats -> pixel floats, [C, H, W] -> [C, H',
/// W']. Pads with minus infinity.
std::unique_ptr<Op> MakeMaxPool(const v1::Pool& layer);

/// Floats -> floats or pixel floats -> pixel floats. Divides by the number of values inside the
/// picture.
std::unique_ptr<Op> MakeAveragePool(const v1::Pool& layer);

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_POOL_OPS_H_

#ifndef DDNN_RUNTIME_LITE_POINTWISE_OPS_H_
#define DDNN_RUNTIME_LITE_POINTWISE_OPS_H_

#include <memory>

#include "ddnn/v1/bundle.pb.h"
#include "runtime/lite/op.h"

namespace ddnn {
namespace lite {

/// Integers -> bits, by channel. The layer must have been checked against the plan.
std::unique_ptr<Op> MakeThreshold(const v1::Threshold& layer);

/// Floats -> floats or pixel floats -> pixel floats, by channel: the product is rounded before the
/// sum.
std::unique_ptr<Op> MakeAffine(const v1::Affine& layer);

/// Planes of any form -> bits, or pixel floats -> pixel bits, without a mask; +1 for 0.
std::unique_ptr<Op> MakeSign();

/// Integers -> integers or floats -> floats, in any order.
std::unique_ptr<Op> MakeRelu();

/// Changes the form and keeps the values: bits or integers -> floats, bits -> integers, integers
/// -1, 0 and +1 -> bits, bits <-> pixel bits, floats <-> pixel floats, pixels -> integers or pixel
/// floats.
std::unique_ptr<Op> MakeConversion();

/// Changes the shape and keeps the values and their order.
std::unique_ptr<Op> MakeReshape();

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_POINTWISE_OPS_H_

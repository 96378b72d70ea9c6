#ifndef DDNN_RUNTIME_LITE_POINTWISE_OPS_H_
#define DDNN_RUNTIME_LITE_POINTWISE_OPS_H_

#include <memory>

#include "ddnn/v1/bundle.pb.h"
#include "runtime/lite/op.h"

namespace ddnn {
namespace lite {

/// Integers -> bits, by channel. The layer must have been checked against the plan.
std::unique_ptr<Op> MakeThreshold(const v1::Threshold& layer);

/// Floats -> floats, by channel: the product is rounded before the sum.
std::unique_ptr<Op> MakeAffine(const v1::Affine& layer);

/// Any form -> bits without a mask; +1 for 0.
std::unique_ptr<Op> MakeSign();

/// Integers -> integers or floats -> floats.
std::unique_ptr<Op> MakeRelu();

/// Changes the form and keeps the values: anything -> floats, bits -> integers, or integers -1, 0
/// and +1 -> bits.
std::unique_ptr<Op> MakeConversion();

/// Changes the shape and keeps the values and their order.
std::unique_ptr<Op> MakeReshape();

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_POINTWISE_OPS_H_

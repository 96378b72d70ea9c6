#ifndef DDNN_RUNTIME_LITE_BINARY_OPS_H_
#define DDNN_RUNTIME_LITE_BINARY_OPS_H_

#include <memory>

#include "ddnn/v1/bundle.pb.h"
#include "runtime/lite/op.h"

namespace ddnn {
namespace lite {

/// Layers with weights +1/-1 and integer sums. Zero padding and masked values add nothing.
/// The layers must have been checked against the plan; `in` gives shape and form, integers or bits.

/// [C, H, W] -> integers [filters, H', W'].
std::unique_ptr<Op> MakeBinaryConv(const v1::SectionConv& layer, const Values& in);

/// [inputs, 1, 1] -> integers [outputs, 1, 1].
std::unique_ptr<Op> MakeBinaryLinear(const v1::SectionLinear& layer, const Values& in);

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_BINARY_OPS_H_

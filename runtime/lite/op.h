#ifndef DDNN_RUNTIME_LITE_OP_H_
#define DDNN_RUNTIME_LITE_OP_H_

#include "absl/status/status.h"
#include "runtime/lite/values.h"

namespace ddnn {
namespace lite {

/// One layer, made for one input and one output form and shape. Keeps scratch memory: not safe to
/// run from several threads at once.
class Op {
 public:
  virtual ~Op() = default;

  /// Fills `out`, whose buffers have the right size. INTERNAL if a library refuses to run.
  virtual absl::Status Run(const Values& in, Values* out) = 0;
};

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_OP_H_

#ifndef DDNN_RUNTIME_LITE_PROGRAM_H_
#define DDNN_RUNTIME_LITE_PROGRAM_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "ddnn/v1/bundle.pb.h"
#include "google/protobuf/repeated_field.h"
#include "models/section_layout.h"
#include "runtime/lite/op.h"

namespace ddnn {
namespace lite {

/// A list of layers, ready to run: one op per layer, or per binary convolution with what follows up
/// to its threshold, and one per change of form between them.
class Program {
 public:
  /// \param slots   what the layers are by the plan, from LayOutSection.
  /// \param layers  as many, checked against the plan.
  /// \param input   what Run will be given: form, shape, unit.
  static absl::StatusOr<Program> Create(
      const std::vector<LayerSlot>& slots,
      const google::protobuf::RepeatedPtrField<v1::SectionLayer>& layers, const Values& input);

  /// The last layer's output, in planes, or `in` if there are no layers and `in` is; valid until
  /// the next call.
  absl::StatusOr<const Values*> Run(const Values& in);

  /// An output as Run gives it, for what comes next.
  const Values& output(const Values& input) const {
    return stages_.empty() ? input : stages_.back().out;
  }

  /// Appends a change to floats unless the output is already held so.
  void EndInFloats(const Values& input);

 private:
  struct Stage {
    std::unique_ptr<Op> op;
    Values out;
  };

  std::vector<Stage> stages_;
  friend class Compiler;
};

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_PROGRAM_H_

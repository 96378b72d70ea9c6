#ifndef DDNN_RUNTIME_TORCH_TORCH_ENGINE_H_
#define DDNN_RUNTIME_TORCH_TORCH_ENGINE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "ddnn/v1/bundle.pb.h"
#include "models/network_plan.h"
#include "runtime/core/engine.h"

namespace ddnn {

/// The engine for edge, cloud and evaluation: any section, a batch at once, through LibTorch on the
/// CPU. Bits and integers are held as floats, whose sums are exact wherever the plan says integers.
///
/// INVALID_ARGUMENT when the section does not fit the plan (CheckSection), naming the layer. What
/// LibTorch throws comes back as a status.
absl::StatusOr<std::unique_ptr<Engine>> CreateTorchEngine(const NetworkPlan& plan,
                                                          const v1::Section& section);

/// How many threads LibTorch uses inside one operator, for the whole process; at least 1.
/// Debian's LibTorch takes one unless told.
void SetTorchThreads(int threads);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_TORCH_TORCH_ENGINE_H_

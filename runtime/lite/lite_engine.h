#ifndef DDNN_RUNTIME_LITE_LITE_ENGINE_H_
#define DDNN_RUNTIME_LITE_LITE_ENGINE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "ddnn/v1/bundle.pb.h"
#include "models/network_plan.h"
#include "runtime/core/engine.h"

namespace ddnn {

/// The engine for devices: no LibTorch, about as much memory as the section's weights and one
/// sample's values. Binary layers run on packed bits and integers, float layers through XNNPACK, on
/// the calling thread. A batch is run sample by sample, without allocating but for the results.
///
/// INVALID_ARGUMENT when the section does not fit the plan (CheckSection), naming the layer;
/// FAILED_PRECONDITION on an x86 processor without SSE4.2.
absl::StatusOr<std::unique_ptr<Engine>> CreateLiteEngine(const NetworkPlan& plan,
                                                         const v1::Section& section);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_LITE_ENGINE_H_

#ifndef DDNN_RUNTIME_CORE_SECTION_INPUT_H_
#define DDNN_RUNTIME_CORE_SECTION_INPUT_H_

#include "absl/status/status.h"
#include "models/network_plan.h"
#include "runtime/core/engine.h"

namespace ddnn {

/// That an engine can run a node's section on this input: as many pixels (device tier) or values
/// (above) as the plan says, and only values of the planned kind. Every engine asks this first, so
/// that all refuse the same. INVALID_ARGUMENT says what was found and what was expected.
absl::Status CheckSectionInput(const NodePlan& node, const SectionInput& input);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_CORE_SECTION_INPUT_H_

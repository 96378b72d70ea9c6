#ifndef DDNN_TOOLS_LOCAL_SCHEDULE_H_
#define DDNN_TOOLS_LOCAL_SCHEDULE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "models/network_plan.h"

namespace ddnn {

/// Something that happens to a node once so many samples have ended.
struct NodeEvent {
  bool restart = false;  ///< else it is killed with SIGKILL
  int tier = 0;
  int node = 0;
  int64_t at = 0;  ///< samples that have ended by then
};

/// Reads "device=2@500" or "cloud@500" (a tier of one node needs no number), in order of time.
///
/// INVALID_ARGUMENT names the entry: no such tier or node, a restart without a kill before it, or
/// the restart of a device, which would begin its source anew.
absl::StatusOr<std::vector<NodeEvent>> ParseEvents(const NetworkPlan& plan,
                                                   const std::vector<std::string>& kills,
                                                   const std::vector<std::string>& restarts);

/// "device-2" or, in a tier above the devices that has one node, "cloud".
std::string NodeName(const NetworkPlan& plan, int tier, int node);

}  // namespace ddnn

#endif  // DDNN_TOOLS_LOCAL_SCHEDULE_H_

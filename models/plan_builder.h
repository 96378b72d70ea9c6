#ifndef DDNN_MODELS_PLAN_BUILDER_H_
#define DDNN_MODELS_PLAN_BUILDER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/layer_flow.h"
#include "models/network_plan.h"

namespace ddnn {

/// Plans one network, tier by tier from the devices up.
class PlanBuilder {
 public:
  /// `spec` has passed CheckSpec.
  explicit PlanBuilder(const v1::NetworkSpec& spec);

  absl::StatusOr<NetworkPlan> Build();

 private:
  absl::Status AddTier(int t);
  absl::Status AddNodes(int t);
  absl::Status AddGroup(int t, const std::vector<int>& children);
  absl::Status PlanNode(int t, NodePlan* node, Flow* features);
  absl::StatusOr<Flow> PlanInput(int t, const NodePlan& node) const;
  absl::Status PlanHead(int t, NodePlan* node, Flow flow) const;
  absl::Status AddExit(int t);
  absl::Status CheckExitParent(int t) const;

  NetworkPlan plan_;
  std::vector<std::vector<Flow>> features_;  // [tier][node]
};

}  // namespace ddnn

#endif  // DDNN_MODELS_PLAN_BUILDER_H_

#ifndef DDNN_RUNTIME_CORE_BUNDLE_LAYOUT_H_
#define DDNN_RUNTIME_CORE_BUNDLE_LAYOUT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ddnn/v1/bundle.pb.h"
#include "models/network_plan.h"
#include "runtime/core/exit_criterion.h"

namespace ddnn {

inline constexpr int kBundleFormatVersion = 1;
inline constexpr char kManifestName[] = "bundle.textproto";
inline constexpr char kReportName[] = "report.json";
inline constexpr char kReportPageName[] = "report.html";
inline constexpr char kHistoryName[] = "history.json";
inline constexpr char kSectionsFolder[] = "sections";

/// "sections/<tier>-<node>.section", the only path a section may have.
std::string SectionPath(const NetworkPlan& plan, int tier, int node);

/// Where a section belongs: (tier, node). INVALID_ARGUMENT if the plan has no such node.
absl::StatusOr<std::pair<int, int>> PlaceOfSection(const NetworkPlan& plan, const std::string& tier,
                                                   int node);

/// Thresholds in the order of the plan's exits; each there once and in [0, 1].
absl::StatusOr<std::vector<ExitThreshold>> ReadThresholds(const NetworkPlan& plan,
                                                          const v1::BundleManifest& manifest);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_CORE_BUNDLE_LAYOUT_H_

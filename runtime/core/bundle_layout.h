#ifndef DDNN_RUNTIME_CORE_BUNDLE_LAYOUT_H_
#define DDNN_RUNTIME_CORE_BUNDLE_LAYOUT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ddnn/v1/bundle.pb.h"
#include "models/network_plan.h"
#include "runtime/core/bundle.h"
#include "runtime/core/exit_criterion.h"

namespace ddnn {

inline constexpr int kBundleFormatVersion = 1;
/// Of bundle.textproto, at most.
inline constexpr size_t kMaxManifestBytes = 16 << 20;
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

// A bundle in parts, for those who do not have all of its files; LoadBundle is made of these.

/// bundle.textproto by itself: version, spec, thresholds, and that every node has one section file
/// under its one path, of a size that the spec allows. No sections are in the result.
///
/// \param path  what errors call it
absl::StatusOr<Bundle> ParseManifest(const std::string& text, const std::string& path);

/// The manifest's entry for a node that the plan has; owned by the bundle.
const v1::SectionFile* FindSection(const Bundle& bundle, int tier, int node);

/// The bytes of a section's file, no more than the manifest says; not yet checked.
absl::StatusOr<std::string> ReadSectionFile(const std::string& directory,
                                            const v1::SectionFile& file);

/// Size and hash against the manifest's entry (DATA_LOSS), then every layer against the plan.
absl::StatusOr<v1::Section> ParseSection(const NetworkPlan& plan, const std::string& path,
                                         const v1::SectionFile& file, const std::string& data);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_CORE_BUNDLE_LAYOUT_H_

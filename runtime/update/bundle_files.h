#ifndef DDNN_RUNTIME_UPDATE_BUNDLE_FILES_H_
#define DDNN_RUNTIME_UPDATE_BUNDLE_FILES_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/core/bundle.h"

namespace ddnn {

/// A bundle as it travels and is kept: loaded and checked, and the files that it was read from.
/// Sections of one node and of all nodes under it: what that node runs and hands on.
struct BundleFiles {
  Bundle bundle;
  int tier = 0, node = 0;                    ///< whose
  std::map<std::string, std::string> files;  ///< by SHA-256, 32 raw bytes; the manifest too
};
using SharedFiles = std::shared_ptr<const BundleFiles>;

/// Which node of a network this process is; an error says why it cannot be one of it.
using FindPlace = std::function<absl::StatusOr<std::pair<int, int>>(const NetworkPlan& plan)>;

/// Node (tier, index) and all under it, from the top.
std::vector<std::pair<int, int>> NodesUnder(const NetworkPlan& plan, int tier, int index);

/// Puts a bundle together: `get` brings one section's bytes, which are checked here. Where it says
/// NOT_FOUND for a node under the place, `may_miss` leaves that one out.
absl::StatusOr<SharedFiles> AssembleBundle(
    std::string manifest, const std::string& name, const FindPlace& place,
    const std::function<absl::StatusOr<std::string>(const v1::SectionFile&)>& get,
    bool may_miss = false);

/// From a folder that ddnn-train or WriteBundleFiles wrote.
absl::StatusOr<SharedFiles> ReadBundleFiles(const std::string& directory, const FindPlace& place,
                                            bool may_miss = false);

/// Into a folder that LoadBundle and ReadBundleFiles read, in one step.
absl::Status WriteBundleFiles(const std::string& directory, const BundleFiles& files);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_UPDATE_BUNDLE_FILES_H_

#include "runtime/update/bundle_files.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "runtime/core/bundle_layout.h"
#include "runtime/core/files.h"

namespace ddnn {

std::vector<std::pair<int, int>> NodesUnder(const NetworkPlan& plan, int tier, int index) {
  std::vector<std::pair<int, int>> nodes = {{tier, index}};
  for (size_t at = 0; at < nodes.size(); ++at) {
    const auto [t, i] = nodes[at];
    if (t == 0) continue;  // its child is a camera
    for (int child : plan.node(t, i).children) nodes.emplace_back(t - 1, child);
  }
  return nodes;
}

absl::StatusOr<SharedFiles> AssembleBundle(
    std::string manifest, const std::string& name, const FindPlace& place,
    const std::function<absl::StatusOr<std::string>(const v1::SectionFile&)>& get, bool may_miss) {
  absl::StatusOr<Bundle> bundle = ParseManifest(manifest, absl::StrCat(name, "/", kManifestName));
  if (!bundle.ok()) return bundle.status();
  const auto own = place(bundle->plan);
  if (!own.ok()) return own.status();
  auto result = std::make_shared<BundleFiles>();
  result->tier = own->first;
  result->node = own->second;
  for (const auto& [tier, node] : NodesUnder(bundle->plan, own->first, own->second)) {
    const v1::SectionFile& file = *FindSection(*bundle, tier, node);
    absl::StatusOr<std::string> data = get(file);
    const bool is_own = tier == own->first && node == own->second;
    if (may_miss && !is_own && absl::IsNotFound(data.status())) continue;
    if (!data.ok()) return data.status();
    absl::StatusOr<v1::Section> section =
        ParseSection(bundle->plan, absl::StrCat(name, "/", file.path()), file, *data);
    if (!section.ok()) return section.status();
    bundle->sections[{tier, node}] = *std::move(section);
    // ParseSection compared it with what was found, so it is 64 hexadecimal digits.
    result->files[absl::HexStringToBytes(file.sha256())] = *std::move(data);
  }
  result->files[bundle->sha256] = std::move(manifest);
  result->bundle = *std::move(bundle);
  return result;
}

absl::StatusOr<SharedFiles> ReadBundleFiles(const std::string& directory, const FindPlace& place,
                                            bool may_miss) {
  absl::StatusOr<std::string> manifest =
      ReadFile(absl::StrCat(directory, "/", kManifestName), kMaxManifestBytes);
  if (!manifest.ok()) return manifest.status();
  const auto get = [&directory](const v1::SectionFile& file) {
    return ReadSectionFile(directory, file);
  };
  return AssembleBundle(*std::move(manifest), directory, place, get, may_miss);
}

absl::Status WriteBundleFiles(const std::string& directory, const BundleFiles& files) {
  std::map<std::string, std::string> by_path;
  by_path[kManifestName] = files.files.at(files.bundle.sha256);
  for (const auto& [place, section] : files.bundle.sections) {
    const v1::SectionFile& file = *FindSection(files.bundle, place.first, place.second);
    by_path[file.path()] = files.files.at(absl::HexStringToBytes(file.sha256()));
  }
  return ReplaceFolder(directory, by_path);
}

}  // namespace ddnn

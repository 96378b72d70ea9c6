#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/text_format.h"
#include "runtime/core/bundle.h"
#include "runtime/core/bundle_layout.h"
#include "runtime/core/files.h"

namespace ddnn {
namespace {

namespace fs = std::filesystem;

// The same message gives the same bytes in every run.
std::string Serialize(const v1::Section& section) {
  std::string data;
  {
    google::protobuf::io::StringOutputStream stream(&data);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    section.SerializeToCodedStream(&coded);
  }
  return data;
}

absl::StatusOr<std::map<std::string, std::string>> EncodeSections(
    const NetworkPlan& plan, const std::vector<v1::Section>& sections,
    v1::BundleManifest* manifest) {
  std::map<std::pair<int, int>, std::string> encoded;
  for (const v1::Section& section : sections) {
    absl::Status status = CheckSection(plan, section);
    if (!status.ok()) return status;
    absl::StatusOr<std::pair<int, int>> place =
        PlaceOfSection(plan, section.tier(), section.node());
    if (!place.ok()) return place.status();
    if (!encoded.emplace(*place, Serialize(section)).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("two sections for ", SectionPath(plan, place->first, place->second)));
    }
  }
  std::map<std::string, std::string> files;
  manifest->clear_section();
  for (const TierPlan& tier : plan.tiers()) {
    for (const NodePlan& node : tier.nodes) {
      const std::string path = SectionPath(plan, node.tier, node.index);
      auto found = encoded.find({node.tier, node.index});
      if (found == encoded.end()) return absl::InvalidArgumentError(absl::StrCat("no ", path));
      v1::SectionFile* file = manifest->add_section();
      file->set_path(path);
      file->set_tier(tier.name);
      file->set_node(node.index);
      file->set_sha256(ToHex(Sha256(found->second)));
      file->set_bytes(static_cast<int64_t>(found->second.size()));
      files[path] = std::move(found->second);
    }
  }
  return files;
}

}  // namespace

absl::Status CheckReplaceable(const std::string& directory) {
  std::error_code error;
  const fs::file_status found = fs::symlink_status(directory, error);
  if (found.type() == fs::file_type::not_found) return absl::OkStatus();
  if (found.type() != fs::file_type::directory) {
    return absl::FailedPreconditionError(
        absl::StrCat(directory, ": is there and no folder, expected a bundle or nothing"));
  }
  if (fs::exists(absl::StrCat(directory, "/", kManifestName), error)) return absl::OkStatus();
  if (fs::is_empty(directory, error) && !error) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      directory, ": holds files but no ", kManifestName, ", expected a bundle or nothing"));
}

absl::Status SaveBundle(const std::string& directory, v1::BundleManifest manifest,
                        const std::vector<v1::Section>& sections, const BundleReport& report) {
  absl::StatusOr<NetworkPlan> plan = NetworkPlan::Create(manifest.network());
  if (!plan.ok()) return plan.status();
  manifest.set_format_version(kBundleFormatVersion);
  absl::Status status = ReadThresholds(*plan, manifest).status();
  if (!status.ok()) return status;
  auto files = EncodeSections(*plan, sections, &manifest);
  if (!files.ok()) return files.status();
  std::string text;
  if (!google::protobuf::TextFormat::PrintToString(manifest, &text)) {
    return absl::InternalError("the manifest cannot be printed");
  }
  (*files)[kManifestName] = std::move(text);
  (*files)[kReportName] = report.json;
  if (!report.html.empty()) (*files)[kReportPageName] = report.html;
  if (!report.history.empty()) (*files)[kHistoryName] = report.history;
  std::string place = directory;
  while (place.size() > 1 && place.back() == '/') place.pop_back();
  if (place.empty()) return absl::InvalidArgumentError("a bundle needs a folder, found \"\"");
  if (absl::Status replaceable = CheckReplaceable(place); !replaceable.ok()) return replaceable;
  return ReplaceFolder(place, *files);
}

}  // namespace ddnn

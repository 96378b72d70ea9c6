#include "runtime/core/bundle.h"

#include <openssl/evp.h>

#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "models/layer_flow.h"
#include "models/section_layout.h"
#include "models/text_proto.h"
#include "runtime/core/bundle_layout.h"

namespace ddnn {
namespace {

constexpr float kMinTemperature = 1e-3f, kMaxTemperature = 1e3f;

absl::Status Named(const std::string& path, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
}

// More than any encoding of this list of layers takes: what a manifest says is no reason to
// allocate.
int64_t MaxLayerBytes(const std::vector<LayerSlot>& slots) {
  int64_t bytes = 0;
  for (const LayerSlot& slot : slots) {
    const int64_t inputs = slot.in.shape.channels, outputs = slot.out.shape.channels;
    const int64_t kernel =
        slot.spec.has_binary_conv() ? slot.spec.binary_conv().kernel() : slot.spec.conv().kernel();
    const int64_t weights = inputs * outputs * (kernel > 0 ? kernel * kernel : 1);
    const bool has_weights = slot.spec.has_binary_conv() || slot.spec.has_conv() ||
                             slot.spec.has_binary_linear() || slot.spec.has_linear();
    bytes += 128 + 16 * outputs + (has_weights ? 4 * weights : 0);
  }
  return bytes;
}

int64_t MaxSectionBytes(const NetworkPlan& plan, int tier, int node) {
  const SectionLayout layout = LayOutSection(plan, tier, node);
  return 1024 + MaxLayerBytes(layout.scores) + MaxLayerBytes(layout.body) +
         MaxLayerBytes(layout.head);
}

// Every node has exactly one file, under the one path that it may have.
absl::StatusOr<std::map<std::pair<int, int>, const v1::SectionFile*>> ListSections(
    const NetworkPlan& plan, const v1::BundleManifest& manifest) {
  std::map<std::pair<int, int>, const v1::SectionFile*> files;
  for (const v1::SectionFile& file : manifest.section()) {
    absl::StatusOr<std::pair<int, int>> place = PlaceOfSection(plan, file.tier(), file.node());
    if (!place.ok()) return place.status();
    const std::string path = SectionPath(plan, place->first, place->second);
    if (file.path() != path) {
      return absl::InvalidArgumentError(absl::StrCat(
          "section.path is \"", absl::CHexEscape(file.path()), "\", expected \"", path, "\""));
    }
    if (!files.emplace(*place, &file).second) {
      return absl::InvalidArgumentError(absl::StrCat("section ", path, " is there twice"));
    }
    const int64_t most = MaxSectionBytes(plan, place->first, place->second);
    if (file.bytes() < 0 || file.bytes() > most) {
      return absl::InvalidArgumentError(
          absl::StrCat("section ", path, " has ", file.bytes(), " bytes, expected at most ", most));
    }
  }
  for (const TierPlan& tier : plan.tiers()) {
    for (const NodePlan& node : tier.nodes) {
      if (files.count({node.tier, node.index}) == 0) {
        return absl::InvalidArgumentError(
            absl::StrCat("no section ", SectionPath(plan, node.tier, node.index)));
      }
    }
  }
  return files;
}

absl::Status CheckHash(const std::string& path, const v1::SectionFile& file,
                       const std::string& data) {
  if (static_cast<int64_t>(data.size()) != file.bytes()) {
    return absl::DataLossError(absl::StrCat(path, ": ", data.size(), " bytes, expected ",
                                            file.bytes(), ": it was changed or damaged"));
  }
  const std::string found = ToHex(Sha256(data));
  if (found != file.sha256()) {
    return absl::DataLossError(absl::StrCat(path, ": SHA-256 is ", found, ", expected ",
                                            absl::CHexEscape(file.sha256().substr(0, 64)), " as ",
                                            kManifestName, " says: it was changed or damaged"));
  }
  return absl::OkStatus();
}

absl::Status CheckChoice(const NetworkPlan& plan, SectionChoice choice) {
  const int tiers = static_cast<int>(plan.tiers().size());
  if (choice.tier < -1 || choice.tier >= tiers) {
    return absl::OutOfRangeError(absl::StrCat("no tier ", choice.tier, " in a network of ", tiers));
  }
  if (choice.node < 0 || choice.tier < 0) return absl::OkStatus();
  const int nodes = static_cast<int>(plan.tiers()[choice.tier].nodes.size());
  if (choice.node >= nodes) {
    return absl::OutOfRangeError(absl::StrCat("no node ", choice.node, " in tier ",
                                              plan.tiers()[choice.tier].name, ": it has ", nodes,
                                              ", expected 0 to ", nodes - 1));
  }
  return absl::OkStatus();
}

}  // namespace

std::string Bundle::sha256_hex() const { return ToHex(sha256); }

std::string Sha256(absl::string_view data) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  if (EVP_Digest(data.data(), data.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) {
    return std::string();  // out of memory; equals no hash
  }
  return std::string(reinterpret_cast<const char*>(digest.data()), size);
}

std::string ToHex(absl::string_view bytes) { return absl::BytesToHexString(bytes); }

std::string SectionPath(const NetworkPlan& plan, int tier, int node) {
  return absl::StrCat(kSectionsFolder, "/", plan.tiers()[tier].name, "-", node, ".section");
}

absl::StatusOr<std::pair<int, int>> PlaceOfSection(const NetworkPlan& plan, const std::string& tier,
                                                   int node) {
  absl::StatusOr<int> t = plan.FindTier(tier);
  if (!t.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("section.tier \"", absl::CHexEscape(tier), "\" is not in the network"));
  }
  const size_t nodes = plan.tiers()[*t].nodes.size();
  if (node < 0 || static_cast<size_t>(node) >= nodes) {
    return absl::InvalidArgumentError(
        absl::StrCat("section.node ", node, " of ", tier, ", expected 0 to ", nodes - 1));
  }
  return std::make_pair(*t, node);
}

ExitThreshold FromProto(const v1::ExitThreshold& proto) {
  ExitThreshold threshold(proto.entropy());
  threshold.missing.assign(proto.missing().begin(), proto.missing().end());
  threshold.criterion = proto.criterion();
  if (proto.temperature() != 0) threshold.temperature = proto.temperature();
  return threshold;
}

v1::ExitThreshold ToProto(const std::string& exit, const ExitThreshold& threshold) {
  v1::ExitThreshold proto;
  proto.set_exit(exit);
  proto.set_entropy(threshold.entropy);
  proto.mutable_missing()->Assign(threshold.missing.begin(), threshold.missing.end());
  proto.set_criterion(threshold.criterion);
  if (threshold.temperature != 1) proto.set_temperature(threshold.temperature);
  return proto;
}

absl::Status CheckThreshold(const v1::ExitThreshold& found, int views) {
  const auto invalid = [&found](const auto&... what) {
    return absl::InvalidArgumentError(
        absl::StrCat("threshold of exit ", found.exit(), ": ", what...));
  };
  if (!(found.entropy() >= 0 && found.entropy() <= 1)) {
    return invalid("is ", found.entropy(), ", expected 0 to 1");
  }
  if (found.missing_size() >= views) {
    return invalid(found.missing_size(), " for missing views, expected at most ", views - 1);
  }
  for (float missing : found.missing()) {
    if (missing != -1 && !(missing >= 0 && missing <= 1)) {
      return invalid("with views missing is ", missing, ", expected 0 to 1, or -1");
    }
  }
  if (!v1::Criterion_IsValid(found.criterion())) {
    return invalid("criterion is ", static_cast<int>(found.criterion()),
                   ", expected ENTROPY, LARGEST_PROBABILITY or MARGIN");
  }
  // 0 is what a bundle without temperatures has.
  if (found.temperature() != 0 &&
      !(found.temperature() >= kMinTemperature && found.temperature() <= kMaxTemperature)) {
    return invalid("temperature is ", found.temperature(), ", expected ", kMinTemperature, " to ",
                   kMaxTemperature);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ExitThreshold>> ReadThresholds(const NetworkPlan& plan,
                                                          const v1::BundleManifest& manifest) {
  if (static_cast<size_t>(manifest.threshold_size()) != plan.exits().size()) {
    return absl::InvalidArgumentError(absl::StrCat(manifest.threshold_size(),
                                                   " thresholds, expected ", plan.exits().size(),
                                                   ", one per exit"));
  }
  std::vector<ExitThreshold> thresholds;
  for (const ExitPlan& exit : plan.exits()) {
    const v1::ExitThreshold& found = manifest.threshold(static_cast<int>(thresholds.size()));
    if (found.exit() != exit.name) {
      return absl::InvalidArgumentError(
          absl::StrCat("threshold of exit \"", absl::CHexEscape(found.exit()), "\", expected \"",
                       exit.name, "\": exits bottom up"));
    }
    if (absl::Status ok = CheckThreshold(found, plan.views()); !ok.ok()) return ok;
    thresholds.push_back(FromProto(found));
  }
  return thresholds;
}

absl::StatusOr<Bundle> ParseManifest(const std::string& text, const std::string& path) {
  Bundle bundle;
  absl::Status status = ParseTextProto(text, path, &bundle.manifest);
  if (!status.ok()) return status;
  if (bundle.manifest.format_version() != kBundleFormatVersion) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": format_version is ",
                                                   bundle.manifest.format_version(), ", expected ",
                                                   kBundleFormatVersion));
  }
  absl::StatusOr<NetworkPlan> plan = NetworkPlan::Create(bundle.manifest.network());
  if (!plan.ok()) return Named(path, plan.status());
  bundle.plan = *std::move(plan);
  bundle.sha256 = Sha256(text);
  absl::StatusOr<std::vector<ExitThreshold>> thresholds =
      ReadThresholds(bundle.plan, bundle.manifest);
  if (!thresholds.ok()) return Named(path, thresholds.status());
  bundle.thresholds = *std::move(thresholds);
  if (auto files = ListSections(bundle.plan, bundle.manifest); !files.ok()) {
    return Named(path, files.status());
  }
  return bundle;
}

const v1::SectionFile* FindSection(const Bundle& bundle, int tier, int node) {
  for (const v1::SectionFile& file : bundle.manifest.section()) {
    if (file.tier() == bundle.plan.tiers()[tier].name && file.node() == node) return &file;
  }
  return nullptr;
}

absl::StatusOr<v1::Section> ParseSection(const NetworkPlan& plan, const std::string& path,
                                         const v1::SectionFile& file, const std::string& data) {
  absl::Status status = CheckHash(path, file, data);
  if (!status.ok()) return status;
  v1::Section section;
  if (!section.ParseFromString(data)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a section message"));
  }
  if (section.tier() != file.tier() || section.node() != file.node()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": holds the section ", absl::CHexEscape(section.tier()), "-",
                     section.node(), ", expected ", file.tier(), "-", file.node()));
  }
  status = CheckSection(plan, section);
  if (!status.ok()) return Named(path, status);
  return section;
}

absl::StatusOr<std::string> ReadSectionFile(const std::string& directory,
                                            const v1::SectionFile& file) {
  const std::string path = absl::StrCat(directory, "/", file.path());
  absl::StatusOr<std::string> data = ReadFile(path, static_cast<size_t>(file.bytes()));
  // Found larger than the manifest says.
  if (absl::IsInvalidArgument(data.status())) return absl::DataLossError(data.status().message());
  return data;
}

absl::StatusOr<Bundle> LoadBundle(const std::string& directory, SectionChoice choice) {
  const std::string manifest = absl::StrCat(directory, "/", kManifestName);
  absl::StatusOr<std::string> text = ReadFile(manifest, kMaxManifestBytes);
  if (!text.ok()) return text.status();
  absl::StatusOr<Bundle> bundle = ParseManifest(*text, manifest);
  if (!bundle.ok()) return bundle.status();
  absl::Status status = CheckChoice(bundle->plan, choice);
  if (!status.ok()) return Named(directory, status);
  for (const TierPlan& tier : bundle->plan.tiers()) {
    for (const NodePlan& node : tier.nodes) {
      if (choice.tier >= 0 && node.tier != choice.tier) continue;
      if (choice.tier >= 0 && choice.node >= 0 && node.index != choice.node) continue;
      const v1::SectionFile& file = *FindSection(*bundle, node.tier, node.index);
      absl::StatusOr<std::string> data = ReadSectionFile(directory, file);
      if (!data.ok()) return data.status();
      absl::StatusOr<v1::Section> section =
          ParseSection(bundle->plan, absl::StrCat(directory, "/", file.path()), file, *data);
      if (!section.ok()) return section.status();
      bundle->sections[{node.tier, node.index}] = *std::move(section);
    }
  }
  return bundle;
}

}  // namespace ddnn

#ifndef DDNN_RUNTIME_CORE_BUNDLE_H_
#define DDNN_RUNTIME_CORE_BUNDLE_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ddnn/v1/bundle.pb.h"
#include "models/network_plan.h"
#include "runtime/core/exit_criterion.h"

namespace ddnn {

/// A loaded bundle: the checked network, its thresholds and the sections asked for.
struct Bundle {
  v1::BundleManifest manifest;
  NetworkPlan plan;
  std::string sha256;  ///< 32 raw bytes: hash of bundle.textproto, which holds all others
  std::vector<ExitThreshold> thresholds;                ///< one per exit, bottom up
  std::map<std::pair<int, int>, v1::Section> sections;  ///< by (tier, node)

  std::string sha256_hex() const;
};

/// Which sections to read; the others' files are not touched.
struct SectionChoice {
  int tier = -1;  ///< -1: all
  int node = -1;  ///< -1: all of the tier
};

/// Reads and checks a bundle: format version, spec, that every node has one section file, sizes
/// before reading, hashes, and every layer's weights against the plan (CheckSection). DATA_LOSS for
/// a file whose hash or size differs (naming file, found and expected), INVALID_ARGUMENT for what
/// does not fit the spec, NOT_FOUND for what is missing. Nothing in a bundle is executed.
absl::StatusOr<Bundle> LoadBundle(const std::string& directory, SectionChoice choice = {});

/// That SaveBundle may put a bundle there. Only a bundle may be replaced: FAILED_PRECONDITION for
/// anything else in that place, which is somebody's data.
absl::Status CheckReplaceable(const std::string& directory);

/// What a bundle says about itself to people and programs. It is not part of what the bundle's hash
/// names, and LoadBundle reads none of it.
struct BundleReport {
  std::string json = "{}\n";  ///< report.json
  std::string html;           ///< report.html; empty: no such file
  std::string history;        ///< history.json; empty: no such file
};

/// Writes a bundle: `manifest.section` is filled in here. All files appear under a temporary name
/// beside `directory` and are renamed in one step, replacing a bundle that is there; a crash leaves
/// the old one or none.
absl::Status SaveBundle(const std::string& directory, v1::BundleManifest manifest,
                        const std::vector<v1::Section>& sections, const BundleReport& report = {});

/// That a section has the layers, weight sizes and finite values that the plan demands of its node.
absl::Status CheckSection(const NetworkPlan& plan, const v1::Section& section);

/// SHA-256, 32 raw bytes.
std::string Sha256(absl::string_view data);
std::string ToHex(absl::string_view bytes);

/// Reads a whole regular file of at most `max_bytes`; errors name it.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes);
/// Through a temporary name, fsync and rename; follows links, writes devices and pipes straight.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view data);

/// How a manifest says when samples stop at this exit.
v1::ExitThreshold ToProto(const std::string& exit, const ExitThreshold& threshold);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_CORE_BUNDLE_H_

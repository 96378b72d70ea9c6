#include "train/checkpoint.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "runtime/core/bundle.h"
#include "runtime/core/files.h"

namespace ddnn::train {
namespace {

// The number is the format's; a reader refuses any other.
constexpr absl::string_view kMagic = "ddnn checkpoint 1\n";
constexpr size_t kHashBytes = 32;
constexpr size_t kHeaderBytes = kMagic.size() + kHashBytes;
constexpr size_t kMaxDifferences = 6;

absl::Status Damaged(const std::string& path, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(path, ": ", what,
                                          "; it was damaged or is no checkpoint of this version; "
                                          "start again with --restart"));
}

}  // namespace

std::string CheckpointPath(const std::string& out) { return absl::StrCat(out, ".checkpoint"); }

absl::Status SaveCheckpoint(const std::string& path, const v1::Checkpoint& checkpoint) {
  const size_t bytes = checkpoint.ByteSizeLong();
  if (bytes > std::numeric_limits<int32_t>::max()) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, ": a checkpoint of ", bytes, " bytes, at most 2 GiB can be written"));
  }
  std::string data(kMagic);
  data.resize(kHeaderBytes);
  if (!checkpoint.AppendToString(&data)) {
    return absl::InternalError(absl::StrCat(path, ": the checkpoint cannot be encoded"));
  }
  const std::string hash = Sha256(absl::string_view(data).substr(kHeaderBytes));
  if (hash.size() != kHashBytes) return absl::InternalError("SHA-256 failed");
  std::copy(hash.begin(), hash.end(), data.begin() + kMagic.size());

  if (absl::Status made = MakeFolders(ParentFolder(path)); !made.ok()) return made;
  return WriteFileAtomically(path, data);
}

absl::StatusOr<v1::Checkpoint> LoadCheckpoint(const std::string& path, size_t max_bytes) {
  absl::StatusOr<std::string> data = ReadFile(path, max_bytes);
  if (!data.ok()) return data.status();
  if (data->size() < kHeaderBytes || !absl::StartsWith(*data, kMagic)) {
    return Damaged(path, absl::StrCat("does not begin with \"", absl::StripSuffix(kMagic, "\n"),
                                      "\" and a hash"));
  }
  const absl::string_view content = absl::string_view(*data).substr(kHeaderBytes);
  if (Sha256(content) != data->substr(kMagic.size(), kHashBytes)) {
    return Damaged(path, absl::StrCat("the SHA-256 of its ", content.size(),
                                      " bytes is not the one that was written"));
  }
  v1::Checkpoint checkpoint;
  if (content.size() > std::numeric_limits<int32_t>::max() ||
      !checkpoint.ParseFromArray(content.data(), static_cast<int>(content.size()))) {
    return Damaged(path, "not a checkpoint message");
  }
  return checkpoint;
}

std::string DifferencesOf(const v1::TrainingRun& there, const v1::TrainingRun& here) {
  google::protobuf::util::MessageDifferencer differencer;
  std::string report;
  differencer.ReportDifferencesToString(&report);
  if (differencer.Compare(there, here)) return "";
  std::vector<std::string> lines = absl::StrSplit(report, '\n', absl::SkipEmpty());
  if (lines.size() > kMaxDifferences) {
    const size_t more = lines.size() - kMaxDifferences;
    lines.resize(kMaxDifferences);
    lines.push_back(absl::StrCat("and ", more, " more"));
  }
  return absl::StrJoin(lines, "; ");
}

absl::Status CheckSameRun(const std::string& path, const v1::TrainingRun& found,
                          const v1::TrainingRun& expected) {
  const std::string differences = DifferencesOf(found, expected);
  if (differences.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(path, " is from another run, with (there -> here) ", differences,
                   ". Resume with what it was started with, or start again with --restart"));
}

void RemoveCheckpoint(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  const std::string half = absl::StrCat(std::filesystem::path(path).filename().string(), ".tmp-");
  std::vector<std::filesystem::path> left;
  for (const auto& entry : std::filesystem::directory_iterator(ParentFolder(path), ignored)) {
    if (absl::StartsWith(entry.path().filename().string(), half)) left.push_back(entry.path());
  }
  for (const std::filesystem::path& file : left) std::filesystem::remove(file, ignored);
}

}  // namespace ddnn::train

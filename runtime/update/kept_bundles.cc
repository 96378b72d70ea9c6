#include "runtime/update/kept_bundles.h"

#include <fcntl.h>
#include <google/protobuf/text_format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "models/text_proto.h"
#include "runtime/core/files.h"

namespace ddnn {
namespace {

namespace fs = std::filesystem;

constexpr char kStateName[] = "kept.textproto";
constexpr size_t kMaxStateBytes = 1 << 20;

bool IsHex(const std::string& name) {
  return name.size() == 64 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

absl::StatusOr<std::unique_ptr<KeptBundles>> KeptBundles::Open(const std::string& folder) {
  if (absl::Status made = MakeFolders(folder); !made.ok()) return made;
  const std::string lock_path = absl::StrCat(folder, "/lock");
  const int lock = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0) return ErrnoToStatus(errno, lock_path, "cannot be opened");
  auto kept = std::unique_ptr<KeptBundles>(new KeptBundles(folder, lock));
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoToStatus(errno, lock_path, "cannot be locked");
    return absl::FailedPreconditionError(
        absl::StrCat(folder, ": in use by another process; each needs a --state of its own"));
  }
  const std::string path = absl::StrCat(folder, "/", kStateName);
  absl::StatusOr<std::string> text = ReadFile(path, kMaxStateBytes);
  if (absl::IsNotFound(text.status())) return kept;
  if (!text.ok()) return text.status();
  absl::Status parsed = ParseTextProto(*text, path, &kept->state_);
  if (!parsed.ok()) return parsed;
  if (!kept->state_.bundle().empty() && !IsHex(kept->state_.bundle())) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": bundle is not 64 lower-case hexadecimal digits"));
  }
  return kept;
}

KeptBundles::~KeptBundles() { close(lock_); }

absl::Status KeptBundles::Save(const v1::KeptState& state) {
  std::string text;
  if (!google::protobuf::TextFormat::PrintToString(state, &text)) {
    return absl::InternalError("the state cannot be printed");
  }
  absl::Status status = WriteFileAtomically(absl::StrCat(folder_, "/", kStateName), text);
  if (status.ok()) state_ = state;
  return status;
}

std::string KeptBundles::PathOf(const std::string& sha256_hex) const {
  return absl::StrCat(folder_, "/", sha256_hex);
}

absl::Status KeptBundles::Keep(const BundleFiles& files) {
  return WriteBundleFiles(PathOf(files.bundle.sha256_hex()), files);
}

absl::StatusOr<SharedFiles> KeptBundles::Read(const std::string& sha256_hex,
                                              const FindPlace& place) const {
  absl::StatusOr<SharedFiles> files = ReadBundleFiles(PathOf(sha256_hex), place);
  if (!files.ok()) return files.status();
  if ((*files)->bundle.sha256_hex() == sha256_hex) return files;
  return absl::DataLossError(absl::StrCat(PathOf(sha256_hex), ": holds bundle ",
                                          (*files)->bundle.sha256_hex(), ": it was changed"));
}

void KeptBundles::Forget(const std::set<std::string>& but_sha256_hex) {
  std::error_code error, ignored;
  for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    // Also what a killed process wrote half: "<SHA-256>.tmp-PID". The lock says that it is gone.
    if (!IsHex(name.substr(0, 64)) || but_sha256_hex.count(name) != 0) continue;
    fs::remove_all(at->path(), ignored);
  }
}

}  // namespace ddnn

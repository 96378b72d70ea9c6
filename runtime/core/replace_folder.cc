#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "runtime/core/files.h"

namespace ddnn {
namespace {

namespace fs = std::filesystem;

absl::Status MakeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0755) == 0) return absl::OkStatus();
  return ErrnoToStatus(errno, path, "cannot be created");
}

absl::Status WriteFiles(const std::string& folder,
                        const std::map<std::string, std::string>& files) {
  absl::Status status = MakeFolder(folder);
  std::set<std::string> inner;
  for (const auto& [name, data] : files) {
    const std::string path = absl::StrCat(folder, "/", name);
    if (name.find('/') != std::string::npos && inner.insert(ParentFolder(path)).second) {
      status.Update(MakeFolder(ParentFolder(path)));
    }
    if (!status.ok()) return status;
    status = WriteAndSync(path, data);
  }
  for (const std::string& path : inner) {
    if (status.ok()) status = SyncFolder(path);
  }
  if (status.ok()) status = SyncFolder(folder);
  return status;
}

// Puts `temporary` in the place of `directory` in one step; what was there is at `temporary` then.
absl::Status Swap(const std::string& temporary, const std::string& directory) {
  if (renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, directory.c_str(), RENAME_EXCHANGE) == 0) {
    return absl::OkStatus();
  }
  if (errno == ENOENT) {
    if (std::rename(temporary.c_str(), directory.c_str()) == 0) return absl::OkStatus();
    return ErrnoToStatus(errno, directory, "cannot be created");
  }
  if (errno != EINVAL && errno != ENOSYS) {
    return ErrnoToStatus(errno, directory, "cannot be replaced");
  }
  // A file system that cannot exchange: a crash between the two steps leaves the old one beside.
  const std::string old = absl::StrCat(temporary, ".old");
  if (std::rename(directory.c_str(), old.c_str()) != 0) {
    return ErrnoToStatus(errno, directory, "cannot be replaced");
  }
  if (std::rename(temporary.c_str(), directory.c_str()) != 0) {
    const int error = errno;
    if (std::rename(old.c_str(), directory.c_str()) != 0) {
      return ErrnoToStatus(errno, old, "cannot be put back");
    }
    return ErrnoToStatus(error, directory, "cannot be replaced");
  }
  if (std::rename(old.c_str(), temporary.c_str()) != 0) {
    return ErrnoToStatus(errno, old, "cannot be removed");
  }
  return absl::OkStatus();
}

}  // namespace

void RemoveAbandoned(const std::string& prefix) {
  const std::string name = prefix.substr(prefix.rfind('/') + 1);  // all of it without a slash
  std::error_code error, ignored;
  for (fs::directory_iterator at(ParentFolder(prefix), error), end; !error && at != end;
       at.increment(error)) {
    const std::string found = at->path().filename().string();
    if (!absl::StartsWith(found, name)) continue;
    const size_t end_of_pid =
        std::min(found.find_first_not_of("0123456789", name.size()), found.size());
    const std::string rest = found.substr(end_of_pid);
    pid_t pid = 0;
    if (!absl::SimpleAtoi(found.substr(name.size(), end_of_pid - name.size()), &pid) ||
        !(rest.empty() || absl::StartsWith(rest, ".tmp-"))) {
      continue;
    }
    const bool gone = pid > 0 && kill(pid, 0) != 0 && errno == ESRCH;
    if (gone) fs::remove_all(at->path(), ignored);
  }
}

absl::Status ReplaceFolder(const std::string& directory,
                           const std::map<std::string, std::string>& files) {
  const std::string parent = ParentFolder(directory);
  absl::Status status = MakeFolders(parent);
  if (!status.ok()) return status;
  const std::string prefix = absl::StrCat(directory, ".tmp-");
  RemoveAbandoned(prefix);
  const std::string temporary = absl::StrCat(prefix, getpid());
  std::error_code error;
  fs::remove_all(temporary, error);
  status = WriteFiles(temporary, files);
  if (status.ok()) status = Swap(temporary, directory);
  if (status.ok()) status = SyncFolder(parent);
  fs::remove_all(temporary, error);
  return status;
}

}  // namespace ddnn

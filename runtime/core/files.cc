#include "runtime/core/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/core/bundle.h"

namespace ddnn {
namespace {

// Closes on every way out; `Close` tells what the last write came to.
class File {
 public:
  File(const std::string& path, int flags)
      : fd_(open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, 0644)) {}
  ~File() { Close(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }
  bool Close() {
    const int fd = fd_;
    fd_ = -1;
    return fd < 0 || close(fd) == 0;
  }

 private:
  int fd_;
};

absl::Status WriteAll(int fd, const std::string& path, absl::string_view data) {
  while (!data.empty()) {
    const ssize_t n = write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoToStatus(errno, path, "cannot be written");
    data.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

// As many as the kernel follows.
constexpr int kMaxLinks = 40;

// The place that a path leads to when links are followed, whether or not there is something.
absl::StatusOr<std::string> FollowLinks(const std::string& path) {
  std::string place = path;
  char target[PATH_MAX];
  for (int i = 0; i <= kMaxLinks; ++i) {
    const ssize_t n = readlink(place.c_str(), target, sizeof(target));
    if (n < 0) return place;  // no link, or nothing there
    const absl::string_view next(target, static_cast<size_t>(n));
    place = absl::StartsWith(next, "/") ? std::string(next)
                                        : absl::StrCat(ParentFolder(place), "/", next);
  }
  return ErrnoToStatus(ELOOP, path, "cannot be replaced");
}

// Into a device or a pipe, which keep nothing that could be half written.
absl::Status WriteStraight(const std::string& path, absl::string_view data) {
  File file(path, O_WRONLY);
  if (file.fd() < 0) return ErrnoToStatus(errno, path, "cannot be opened");
  absl::Status status = WriteAll(file.fd(), path, data);
  if (!status.ok()) return status;
  if (!file.Close()) return ErrnoToStatus(errno, path, "cannot be written");
  return absl::OkStatus();
}

}  // namespace

absl::Status ErrnoToStatus(int error, const std::string& path, absl::string_view what) {
  const std::string message = absl::StrCat(path, ": ", what, ": ", std::strerror(error));
  if (error == ENOENT) return absl::NotFoundError(message);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(message);
  return absl::UnavailableError(message);
}

absl::Status WriteAndSync(const std::string& path, absl::string_view data) {
  File file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (file.fd() < 0) return ErrnoToStatus(errno, path, "cannot be created");
  absl::Status status = WriteAll(file.fd(), path, data);
  if (!status.ok()) return status;
  if (fsync(file.fd()) != 0) return ErrnoToStatus(errno, path, "cannot be written");
  if (!file.Close()) return ErrnoToStatus(errno, path, "cannot be written");
  return absl::OkStatus();
}

absl::Status SyncFolder(const std::string& path) {
  File folder(path, O_RDONLY | O_DIRECTORY);
  if (folder.fd() < 0) return ErrnoToStatus(errno, path, "cannot be opened");
  // Some file systems cannot sync folders, and say EINVAL.
  if (fsync(folder.fd()) != 0 && errno != EINVAL) {
    return ErrnoToStatus(errno, path, "cannot be synced");
  }
  return absl::OkStatus();
}

absl::Status MakeFolders(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return absl::OkStatus();
    return ErrnoToStatus(ENOTDIR, path, "cannot be created");
  }
  // ENOTDIR: something above is no folder, and is to be named.
  if (errno != ENOENT && errno != ENOTDIR) return ErrnoToStatus(errno, path, "cannot be created");
  const std::string parent = ParentFolder(path);
  if (absl::Status status = MakeFolders(parent); !status.ok()) return status;
  if (mkdir(path.c_str(), 0777) != 0) {
    const int error = errno;
    // Made by another process since, or the same folder as its parent: "a/" and "a/.".
    const bool there = stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
    if (error != EEXIST || !there) return ErrnoToStatus(error, path, "cannot be created");
  }
  return SyncFolder(parent);
}

std::string ParentFolder(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  // A pipe or a device in a file's place must not make us wait for ever.
  File file(path, O_RDONLY | O_NONBLOCK);
  if (file.fd() < 0) return ErrnoToStatus(errno, path, "cannot be opened");
  struct stat info;
  if (fstat(file.fd(), &info) != 0) return ErrnoToStatus(errno, path, "cannot be read");
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  }
  if (static_cast<uint64_t>(info.st_size) > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", info.st_size, " bytes, expected at most ", max_bytes));
  }
  std::string data(static_cast<size_t>(info.st_size), '\0');
  size_t done = 0;
  while (done < data.size()) {
    const ssize_t n = read(file.fd(), &data[done], data.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoToStatus(errno, path, "cannot be read");
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  data.resize(done);
  return data;
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view data) {
  // A rename would put a file in the place of the link or of the device itself: root's /dev/null.
  struct stat info;
  if (stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return ErrnoToStatus(EISDIR, path, "cannot be replaced");
    if (!S_ISREG(info.st_mode)) return WriteStraight(path, data);
  } else if (errno != ENOENT) {
    return ErrnoToStatus(errno, path, "cannot be replaced");
  }
  const absl::StatusOr<std::string> place = FollowLinks(path);
  if (!place.ok()) return place.status();
  const std::string temporary = absl::StrCat(*place, ".tmp-", getpid());
  absl::Status status = WriteAndSync(temporary, data);
  if (status.ok() && std::rename(temporary.c_str(), place->c_str()) != 0) {
    status = ErrnoToStatus(errno, *place, "cannot be replaced");
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  return SyncFolder(ParentFolder(*place));
}

}  // namespace ddnn

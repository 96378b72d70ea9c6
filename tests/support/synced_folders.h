#ifndef DDNN_TESTS_SUPPORT_SYNCED_FOLDERS_H_
#define DDNN_TESTS_SUPPORT_SYNCED_FOLDERS_H_

#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>
#include <system_error>

namespace ddnn {

/// What the program has asked the disk to keep, files and folders, by absolute path.
inline std::set<std::string>& Synced() {
  static auto* const kPaths = new std::set<std::string>;
  return *kPaths;
}

}  // namespace ddnn

/// In the place of the C library's: that a folder was synced shows nowhere else. One test program
/// is one source file, so this is defined once in each.
extern "C" int fsync(int fd) {
  std::error_code ignored;
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  ddnn::Synced().insert(std::filesystem::read_symlink(link, ignored).string());
  return static_cast<int>(syscall(SYS_fsync, fd));
}

#endif  // DDNN_TESTS_SUPPORT_SYNCED_FOLDERS_H_

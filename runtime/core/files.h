#ifndef DDNN_RUNTIME_CORE_FILES_H_
#define DDNN_RUNTIME_CORE_FILES_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace ddnn {

/// An errno as a status: NOT_FOUND for ENOENT, PERMISSION_DENIED for EACCES, else UNAVAILABLE;
/// "<path>: <what>: <text of the error>".
absl::Status ErrnoToStatus(int error, const std::string& path, absl::string_view what);

/// Creates or replaces a file and waits until the disk has it.
absl::Status WriteAndSync(const std::string& path, absl::string_view data);

/// Waits until the disk has the folder's entries.
absl::Status SyncFolder(const std::string& path);

/// Makes a folder and those above it that are missing, and waits until the disk has them. One that
/// is there is fine; errors name what is in the way.
absl::Status MakeFolders(const std::string& path);

/// "." for a name without a slash.
std::string ParentFolder(const std::string& path);

/// Removes what processes that were killed left behind: `prefix` and the number of one that is
/// gone, or such a folder half written (".tmp-..."). Nothing of a process that is still there.
void RemoveAbandoned(const std::string& prefix);

/// Writes a folder of files: all appear under a temporary name beside `directory` and are renamed
/// in one step, replacing what is there, which the caller has looked at; a crash leaves the old one
/// or none. Folders above it are made; temporary ones that killed processes left are removed.
///
/// \param directory  without a slash at its end
/// \param files      contents by name, "a" or "inner/a"
absl::Status ReplaceFolder(const std::string& directory,
                           const std::map<std::string, std::string>& files);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_CORE_FILES_H_

#ifndef DDNN_TOOLS_LOCAL_CHILD_PROCESS_H_
#define DDNN_TOOLS_LOCAL_CHILD_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace ddnn {

/// A program started by this one, which never outlives it: the kernel kills it when the thread that
/// started it ends, however that happens. Start children from the main thread only.
///
/// The child leads a process group of its own, so that Ctrl-C reaches only the parent, which then
/// decides who ends when. It reads from /dev/null; stdout comes here, stderr goes to a file.
/// Not safe to call from several threads.
class ChildProcess {
 public:
  /// \param argv      argv[0] is the path of the program.
  /// \param log_path  stderr is appended to this file, which is created if need be.
  /// NOT_FOUND or PERMISSION_DENIED when the program cannot be run, naming it.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(const std::vector<std::string>& argv,
                                                             const std::string& log_path);

  /// Kills the child and waits for its end, if it still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  /// The read end of the child's stdout, for poll(); -1 once it has ended.
  int output_fd() const { return output_fd_; }

  /// Takes what the child has printed by now, whole lines only, without waiting; at its end also a
  /// last line without a newline.
  std::vector<std::string> ReadLines();

  /// Nothing happens if it has ended already.
  void Signal(int number);

  /// True once the child has ended and was reaped.
  bool ended();
  /// Exit status, or 128 + the signal that ended it; only once ended() is true.
  int exit_code() const { return exit_code_; }

  /// Waits until the child ends or the time is over, dropping what it prints; returns ended().
  bool WaitForEnd(absl::Duration timeout);

 private:
  ChildProcess(pid_t pid, int output_fd) : pid_(pid), output_fd_(output_fd) {}

  pid_t pid_;
  int output_fd_;
  bool ended_ = false;
  int exit_code_ = 0;
  std::string partial_line_;
};

/// The last `lines` lines of a text file; empty if it cannot be read.
std::string TailOfFile(const std::string& path, int lines);

}  // namespace ddnn

#endif  // DDNN_TOOLS_LOCAL_CHILD_PROCESS_H_

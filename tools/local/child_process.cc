#include "tools/local/child_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <deque>
#include <fstream>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"

namespace ddnn {
namespace {

// Everything the child needs, made before fork(): after it only async-signal-safe calls are
// allowed.
struct Launch {
  std::vector<char*> argv;
  int log_fd = -1;
  int null_fd = -1;
  int output_fd = -1;
  int error_fd = -1;
  pid_t parent = 0;
};

[[noreturn]] void BecomeChild(const Launch& launch) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have ended before prctl() took effect.
  if (getppid() != launch.parent) _exit(127);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  dup2(launch.null_fd, STDIN_FILENO);
  dup2(launch.output_fd, STDOUT_FILENO);
  dup2(launch.log_fd, STDERR_FILENO);
  execv(launch.argv[0], launch.argv.data());
  const int error = errno;
  // The parent reads it; if it does not, there is nobody left to tell.
  (void)!write(launch.error_fd, &error, sizeof(error));
  _exit(127);
}

// Closes on scope exit what it holds.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  ~Fd() { Reset(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  int Release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void Reset(int fd = -1) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

absl::Status OpenPipe(Fd* read_end, Fd* write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe2");
  read_end->Reset(ends[0]);
  write_end->Reset(ends[1]);
  return absl::OkStatus();
}

// What execv() said, 0 if it worked: the pipe closes by itself then.
int ReadExecError(int fd) {
  int error = 0;
  ssize_t n;
  do {
    n = read(fd, &error, sizeof(error));
  } while (n < 0 && errno == EINTR);
  return n == sizeof(error) ? error : 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(
    const std::vector<std::string>& argv, const std::string& log_path) {
  if (argv.empty()) return absl::InvalidArgumentError("no program to start");
  Fd log(open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (log.get() < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", log_path));
  Fd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  Fd out_read, out_write, error_read, error_write;
  absl::Status status = OpenPipe(&out_read, &out_write);
  if (status.ok()) status = OpenPipe(&error_read, &error_write);
  if (!status.ok()) return status;
  fcntl(out_read.get(), F_SETFL, O_NONBLOCK);

  Launch launch;
  for (const std::string& word : argv) launch.argv.push_back(const_cast<char*>(word.c_str()));
  launch.argv.push_back(nullptr);
  launch.log_fd = log.get();
  launch.null_fd = null.get();
  launch.output_fd = out_write.get();
  launch.error_fd = error_write.get();
  launch.parent = getpid();

  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "fork");
  if (pid == 0) BecomeChild(launch);
  setpgid(pid, pid);  // also here: whoever comes first
  out_write.Reset();
  error_write.Reset();
  if (const int error = ReadExecError(error_read.get())) {
    waitpid(pid, nullptr, 0);
    return absl::ErrnoToStatus(error, absl::StrCat("cannot run ", argv[0]));
  }
  return absl::WrapUnique(new ChildProcess(pid, out_read.Release()));
}

ChildProcess::~ChildProcess() {
  if (!ended()) {
    Signal(SIGKILL);
    int status;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  if (output_fd_ >= 0) close(output_fd_);
}

std::vector<std::string> ChildProcess::ReadLines() {
  std::vector<std::string> lines;
  char buffer[16384];
  while (output_fd_ >= 0) {
    const ssize_t n = read(output_fd_, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (n <= 0) {
      close(output_fd_);
      output_fd_ = -1;
      if (!partial_line_.empty()) lines.push_back(std::move(partial_line_));
      partial_line_.clear();
      break;
    }
    for (ssize_t i = 0; i < n; ++i) {
      if (buffer[i] == '\n') {
        lines.push_back(std::move(partial_line_));
        partial_line_.clear();
      } else {
        partial_line_.push_back(buffer[i]);
      }
    }
  }
  return lines;
}

void ChildProcess::Signal(int number) {
  // Not after the end was seen: the number may be somebody else's by then.
  if (!ended()) kill(pid_, number);
}

bool ChildProcess::ended() {
  if (ended_) return true;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return false;
  ended_ = true;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return true;
}

bool ChildProcess::WaitForEnd(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!ended() && absl::Now() < deadline) {
    ReadLines();
    pollfd wait{output_fd_, POLLIN, 0};
    poll(&wait, output_fd_ >= 0 ? 1 : 0, 10);
  }
  return ended();
}

std::string TailOfFile(const std::string& path, int lines) {
  std::ifstream in(path);
  std::deque<std::string> tail;
  for (std::string line; std::getline(in, line);) {
    tail.push_back(line);
    if (static_cast<int>(tail.size()) > lines) tail.pop_front();
  }
  return absl::StrJoin(tail, "\n");
}

}  // namespace ddnn

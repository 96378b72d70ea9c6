#include "runtime/update/trial.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/core/bundle.h"
#include "runtime/net/clock.h"

extern char** environ;

namespace ddnn {
namespace {

constexpr char kTrialFlag[] = "--try_bundle";  // not one for people
constexpr int kSamples = 3;
constexpr size_t kMaxWords = 1000;

// Values of the kind that the section joins, different ones in each sample.
SectionInput MadeUp(const NodePlan& node, int sample) {
  SectionInput input;
  const size_t size = static_cast<size_t>(node.input.shape.size());
  for (size_t i = 0; i < size; ++i) {
    const size_t n = (i + 1) * 2654435761u + static_cast<size_t>(sample) * 40503u;
    if (node.tier == 0) {
      input.pixels.push_back(static_cast<char>(n >> 8));
    } else if (node.input.kind == ValueKind::kBit) {
      input.values.push_back((n >> 8 & 1) != 0 ? 1.0f : -1.0f);
    } else {
      input.values.push_back(node.input.unit * static_cast<float>(n >> 8 & 15));
    }
  }
  return input;
}

class Pipe {
 public:
  Pipe() { ok_ = pipe2(ends_, O_CLOEXEC) == 0; }
  ~Pipe() {
    if (!ok_) return;
    close(ends_[0]);
    CloseWrite();
  }
  void CloseWrite() {
    if (ends_[1] >= 0) close(ends_[1]);
    ends_[1] = -1;
  }
  bool ok() const { return ok_; }
  int read_end() const { return ends_[0]; }
  int write_end() const { return ends_[1]; }

 private:
  int ends_[2] = {-1, -1};
  bool ok_ = false;
};

int Spawn(const std::vector<std::string>& argv, int output, pid_t* pid) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);  // ours are blocked
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  std::vector<char*> raw;
  for (const std::string& arg : argv) raw.push_back(const_cast<char*>(arg.c_str()));
  raw.push_back(nullptr);
  const int error = posix_spawn(pid, raw[0], &files, &attributes, raw.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error;
}

// Reads what the process says until it ends or the time is over; false in that case. The last of
// its words are kept.
bool ReadToEnd(pid_t pid, int output, absl::Duration limit, std::string* words, int* status) {
  const Clock clock = SteadyClock();  // a device's clock may be set for the first time meanwhile
  const absl::Time deadline = clock() + limit;
  bool open = true;
  while (true) {
    pollfd wait{output, POLLIN, 0};
    // Its end is looked for now and then: something that it started may keep the pipe open.
    if (poll(&wait, open ? 1 : 0, 20) > 0) {
      char buffer[4096];
      const ssize_t got = read(output, buffer, sizeof(buffer));
      if (got > 0) words->append(buffer, static_cast<size_t>(got));
      if (got == 0) open = false;
      if (words->size() > kMaxWords) words->erase(0, words->size() - kMaxWords);
      if (got > 0 && clock() <= deadline) continue;
    }
    if (waitpid(pid, status, WNOHANG) == pid) return true;
    if (clock() > deadline) return false;
  }
}

}  // namespace

absl::Status RunTrial(const std::string& folder, int tier, int node, EngineFactory factory) {
  absl::StatusOr<Bundle> bundle = LoadBundle(folder, {tier, node});
  if (!bundle.ok()) return bundle.status();
  absl::StatusOr<std::unique_ptr<Engine>> engine =
      factory(bundle->plan, bundle->sections.at({tier, node}));
  if (!engine.ok()) return engine.status();
  std::vector<SectionInput> batch;
  for (int sample = 0; sample < kSamples; ++sample) {
    batch.push_back(MadeUp(bundle->plan.node(tier, node), sample));
  }
  return (*engine)->Run(batch).status();
}

absl::Status RunCommand(const std::vector<std::string>& argv, absl::Duration limit) {
  Pipe pipe;
  if (!pipe.ok()) return absl::UnavailableError(absl::StrCat("no pipe: ", std::strerror(errno)));
  pid_t pid = 0;
  const int error = Spawn(argv, pipe.write_end(), &pid);
  if (error != 0) {
    return absl::UnavailableError(absl::StrCat(argv[0], ": cannot be run: ", std::strerror(error)));
  }
  pipe.CloseWrite();
  std::string words;
  int status = 0;
  const bool ended = ReadToEnd(pid, pipe.read_end(), limit, &words, &status);
  if (!ended) {
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return absl::InternalError(absl::StrCat("did not end within ", absl::FormatDuration(limit)));
  }
  if (WIFSIGNALED(status)) {
    return absl::InternalError(absl::StrCat("killed by signal ", WTERMSIG(status), " (",
                                            strsignal(WTERMSIG(status)), ")"));
  }
  if (WEXITSTATUS(status) == 0) return absl::OkStatus();
  // How posix_spawn says it where it cannot say it at once (POSIX; under qemu).
  if (WEXITSTATUS(status) == 127 && words.empty()) {
    return absl::UnavailableError(absl::StrCat(argv[0], ": cannot be run"));
  }
  return absl::InternalError(
      absl::StrCat("ended with ", WEXITSTATUS(status), ": ", absl::StripAsciiWhitespace(words)));
}

absl::Status TryInProcess(const std::string& folder, int tier, int node, absl::Duration limit) {
  const absl::Status status = RunCommand(
      {"/proc/self/exe", kTrialFlag, folder, absl::StrCat(tier), absl::StrCat(node)}, limit);
  if (status.ok() || absl::IsUnavailable(status)) return status;
  return absl::InternalError(
      absl::StrCat("its section, tried in a process of its own: ", std::string(status.message())));
}

std::optional<int> TrialMain(const std::vector<std::string>& args, EngineFactory factory) {
  int tier = 0, node = 0;
  if (args.size() != 4 || args[0] != kTrialFlag || !absl::SimpleAtoi(args[2], &tier) ||
      !absl::SimpleAtoi(args[3], &node)) {
    return std::nullopt;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const absl::Status status = RunTrial(args[1], tier, node, factory);
  if (status.ok()) return 0;
  std::cerr << std::string(status.message()) << std::endl;
  return 1;
}

}  // namespace ddnn

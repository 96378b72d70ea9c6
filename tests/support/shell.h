#ifndef DDNN_TESTS_SUPPORT_SHELL_H_
#define DDNN_TESTS_SUPPORT_SHELL_H_

#include <sys/wait.h>

#include <cstdio>
#include <string>

namespace ddnn {

struct Ended {
  int code = -1;    ///< exit status, or 128 + the signal
  std::string out;  ///< stdout, and stderr where the command says so
};

/// Runs a shell command to its end.
inline Ended Shell(const std::string& command) {
  Ended ended;
  FILE* pipe = popen(command.c_str(), "r");
  char buffer[4096];
  size_t got;
  while ((got = fread(buffer, 1, sizeof(buffer), pipe)) > 0) ended.out.append(buffer, got);
  const int status = pclose(pipe);
  ended.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ended;
}

}  // namespace ddnn

#endif  // DDNN_TESTS_SUPPORT_SHELL_H_

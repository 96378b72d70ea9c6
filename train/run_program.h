#ifndef DDNN_TRAIN_RUN_PROGRAM_H_
#define DDNN_TRAIN_RUN_PROGRAM_H_

#include <cstdio>
#include <exception>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "runtime/ops/program_flags.h"
#include "train/tune_process.h"

namespace ddnn::train {

/// That --threads is a number of threads that a process can have: where it cannot, what starts them
/// ends the process. INVALID_ARGUMENT names what was found and what was expected.
inline absl::Status CheckThreads(int threads) {
  constexpr int kMost = 1024;
  if (threads >= 0 && threads <= kMost) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--threads=", threads, ": expected 0 to ", kMost));
}

/// The exit status that `work` wants, 130 when it was cancelled, or 1 after its error, returned or
/// thrown, was told on stderr behind the program's name.
inline int ExitStatus(const std::string& name, const std::function<absl::StatusOr<int>()>& work) {
  absl::StatusOr<int> code = 0;
  try {
    code = work();
  } catch (const std::exception& error) {
    code = absl::InternalError(error.what());
  }
  if (code.ok()) return *code;
  if (absl::IsCancelled(code.status())) return 130;
  absl::FPrintF(stderr, "%s: %s\n", name, code.status().message());
  return 1;
}

/// What ddnn-train, ddnn-eval and ddnn-calibrate do around their work: once per process, reads the
/// flags, and gives its ExitStatus.
inline int RunProgram(int argc, char** argv, const std::string& name, const char* usage,
                      absl::StatusOr<int> (*work)()) {
  TuneProcess(argv);
  return ExitStatus(name, [&]() -> absl::StatusOr<int> {
    const absl::Status flags = ReadFlags(argc, argv, usage);
    return flags.ok() ? work() : flags;
  });
}

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_RUN_PROGRAM_H_

#ifndef DDNN_TRAIN_RUN_PROGRAM_H_
#define DDNN_TRAIN_RUN_PROGRAM_H_

#include <cstdio>
#include <string>
#include <vector>

#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "train/tune_process.h"

namespace ddnn::train {

/// What ddnn-train and ddnn-eval do around their work: reads the flags, and gives the exit status
/// that `work` wants, 130 when it was cancelled, or 1 after its error was told on stderr.
inline int RunProgram(int argc, char** argv, const std::string& name, const char* usage,
                      absl::StatusOr<int> (*work)()) {
  TuneProcess(argv);
  absl::SetProgramUsageMessage(usage);
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  const absl::StatusOr<int> code =
      rest.size() > 1
          ? absl::InvalidArgumentError(absl::StrCat("what is \"", rest[1], "\"? see --help"))
          : work();
  if (code.ok()) return *code;
  if (absl::IsCancelled(code.status())) return 130;
  absl::FPrintF(stderr, "%s: %s\n", name, code.status().message());
  return 1;
}

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_RUN_PROGRAM_H_

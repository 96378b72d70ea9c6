#ifndef DDNN_RUNTIME_OPS_PROGRAM_FLAGS_H_
#define DDNN_RUNTIME_OPS_PROGRAM_FLAGS_H_

#include <string>

#include "absl/status/status.h"

namespace ddnn {

// The flags of a program that is none of the daemons: Abseil's, defined in a file *main.cc.

/// Before Abseil reads them: people who type --max-bytes mean --max_bytes. Values stay as they are.
void UnderscoresInFlags(int argc, char** argv);

/// A line per flag: its name (--[no]name for yes or no), what it does and, unless empty, its
/// default. tools/packaging reads it: man pages and completions are made from it.
std::string OwnFlagsHelp();

/// Reads the command line. On --help or -h, writes `usage` and OwnFlagsHelp to stdout and ends the
/// process with 0. A flag that does not exist ends it with 1, as Abseil does.
/// \return  INVALID_ARGUMENT names what is no flag
absl::Status ReadFlags(int argc, char** argv, const char* usage);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_OPS_PROGRAM_FLAGS_H_

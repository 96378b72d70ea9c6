#ifndef DDNN_RUNTIME_OPS_LOGGING_H_
#define DDNN_RUNTIME_OPS_LOGGING_H_

#include <string>

#include "absl/status/status.h"

namespace ddnn {

/// Logs to stderr from now on, each line with the time, this name and the level; stdout stays for
/// results. gRPC's own log is off unless GRPC_VERBOSITY asks for it. Call once, before anything of
/// gRPC. INVALID_ARGUMENT lists the levels there are.
absl::Status SetUpLogging(const std::string& name, const std::string& level);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_OPS_LOGGING_H_

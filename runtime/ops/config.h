#ifndef DDNN_RUNTIME_OPS_CONFIG_H_
#define DDNN_RUNTIME_OPS_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ddnn/v1/config.pb.h"
#include "models/network_plan.h"
#include "runtime/core/bundle.h"
#include "runtime/net/node_host.h"

namespace ddnn {

enum class Role { kDevice, kEdge, kCloud };

/// A daemon's command line: every field of NodeConfig that applies to its role is a flag
/// (--field=value or --field value; --field and --nofield for yes and no; --threshold EXIT=ENTROPY,
/// repeatable), and --config FILE reads the same fields as text-format protobuf. Flags win over the
/// file, the file over the defaults.
struct CommandLine {
  v1::NodeConfig config;  ///< with defaults filled in
  bool help = false;      ///< nothing else was looked at
};

/// INVALID_ARGUMENT for a flag or field that is unknown, does not apply to the role, has a value of
/// the wrong type or range, or is missing; it is named. Errors of the file name it.
///
/// \param args  without the program's name.
absl::StatusOr<CommandLine> ParseCommandLine(Role role, const std::vector<std::string>& args);

/// The flags of a role with their defaults, one a line; --[no]json is yes or no.
/// tools/packaging reads it: man pages and completions are made from it.
std::string FlagsHelp(Role role);

/// What a host is started with. NOT_FOUND names a threshold whose exit the network does not have.
absl::StatusOr<NodeHost::Options> HostOptions(const v1::NodeConfig& config, const Bundle& bundle,
                                              int tier, int index);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_OPS_CONFIG_H_

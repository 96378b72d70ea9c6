#ifndef DDNN_RUNTIME_UPDATE_TRIAL_H_
#define DDNN_RUNTIME_UPDATE_TRIAL_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/core/engine.h"

namespace ddnn {

/// Loads a node's section from a bundle's folder, makes its engine and runs a few made-up samples.
absl::Status RunTrial(const std::string& folder, int tier, int node, EngineFactory factory);

/// Runs a command and waits for its end. An error says how it ended: by a signal, with which status
/// and last words, or not within `limit` (it is killed then). The command's stdout goes to stderr.
absl::Status RunCommand(const std::vector<std::string>& argv, absl::Duration limit);

/// RunTrial in a process of its own, which may crash or hang: this program, started with an
/// argument that its main must know by TrialMain.
absl::Status TryInProcess(const std::string& folder, int tier, int node,
                          absl::Duration limit = absl::Seconds(20));

/// To be called first in main: the exit status, if the program was started by TryInProcess.
std::optional<int> TrialMain(const std::vector<std::string>& args, EngineFactory factory);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_UPDATE_TRIAL_H_

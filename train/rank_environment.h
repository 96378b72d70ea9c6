#ifndef DDNN_TRAIN_RANK_ENVIRONMENT_H_
#define DDNN_TRAIN_RANK_ENVIRONMENT_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace ddnn::train {

/// Who this process is among those that train together, as torchrun, Slurm wrappers and Kubeflow
/// say it in the environment.
struct RankEnvironment {
  int rank = 0, world_size = 1;
  /// Among those on this machine: which GPU is whose, how many share the processors.
  int local_rank = 0, local_size = 1;
  std::string address;
  uint16_t port = 0;
  /// torchrun keeps the store itself, and this process only uses it; else rank 0 keeps it.
  bool agent_store = false;
  std::string prefix;  ///< of all keys in the store
};

/// WORLD_SIZE absent or 1: alone, and nothing else is looked at. INVALID_ARGUMENT names the
/// variable, what was found and what was expected.
///
/// \param get  as getenv
absl::StatusOr<RankEnvironment> ReadRankEnvironment(
    const std::function<const char*(const char*)>& get);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_RANK_ENVIRONMENT_H_

// In place of process_group.cc where Gloo's headers were not there when this was built.
#include "train/process_group.h"

namespace ddnn::train {

struct ProcessGroup::Backends {};

absl::StatusOr<std::unique_ptr<ProcessGroup>> ProcessGroup::Join(const RankEnvironment&,
                                                                 const std::atomic<bool>*, bool,
                                                                 const RankTimes&) {
  return absl::FailedPreconditionError(
      "WORLD_SIZE is above 1, and this build cannot train in several processes: build it where "
      "Gloo's headers are (libgloo-dev)");
}
ProcessGroup::~ProcessGroup() = default;
void ProcessGroup::Sum(absl::Span<double>) {}
void ProcessGroup::Sum(const at::Tensor&) {}
void ProcessGroup::Broadcast(std::string*) {}
void ProcessGroup::Broadcast(const std::vector<at::Tensor>&) {}

}  // namespace ddnn::train

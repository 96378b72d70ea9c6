#include "train/rank_environment.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace ddnn::train {
namespace {

constexpr int kMostRanks = 1024;

}  // namespace

absl::StatusOr<RankEnvironment> ReadRankEnvironment(
    const std::function<const char*(const char*)>& get) {
  RankEnvironment environment;
  absl::Status status;
  const auto text = [&](const char* name) {
    const char* value = get(name);
    return std::string(value == nullptr ? "" : value);
  };
  const auto number = [&](const char* name, int least, int most) {
    const std::string found = text(name);
    int value = least;
    if (absl::SimpleAtoi(found, &value) && value >= least && value <= most) return value;
    status.Update(absl::InvalidArgumentError(
        absl::StrCat(name, found.empty() ? " is not set" : absl::StrCat("=\"", found, "\""),
                     ": expected a number from ", least, " to ", most,
                     ", since WORLD_SIZE=", text("WORLD_SIZE"))));
    return least;
  };
  if (text("WORLD_SIZE").empty()) return environment;
  environment.world_size = number("WORLD_SIZE", 1, kMostRanks);
  if (!status.ok()) return status;
  if (environment.world_size == 1) return environment;
  environment.rank = number("RANK", 0, environment.world_size - 1);
  environment.address = text("MASTER_ADDR");
  if (environment.address.empty()) {
    status.Update(absl::InvalidArgumentError(absl::StrCat(
        "MASTER_ADDR is not set: expected the name or address of rank 0's machine, since "
        "WORLD_SIZE=",
        text("WORLD_SIZE"))));
  }
  environment.port = static_cast<uint16_t>(number("MASTER_PORT", 1, 65535));
  // torchrun's names, else those that Slurm gives every task.
  const auto first_of = [&](const char* name, const char* slurms) {
    return text(name).empty() ? slurms : name;
  };
  const char* local_rank = first_of("LOCAL_RANK", "SLURM_LOCALID");
  if (!text(local_rank).empty()) environment.local_rank = number(local_rank, 0, kMostRanks - 1);
  const char* local_size = first_of("LOCAL_WORLD_SIZE", "SLURM_NTASKS_PER_NODE");
  if (!text(local_size).empty()) {
    environment.local_size = number(local_size, 1, environment.world_size);
  }
  if (!status.ok()) return status;
  environment.agent_store = text("TORCHELASTIC_USE_AGENT_STORE") == "True";
  // The agent's store outlives a restart of its processes.
  environment.prefix = absl::StrCat("ddnn/", text("TORCHELASTIC_RUN_ID"), "/",
                                    text("TORCHELASTIC_RESTART_COUNT"), "/");
  return environment;
}

}  // namespace ddnn::train

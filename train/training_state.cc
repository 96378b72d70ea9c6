#include "train/training_state.h"

#include <ATen/core/Tensor.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/core/bundle.h"
#include "train/tensor_bytes.h"

namespace ddnn::train {
namespace {

template <typename... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

absl::Status CheckCount(const char* what, int64_t found, int64_t expected) {
  if (found == expected) return absl::OkStatus();
  return Invalid(what, ": found ", found, ", expected ", expected);
}

absl::Status CheckBest(const NetworkPlan& plan, const v1::Checkpoint& checkpoint) {
  std::set<std::pair<std::string, int>> places;
  for (const v1::Section& section : checkpoint.best_section()) {
    absl::Status status = CheckSection(plan, section);
    if (!status.ok()) return Invalid("best_section: ", status.message());
    places.emplace(section.tier(), section.node());
  }
  size_t nodes = 0;
  for (const TierPlan& tier : plan.tiers()) nodes += tier.nodes.size();
  // Fine-tuning has a best one from the start.
  const bool any = checkpoint.now().epoch() > 1 || !checkpoint.run().init().empty();
  return CheckCount("best_section", places.size(), any ? nodes : 0);
}

}  // namespace

void StoreModel(const std::vector<StateTensor>& model, const Adam& adam,
                v1::Checkpoint* checkpoint) {
  checkpoint->clear_tensor();
  checkpoint->clear_moment();
  for (const StateTensor& t : model) checkpoint->add_tensor(TensorBytes(t.value));
  for (const at::Tensor& t : adam.moments()) checkpoint->add_moment(TensorBytes(t));
  checkpoint->set_steps(adam.steps());
}

absl::Status RestoreModel(const v1::Checkpoint& checkpoint, const std::vector<StateTensor>& model,
                          Adam* adam) {
  const std::vector<at::Tensor>& moments = adam->moments();
  absl::Status status = CheckCount("tensor", checkpoint.tensor_size(), model.size());
  status.Update(CheckCount("moment", checkpoint.moment_size(), moments.size()));
  if (!status.ok()) return status;
  for (int i = 0; i < checkpoint.tensor_size() && status.ok(); ++i) {
    status = SetTensor(model[i].name, checkpoint.tensor(i), model[i].value);
  }
  for (int i = 0; i < checkpoint.moment_size() && status.ok(); ++i) {
    status = SetTensor(absl::StrCat("moment ", i), checkpoint.moment(i), moments[i]);
  }
  adam->set_steps(checkpoint.steps());
  return status;
}

size_t MaxCheckpointBytes(const NetworkPlan& plan, const std::vector<StateTensor>& model,
                          const v1::TrainingRun& run) {
  constexpr size_t kSlack = 1 << 20, kPerTensor = 1 << 10;
  size_t bytes = kSlack + run.ByteSizeLong();
  // Value, two moments, and the share in the best sections.
  for (const StateTensor& t : model) bytes += kPerTensor + 4 * 4 * t.value.numel();
  constexpr size_t kPerEpoch = 256, kPerExit = 256;
  return bytes +
         (kPerEpoch + kPerExit * plan.exits().size()) * (static_cast<size_t>(run.epochs()) + 1);
}

absl::Status CheckProgress(const NetworkPlan& plan, const v1::Checkpoint& checkpoint,
                           int64_t epoch_samples) {
  const v1::TrainingRun& run = checkpoint.run();
  const v1::EpochRecord& now = checkpoint.now();
  if (now.epoch() < 1 || now.epoch() > run.epochs() + 1) {
    return Invalid("epoch is ", now.epoch(), ", expected 1 to ", run.epochs() + 1);
  }
  if (now.samples() < 0 || now.samples() > epoch_samples ||
      (now.samples() < epoch_samples && now.samples() % run.batch() != 0)) {
    return Invalid("samples is ", now.samples(), ", expected a multiple of ", run.batch(),
                   " up to ", epoch_samples);
  }
  if (checkpoint.best_epoch() < 0 || checkpoint.best_epoch() >= now.epoch()) {
    return Invalid("best_epoch is ", checkpoint.best_epoch(), " in epoch ", now.epoch());
  }
  const int exits = static_cast<int>(plan.exits().size());
  absl::Status status = CheckCount("exit", now.exit_size(), exits);
  status.Update(CheckCount("epoch", checkpoint.history().epoch_size(), now.epoch() - 1));
  int64_t steps = now.steps();
  for (const v1::EpochRecord& epoch : checkpoint.history().epoch()) {
    status.Update(CheckCount("exit", epoch.exit_size(), exits));
    steps += epoch.steps();
  }
  status.Update(CheckCount("steps", checkpoint.steps(), steps));
  status.Update(CheckBest(plan, checkpoint));
  return status;
}

}  // namespace ddnn::train

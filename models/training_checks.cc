#include "models/training_checks.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

// Not a number is in no range.
template <typename Value>
absl::Status InRange(const std::string& field, Value found, double least, double most) {
  if (found >= least && found <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("training.", field, " is ", found, ", expected ", least, " to ", most));
}

absl::Status CheckSchedule(const v1::Training& training) {
  const v1::Schedule& schedule = training.schedule();
  if (training.has_schedule() && schedule.kind_case() == v1::Schedule::KIND_NOT_SET) {
    return absl::InvalidArgumentError(
        "training.schedule is empty, expected constant, step, cosine or one_cycle");
  }
  absl::Status status;
  if (schedule.has_step()) {
    status.Update(InRange("schedule.step.epochs", schedule.step().epochs(), 1, 1e6));
    status.Update(InRange("schedule.step.factor", schedule.step().factor(), 0, 1));
  }
  status.Update(InRange("schedule.cosine.end", schedule.cosine().end(), 0, 1));
  const v1::OneCycleSchedule& cycle = schedule.one_cycle();
  status.Update(InRange("schedule.one_cycle.warm_up", cycle.warm_up(), 0, 1));
  status.Update(InRange("schedule.one_cycle.start", cycle.start(), 0, 1));
  status.Update(InRange("schedule.one_cycle.end", cycle.end(), 0, 1));
  return status;
}

// An early end needs an end that it can be earlier than.
absl::Status CheckPatience(const v1::Training& training) {
  absl::Status status = InRange("patience", training.patience(), 0, 1e6);
  if (!status.ok() || training.patience() <= training.epochs()) return status;
  return absl::InvalidArgumentError(absl::StrCat("training.patience is ", training.patience(),
                                                 ", expected at most training.epochs, which is ",
                                                 training.epochs()));
}

absl::Status CheckClassWeights(const v1::Training& training, int classes) {
  const v1::ClassWeights& weights = training.class_weights();
  if (training.has_class_weights() && weights.weight_size() == 0 && !weights.balanced()) {
    return absl::InvalidArgumentError(
        "training.class_weights is empty, expected weight or balanced: true");
  }
  if (weights.weight_size() == 0) return absl::OkStatus();
  if (weights.balanced()) {
    return absl::InvalidArgumentError(
        "training.class_weights has both weight and balanced, expected one of them");
  }
  if (weights.weight_size() != classes) {
    return absl::InvalidArgumentError(absl::StrCat("training.class_weights.weight: found ",
                                                   weights.weight_size(), ", expected ", classes,
                                                   ", one per class_name"));
  }
  absl::Status status;
  for (int c = 0; c < classes; ++c) {
    status.Update(
        InRange(absl::StrCat("class_weights.weight[", c, "]"), weights.weight(c), 0, 1e6));
  }
  const bool none = std::all_of(weights.weight().begin(), weights.weight().end(),
                                [](float weight) { return weight == 0; });
  if (status.ok() && none) {
    return absl::InvalidArgumentError("training.class_weights.weight is 0 for every class");
  }
  return status;
}

absl::Status CheckAugmentation(const v1::NetworkSpec& spec) {
  std::vector<bool> named(std::max(spec.views(), 0));
  const int side = std::min(spec.input().height(), spec.input().width());
  int index = 0;
  for (const v1::Augmentation& entry : spec.training().augmentation()) {
    const std::string field = absl::StrCat("augmentation[", index++, "].");
    absl::Status status = InRange(field + "shift", entry.shift(), 0, side - 1);
    status.Update(InRange(field + "flip", entry.flip(), 0, 1));
    status.Update(InRange(field + "crop", entry.crop(), 0, 0.9));
    status.Update(InRange(field + "brightness", entry.brightness(), 0, 1));
    status.Update(InRange(field + "erase", entry.erase(), 0, side));
    if (!status.ok()) return status;
    std::vector<int> views(entry.view().begin(), entry.view().end());
    for (int v = 0; entry.view_size() == 0 && v < spec.views(); ++v) views.push_back(v);
    for (int view : views) {
      status = InRange(field + "view", view, 0, spec.views() - 1);
      if (!status.ok()) return status;
      if (named[view]) {
        return absl::InvalidArgumentError(
            absl::StrCat("training.", field, "view: another entry is for view ", view, " too"));
      }
      named[view] = true;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTraining(const v1::NetworkSpec& spec) {
  const v1::Training& training = spec.training();
  absl::Status status = InRange("epochs", training.epochs(), 0, 1e6);
  status.Update(InRange("batch", training.batch(), 0, 65536));
  status.Update(InRange("learning_rate", training.learning_rate(), 0, 1));
  status.Update(InRange("view_dropout", training.view_dropout(), 0, 1));
  if (status.ok() && training.view_dropout() == 1) {
    status = absl::InvalidArgumentError("training.view_dropout is 1, expected less than 1");
  }
  status.Update(InRange("max_accuracy_drop", training.max_accuracy_drop(), 0, 1));
  status.Update(InRange("samples_per_epoch", training.samples_per_epoch(), 0, 2147483647.0));
  status.Update(CheckSchedule(training));
  status.Update(InRange("weight_decay.rate", training.weight_decay().rate(), 0, 10));
  status.Update(CheckPatience(training));
  status.Update(CheckClassWeights(training, spec.class_name_size()));
  status.Update(CheckAugmentation(spec));
  if (status.ok() && !v1::Precision_IsValid(training.precision())) {
    status = absl::InvalidArgumentError(absl::StrCat("training.precision is ", training.precision(),
                                                     ", expected FLOAT32 or BFLOAT16"));
  }
  return status;
}

}  // namespace ddnn

#include "train/epoch_record.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <utility>

namespace ddnn::train {
namespace {

constexpr double kHalf = 0.5;

double Mean(double sum, int64_t count) { return count > 0 ? sum / static_cast<double>(count) : 0; }

// [B]: NormalizedEntropy of every row; not-a-number stays so and is at or below nothing.
at::Tensor Entropies(const at::Tensor& scores) {
  const at::Tensor log = scores.log_softmax(1);
  return -(log.exp() * log).sum(1) / std::log(static_cast<double>(scores.size(1)));
}

}  // namespace

v1::EpochRecord NewEpochRecord(const NetworkPlan& plan, int epoch) {
  v1::EpochRecord record;
  record.set_epoch(epoch);
  for (const ExitPlan& exit : plan.exits()) record.add_exit()->set_exit(exit.name);
  return record;
}

void AddTrainingBatch(const BatchLoss& loss, int64_t samples, v1::EpochRecord* record) {
  record->set_steps(record->steps() + 1);
  record->set_samples(record->samples() + samples);
  record->set_loss_sum(record->loss_sum() + loss.value * static_cast<double>(samples));
  for (size_t e = 0; e < loss.exits.size(); ++e) {
    const ExitLoss& found = loss.exits[e];
    v1::ExitEpoch* exit = record->mutable_exit(static_cast<int>(e));
    exit->set_loss_sum(exit->loss_sum() + found.loss * static_cast<double>(found.counted));
    exit->set_counted(exit->counted() + found.counted);
    exit->set_right(exit->right() + found.right);
  }
}

void AddCalibrationBatch(const NetworkPlan& plan, const std::vector<ExitBatch>& exits,
                         const at::Tensor& labels, const at::Tensor& view_labels,
                         v1::EpochRecord* record) {
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> losses;
  JointLoss(plan, exits, labels, view_labels, &losses);
  at::Tensor left;  // bool [B]: still on their way up
  for (size_t e = 0; e < exits.size(); ++e) {
    v1::ExitEpoch* exit = record->mutable_exit(static_cast<int>(e));
    const auto [counted, right] = CountRight(plan, exits[e], labels);
    exit->set_calibration_loss_sum(exit->calibration_loss_sum() +
                                   losses[e].item<double>() * static_cast<double>(counted));
    exit->set_calibration_counted(exit->calibration_counted() + counted);
    exit->set_calibration_right(exit->calibration_right() + right);
    if (e == 0) {
      left = exits[e].mask.defined() ? exits[e].mask > 0 : at::ones_like(labels, at::kBool);
      record->set_calibration_samples(record->calibration_samples() + left.sum().item<int64_t>());
    }
    const bool last = e + 1 == exits.size();
    const at::Tensor stops = last ? left : left.logical_and(Entropies(exits[e].scores) <= kHalf);
    exit->set_calibration_stopped_at_half(exit->calibration_stopped_at_half() +
                                          stops.sum().item<int64_t>());
    left = left.logical_and(stops.logical_not());
  }
}

ProgressReport ReportOf(const v1::EpochRecord& record) {
  ProgressReport report;
  report.epoch = record.epoch();
  report.samples = record.samples();
  report.loss = Mean(record.loss_sum(), record.samples());
  report.learning_rate = record.learning_rate();
  report.flipped = record.flipped();
  report.binary_weights = record.binary_weights();
  report.best = record.best();
  report.record = &record;
  for (const v1::ExitEpoch& exit : record.exit()) {
    report.exit_names.push_back(exit.exit());
    report.exit_loss.push_back(Mean(exit.loss_sum(), exit.counted()));
    report.exit_accuracy.push_back(Mean(static_cast<double>(exit.right()), exit.counted()));
    if (record.calibration_samples() == 0) continue;
    report.calibration_loss.push_back(
        Mean(exit.calibration_loss_sum(), exit.calibration_counted()));
    report.calibration_accuracy.push_back(
        Mean(static_cast<double>(exit.calibration_right()), exit.calibration_counted()));
    report.calibration_stopped_at_half.push_back(Mean(
        static_cast<double>(exit.calibration_stopped_at_half()), record.calibration_samples()));
  }
  return report;
}

}  // namespace ddnn::train

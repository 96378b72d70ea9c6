#include "train/training_log.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace ddnn::train {
namespace {

constexpr int kEverySteps = 10;

double Ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

TrainingLog::TrainingLog(std::unique_ptr<EventFile> events) : events_(std::move(events)) {}

void TrainingLog::StartFrom(const ProgressReport& report, absl::Time now) {
  told_ = *report.record;
  told_at_ = now;
  told_stepping_ = report.stepping;
  told_waited_ = report.waited;
}

void TrainingLog::OnBatch(const ProgressReport& report, absl::Time now) {
  // The first call of an epoch comes before its first step, and so does the first after a
  // half-finished epoch was taken up again.
  const bool first = told_at_ == absl::InfinitePast();
  if (first) events_->Start(report.step + 1, now);
  if (first || told_.epoch() != report.record->epoch()) {
    StartFrom(report, now);
  } else if (report.step % kEverySteps == 0) {
    AddSteps(report, now);
  }
}

void TrainingLog::AddSteps(const ProgressReport& report, absl::Time now) {
  const v1::EpochRecord& record = *report.record;
  const double steps = static_cast<double>(record.steps() - told_.steps());
  const double samples = static_cast<double>(record.samples() - told_.samples());
  if (steps <= 0 || record.exit_size() != told_.exit_size()) return;
  EventFile::Scalars scalars = {
      {"train/loss", Ratio(record.loss_sum() - told_.loss_sum(), samples)},
      {"train/learning_rate", record.learning_rate()},
      {"train/samples_per_second", Ratio(samples, absl::ToDoubleSeconds(now - told_at_))},
      {"train/waiting_for_data", Ratio(absl::ToDoubleSeconds(report.waited - told_waited_),
                                       absl::ToDoubleSeconds(report.stepping - told_stepping_))}};
  for (int e = 0; e < record.exit_size(); ++e) {
    const v1::ExitEpoch &exit = record.exit(e), &told = told_.exit(e);
    const double counted = static_cast<double>(exit.counted() - told.counted());
    scalars.emplace_back(absl::StrCat("train/loss/", exit.exit()),
                         Ratio(exit.loss_sum() - told.loss_sum(), counted));
    scalars.emplace_back(absl::StrCat("train/accuracy/", exit.exit()),
                         Ratio(static_cast<double>(exit.right() - told.right()), counted));
  }
  if (record.binary_weights() > 0) {
    scalars.emplace_back("train/binary_weights_flipped_per_step",
                         Ratio(static_cast<double>(record.flipped() - told_.flipped()),
                               steps * static_cast<double>(record.binary_weights())));
  }
  events_->Add(report.step, scalars, now);
  StartFrom(report, now);
}

void TrainingLog::OnEpoch(const ProgressReport& report, absl::Time now) {
  if (told_.epoch() == report.record->epoch()) AddSteps(report, now);
  EventFile::Scalars scalars = {{"epoch/number", report.epoch}, {"epoch/train_loss", report.loss}};
  for (size_t e = 0; e < report.calibration_accuracy.size(); ++e) {
    const std::string& exit = report.exit_names[e];
    scalars.emplace_back(absl::StrCat("epoch/train_accuracy/", exit), report.exit_accuracy[e]);
    scalars.emplace_back(absl::StrCat("calibration/loss/", exit), report.calibration_loss[e]);
    scalars.emplace_back(absl::StrCat("calibration/accuracy/", exit),
                         report.calibration_accuracy[e]);
    scalars.emplace_back(absl::StrCat("calibration/exit_fraction_at_threshold_0.5/", exit),
                         report.calibration_stopped_at_half[e]);
  }
  if (report.binary_weights > 0) {
    scalars.emplace_back("epoch/binary_weight_flips", static_cast<double>(report.flipped));
  }
  events_->Add(report.step, scalars, now);
  events_->Flush();
}

}  // namespace ddnn::train

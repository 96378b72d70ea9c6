#include "train/progress.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "train/training_log.h"

namespace ddnn::train {
namespace {

constexpr int kBarWidth = 20;
constexpr absl::Duration kDrawEvery = absl::Milliseconds(100);

std::string Accuracies(const std::vector<std::string>& names, const std::vector<double>& values) {
  std::string text;
  for (size_t e = 0; e < values.size(); ++e) {
    absl::StrAppendFormat(&text, "  %s %.1f%%", names[e], 100 * values[e]);
  }
  return text;
}

// Samples of the whole run that are done.
double Behind(const ProgressReport& report) {
  return static_cast<double>(report.epoch - 1) * report.epoch_samples + report.samples;
}

std::string Waiting(const ProgressReport& report) {
  if (report.stepping <= absl::ZeroDuration()) return "";
  return absl::StrFormat("  %.1f%% waiting for data",
                         100 * absl::FDivDuration(report.waited, report.stepping));
}

std::string Bar(double done) {
  const int full = std::clamp(static_cast<int>(done * kBarWidth), 0, kBarWidth);
  return absl::StrCat("[", std::string(full, '#'), std::string(kBarWidth - full, '.'), "]");
}

}  // namespace

Progress::Progress(std::FILE* out, bool terminal, TrainingLog* log)
    : out_(out), terminal_(terminal), log_(log) {}

std::string Progress::Speed(const ProgressReport& report, absl::Time now) {
  const double seconds = absl::ToDoubleSeconds(now - start_);
  const double behind = Behind(report), done = behind - start_behind_;
  if (seconds <= 0 || done <= 0) return "";
  const double left =
      seconds * (static_cast<double>(report.epochs) * report.epoch_samples - behind) / done;
  const int total = static_cast<int>(left + 0.5);
  return absl::StrFormat("  %.0f samples/s  %d:%02d left", done / seconds, total / 60, total % 60);
}

void Progress::OnNote(const std::string& text) {
  if (out_ == nullptr) return;
  absl::FPrintF(out_, "note: %s\n", text);
  std::fflush(out_);
}

void Progress::OnBatch(const ProgressReport& report, absl::Time now) {
  if (log_ != nullptr && report.record != nullptr) log_->OnBatch(report, now);
  if (start_ == absl::InfinitePast()) {
    start_ = now;
    start_behind_ = Behind(report);
  }
  if (out_ == nullptr || !terminal_ || now - drawn_ < kDrawEvery) return;
  drawn_ = now;
  const double done =
      static_cast<double>(report.samples) / std::max<int64_t>(report.epoch_samples, 1);
  const std::string line = absl::StrFormat(
      "epoch %d/%d %s loss %.3f%s%s", report.epoch, report.epochs, Bar(done), report.loss,
      Accuracies(report.exit_names, report.exit_accuracy), Speed(report, now));
  // Return, line, erase what an earlier, longer line left behind.
  absl::FPrintF(out_, "\r%s\033[K", line);
  std::fflush(out_);
}

void Progress::OnEpoch(const ProgressReport& report, absl::Time now) {
  const bool start = report.epoch == 0;
  if (log_ != nullptr && report.record != nullptr && !start) log_->OnEpoch(report, now);
  if (out_ == nullptr) return;
  if (start) {
    absl::FPrintF(out_, "start  calibration:%s\n",
                  Accuracies(report.exit_names, report.calibration_accuracy));
    std::fflush(out_);
    return;
  }
  absl::FPrintF(out_, "%sepoch %d/%d  loss %.3f  calibration:%s%s%s%s\n",
                terminal_ ? "\r\033[K" : "", report.epoch, report.epochs, report.loss,
                Accuracies(report.exit_names, report.calibration_accuracy), Speed(report, now),
                Waiting(report), report.best ? "  (best so far)" : "");
  std::fflush(out_);
}

}  // namespace ddnn::train

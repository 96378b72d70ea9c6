#ifndef DDNN_TRAIN_TRAINING_LOG_H_
#define DDNN_TRAIN_TRAINING_LOG_H_

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "ddnn/v1/history.pb.h"
#include "train/event_file.h"
#include "train/progress.h"

namespace ddnn::train {

/// Tells TensorBoard about training. Every tenth step, over the steps since the last time: loss and
/// accuracy of each exit, learning rate, samples a second, share of the time that steps
/// waited for data, share of binary weights that change their sign in a step. After each epoch:
/// loss and accuracy of each exit on the calibration split, and the share of its samples that each
/// exit would take if all thresholds were 0.5: the bundle's own are chosen only when training is
/// over.
class TrainingLog {
 public:
  explicit TrainingLog(std::unique_ptr<EventFile> events);

  /// As Progress gets them. `report.record` must be set.
  void OnBatch(const ProgressReport& report, absl::Time now);
  void OnEpoch(const ProgressReport& report, absl::Time now);

  /// The first error of the file.
  void Flush() { events_->Flush(); }
  const absl::Status& status() const { return events_->status(); }

 private:
  void AddSteps(const ProgressReport& report, absl::Time now);
  void StartFrom(const ProgressReport& report, absl::Time now);

  std::unique_ptr<EventFile> events_;
  v1::EpochRecord told_;  // what the file knows of this epoch
  absl::Time told_at_ = absl::InfinitePast();
  absl::Duration told_stepping_, told_waited_;
};

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_TRAINING_LOG_H_

#ifndef DDNN_TRAIN_PROGRESS_H_
#define DDNN_TRAIN_PROGRESS_H_

#include <cstdio>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "ddnn/v1/history.pb.h"

namespace ddnn::train {

/// What training has to tell while it runs.
struct ProgressReport {
  int epoch = 0, epochs = 0;               ///< epoch counts from 1
  int64_t samples = 0, epoch_samples = 0;  ///< done in this epoch, and its length
  int64_t step = 0;                        ///< done in the whole training
  double loss = 0;                         ///< mean over this epoch so far
  double learning_rate = 0;                ///< of the last step
  /// Changes of sign in this epoch so far, and how many binary weights there are.
  int64_t flipped = 0, binary_weights = 0;
  std::vector<std::string> exit_names;
  /// So far in this epoch, training samples. The losses have no weights.
  std::vector<double> exit_loss, exit_accuracy;
  /// At the end of an epoch: of each exit on the calibration split; else empty.
  std::vector<double> calibration_loss, calibration_accuracy;
  /// Likewise: the share that each exit would take if all thresholds were 0.5.
  std::vector<double> calibration_stopped_at_half;
  /// In this sitting: spent in steps, and of this in waiting for data.
  absl::Duration stepping, waited;
  bool best = false;  ///< at the end of an epoch: the best so far
  /// The sums behind these means, while the call lasts; may be null.
  const v1::EpochRecord* record = nullptr;
};

class TrainingLog;

/// Shows training: on a terminal one line that is drawn anew, elsewhere one plain line per epoch.
class Progress {
 public:
  /// \param out  not owned; nothing is printed when null.
  /// \param log  told the same; not owned, may be null.
  Progress(std::FILE* out, bool terminal, TrainingLog* log = nullptr);
  virtual ~Progress() = default;

  /// Something to know before the first step.
  virtual void OnNote(const std::string& text);
  /// A batch is done; draws at most ten times a second.
  virtual void OnBatch(const ProgressReport& report, absl::Time now);
  /// An epoch is done. Epoch 0 is the start of fine-tuning: it has calibration figures alone.
  virtual void OnEpoch(const ProgressReport& report, absl::Time now);

 private:
  std::string Speed(const ProgressReport& report, absl::Time now);

  std::FILE* out_;
  bool terminal_;
  TrainingLog* log_;
  absl::Time start_ = absl::InfinitePast(), drawn_ = absl::InfinitePast();
  double start_behind_ = 0;  ///< samples that were done at start_: a resumed run has some
};

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_PROGRESS_H_

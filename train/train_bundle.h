#ifndef DDNN_TRAIN_TRAIN_BUNDLE_H_
#define DDNN_TRAIN_TRAIN_BUNDLE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "datasets/dataset.h"
#include "ddnn/v1/report.pb.h"
#include "runtime/core/engine.h"
#include "train/trainer.h"

namespace ddnn::train {

struct BundleResult {
  v1::RunSummary summary;  ///< on the test split, of the bundle as it was read back
  Trained trained;
  absl::Duration reading;  ///< of samples, before the first step
};

/// The options a network's spec asks for, where set; the rest as in TrainOptions.
TrainOptions DefaultOptions(const NetworkPlan& plan);

/// Trains `plan` on `dataset` and writes the bundle: best epoch, thresholds chosen on the
/// calibration split, evaluation on the test split of what was written. `directory` is replaced in
/// one step at the very end; before that, and on any error, it is left as it was.
///
/// Meanwhile there is a checkpoint beside it (CheckpointPath), which goes when the bundle is there.
/// With `options.resume` training goes on from it, to the same bundle bit for bit as without a
/// pause. `options.checkpoint` and `options.data` are filled in here.
///
/// With options.group rank 0 does all of this; the others train with it, write nothing and return
/// without a summary.
///
/// \param engine  what evaluates the exported sections
/// INVALID_ARGUMENT when the data does not fit the network or a split is empty.
/// FAILED_PRECONDITION: a checkpoint is there and neither resume nor restart was asked for;
/// NOT_FOUND: none is there to resume. CANCELLED: *options.stop. Else what TrainNetwork, the
/// dataset and SaveBundle say.
absl::StatusOr<BundleResult> TrainBundle(const NetworkPlan& plan, const Dataset& dataset,
                                         const std::string& directory, const TrainOptions& options,
                                         EngineFactory engine, Progress* progress);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_TRAIN_BUNDLE_H_

#ifndef DDNN_TRAIN_TRAINER_H_
#define DDNN_TRAIN_TRAINER_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ddnn/v1/bundle.pb.h"
#include "ddnn/v1/history.pb.h"
#include "models/network_plan.h"
#include "runtime/core/bundle.h"
#include "train/process_group.h"
#include "train/progress.h"
#include "train/sample_store.h"

namespace ddnn::train {

struct TrainOptions {
  int epochs = 10;
  int batch = 128;  ///< of all ranks together
  float learning_rate = 1e-3f;
  float view_dropout = 0;         ///< chance of hiding each view of a sample, never all of them
  int64_t samples_per_epoch = 0;  ///< 0: all
  uint64_t seed = 1;
  int threads = 2;
  bool cuda = false;
  const std::atomic<bool>* stop = nullptr;  ///< may be null; looked at before every batch
  /// Where the weights start instead of at random; checked against the plan. Not owned.
  const Bundle* init = nullptr;
  std::string data;        ///< what the samples are; a checkpoint remembers it
  std::string checkpoint;  ///< where it is written; empty: nowhere
  bool resume = false;     ///< go on from it
  bool restart = false;    ///< forget the one that is there (TrainBundle)
  /// The processes that train together; null: this one alone. Not owned. All have the same options
  /// but `threads`; checkpoints are rank 0's alone.
  ProcessGroup* group = nullptr;

  int rank() const { return group == nullptr ? 0 : group->rank(); }
};

struct Trained {
  std::vector<v1::Section> sections;  ///< of the best epoch
  int best_epoch = 0;                 ///< counts from 1; 0: none was better than options.init
  int epochs = 0;                     ///< completed
  v1::TrainingHistory history;        ///< of all epochs completed
};

/// Whether this LibTorch can compute on a GPU here.
bool CudaAvailable();

/// Trains all exits of a network together (JointLoss) with Adam, as plan.spec().training()
/// says: schedule, weight decay, patience, class weights, augmentation.
///
/// Kept is the epoch with the highest mean accuracy over all exits on the calibration samples: a
/// network whose last exit gained a little while its first lost more is the worse one to deploy.
/// The same options, samples and build give the same result bit for bit (on a CPU), also in
/// several sittings: a checkpoint is written after every epoch and when *stop ends it.
///
/// With options.init it is fine-tuning: the first step goes on from the function that the bundle's
/// sections compute, which progress->OnEpoch hears of as epoch 0. They are kept where no epoch is
/// better, and patience counts from them. INVALID_ARGUMENT names what does not fit
/// (SectionsToStartFrom).
/// With options.group every rank takes its part of each batch, in order; batch norm, loss and
/// gradients are those of the whole batch, so that it learns what one process would, up to rounding
/// and dropout. All ranks get the result. UNAVAILABLE names a rank that is gone; CANCELLED comes to
/// all of them.
///
/// CANCELLED: *stop; what was done is in the checkpoint. FAILED_PRECONDITION: a GPU was asked for
/// and there is none, or the checkpoint is from another run. INTERNAL: the loss is no number, or
/// LibTorch threw. Else what SaveCheckpoint and LoadCheckpoint say.
absl::StatusOr<Trained> TrainNetwork(const NetworkPlan& plan, const SampleStore& train,
                                     const SampleStore& calibration, const TrainOptions& options,
                                     Progress* progress);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_TRAINER_H_

#include "train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "train/augment.h"
#include "train/batch.h"
#include "train/checkpoint.h"
#include "train/ddnn_module.h"
#include "train/epoch_record.h"
#include "train/fine_tune.h"
#include "train/learner.h"
#include "train/plane_kernels.h"
#include "train/prefetcher.h"
#include "train/schedule.h"
#include "train/training_settings.h"
#include "train/training_state.h"

namespace ddnn::train {
namespace {

constexpr int64_t kEvaluationBatch = 256;
constexpr int64_t kBatchesAhead = 4;
// From which the statistics of a bundle's folded batch norms are taken.
constexpr int64_t kStatisticsSamples = 512;

// Adds up what the ranks' records say of the calibration split.
void SumCalibration(ProcessGroup* group, v1::EpochRecord* record) {
  std::vector<double> all = {static_cast<double>(record->calibration_samples())};
  for (const v1::ExitEpoch& exit : record->exit()) {
    all.insert(all.end(),
               {exit.calibration_loss_sum(), static_cast<double>(exit.calibration_counted()),
                static_cast<double>(exit.calibration_right()),
                static_cast<double>(exit.calibration_stopped_at_half())});
  }
  group->Sum(absl::MakeSpan(all));
  record->set_calibration_samples(static_cast<int64_t>(all[0]));
  const double* sums = all.data() + 1;
  for (v1::ExitEpoch& exit : *record->mutable_exit()) {
    exit.set_calibration_loss_sum(sums[0]);
    exit.set_calibration_counted(static_cast<int64_t>(sums[1]));
    exit.set_calibration_right(static_cast<int64_t>(sums[2]));
    exit.set_calibration_stopped_at_half(static_cast<int64_t>(sums[3]));
    sums += 4;
  }
}

// Each rank takes its share of the batches.
void Calibrate(DdnnModule* module, const SampleStore& store, const c10::Device& device,
               ProcessGroup* group, v1::EpochRecord* record) {
  at::NoGradGuard no_grad;
  const NetworkPlan& plan = module->plan();
  module->set_training(false);
  const int64_t ranks = group == nullptr ? 1 : group->size();
  const int64_t rank = group == nullptr ? 0 : group->rank();
  for (int64_t begin = rank * kEvaluationBatch; begin < store.size();
       begin += ranks * kEvaluationBatch) {
    std::vector<int64_t> indices(std::min(kEvaluationBatch, store.size() - begin));
    std::iota(indices.begin(), indices.end(), begin);
    std::vector<uint64_t> presence(store.presence.begin() + begin,
                                   store.presence.begin() + begin + indices.size());
    const Batch batch = Gather(store, plan.view_shape(), indices, presence, device);
    AddCalibrationBatch(plan, module->Forward(batch.pixels, batch.presence), batch.labels,
                        batch.view_labels, record);
  }
  module->set_training(true);
  if (group != nullptr) SumCalibration(group, record);
}

double SumOfAccuracies(const ProgressReport& report) {
  return std::accumulate(report.calibration_accuracy.begin(), report.calibration_accuracy.end(),
                         0.0);
}

// What makes this run this run: a checkpoint continues no other.
v1::TrainingRun Identity(const NetworkPlan& plan, const SampleStore& train,
                         const SampleStore& calibration, const TrainOptions& options) {
  v1::TrainingRun run;
  *run.mutable_network() = plan.spec();
  run.set_data(options.data);
  run.set_data_fingerprint(Fingerprint(train) ^ (Fingerprint(calibration) >> 1));
  run.set_epochs(options.epochs);
  run.set_batch(options.batch);
  run.set_learning_rate(options.learning_rate);
  run.set_view_dropout(options.view_dropout);
  run.set_samples_per_epoch(options.samples_per_epoch);
  run.set_seed(options.seed);
  run.set_threads(options.threads);
  run.set_kernels(Kernels().name);
  run.set_cuda(options.cuda);
  if (options.init != nullptr) run.set_init(options.init->sha256_hex());
  if (options.group != nullptr) run.set_world_size(options.group->size());
  return run;
}

at::Tensor ClassWeights(const NetworkPlan& plan, const SampleStore& train) {
  const std::vector<float> weights =
      ClassWeightsOf(plan.spec().training().class_weights(), train.labels, plan.classes());
  return weights.empty() ? at::Tensor() : at::tensor(weights, at::kFloat);
}

c10::Device DeviceOf(const TrainOptions& options) {
  if (!options.cuda) return at::kCPU;
  if (options.group == nullptr) return at::kCUDA;
  return {at::kCUDA, static_cast<c10::DeviceIndex>(options.group->local_rank())};
}

class Run {
 public:
  Run(const NetworkPlan& plan, const SampleStore& train, const SampleStore& calibration,
      const TrainOptions& options, Progress* progress)
      : plan_(plan),
        train_(train),
        calibration_(calibration),
        options_(options),
        progress_(progress),
        group_(options.group),
        device_(DeviceOf(options)),
        learner_(plan, device_, ClassWeights(plan, train), options.group),
        augmenter_(plan) {
    const int64_t size = train.size();
    per_epoch_ = options.samples_per_epoch > 0 ? std::min(options.samples_per_epoch, size) : size;
    if (!options.checkpoint.empty() || group_ != nullptr) {
      *now_.mutable_run() = Identity(plan, train, calibration, options);
    }
    *now_.mutable_now() = NewEpochRecord(plan, 1);
  }

  absl::StatusOr<Trained> Go() {
    absl::Status begun = group_ == nullptr ? absl::OkStatus() : MeetOthers();
    if (begun.ok() && options_.resume) {
      begun = Restore();
    } else if (begun.ok() && options_.init != nullptr) {
      begun = StartFromBundle();
    }
    if (!begun.ok()) return begun;
    if (group_ != nullptr) TakeFromRank0();
    while (epoch() <= options_.epochs && !OutOfPatience()) {
      absl::Status status = Epoch();
      if (absl::IsCancelled(status) && unsaved_) {
        if (absl::Status saved = Save(); !saved.ok()) return saved;
      }
      if (status.ok()) status = FinishEpoch();
      if (!status.ok()) return status;
    }
    if (group_ != nullptr) {
      if (absl::Status met = group_->Meet(); !met.ok()) return met;
    }
    Trained trained;
    trained.sections.assign(now_.best_section().begin(), now_.best_section().end());
    trained.best_epoch = now_.best_epoch();
    trained.epochs = now_.history().epoch_size();
    trained.history = now_.history();
    return trained;
  }

 private:
  bool stopped() const {
    return group_ != nullptr ? group_->stop_agreed() : options_.stop != nullptr && *options_.stop;
  }
  int epoch() const { return now_.now().epoch(); }

  // A function of what a checkpoint holds: a resumed run ends where the whole one does.
  bool OutOfPatience() const {
    const int patience = plan_.spec().training().patience();
    return patience > 0 && epoch() - 1 - now_.best_epoch() >= patience;
  }

  // Reading samples takes each rank another time.
  absl::Status MeetOthers() {
    if (absl::Status met = group_->Meet(); !met.ok()) return met;
    v1::TrainingRun own = now_.run(), first;
    std::string bytes = own.SerializeAsString();
    group_->Broadcast(&bytes);
    if (!first.ParseFromString(bytes))
      return absl::InternalError("rank 0 did not say what it runs");
    first.clear_threads();
    own.clear_threads();
    // Other ranks' processors may be others.
    first.clear_kernels();
    own.clear_kernels();
    std::string differences = DifferencesOf(first, own);
    // No part of the run: one that was begun goes on with --resume.
    std::string resume = options_.resume ? "--resume" : "no --resume", own_resume = resume;
    group_->Broadcast(&resume);
    if (resume != own_resume) {
      absl::StrAppend(&differences, differences.empty() ? "" : "; ", resume, " -> ", own_resume);
    }
    if (differences.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("was started otherwise than rank 0, with (rank 0 -> here) ", differences));
  }

  // Processors of other kinds round otherwise: nobody drifts for longer than an epoch.
  void TakeFromRank0() {
    std::vector<at::Tensor> all = learner_.adam().moments();
    for (const StateTensor& t : learner_.state()) all.push_back(t.value);
    group_->Broadcast(all);
  }

  absl::Status Epoch() {
    const std::vector<int64_t> order =
        EpochOrder(options_.seed, epoch(), train_.size(), per_epoch_);
    const int64_t begin = now_.now().samples(), number = epoch();
    Prefetcher<Batch> batches(
        (per_epoch_ - begin + options_.batch - 1) / options_.batch,
        std::max(options_.threads / 2, 1), kBatchesAhead, [&](int64_t i) {
          const int64_t done = begin + i * options_.batch;
          return DrawPart(absl::MakeConstSpan(order).subspan(done, options_.batch), number);
        });
    now_.mutable_now()->set_binary_weights(learner_.binary_weights());
    progress_->OnBatch(Report(), absl::Now());
    while (now_.now().samples() < per_epoch_) {
      if (stopped()) return absl::CancelledError("interrupted");
      absl::Status status = Step(&batches);
      if (!status.ok()) return status;
      progress_->OnBatch(Report(), absl::Now());
    }
    return absl::OkStatus();
  }

  absl::Status Step(Prefetcher<Batch>* batches) {
    const absl::Time begin = absl::Now();
    const absl::Duration waited = batches->waited();
    Batch batch = batches->Next();
    for (at::Tensor* t : {&batch.pixels, &batch.presence, &batch.labels, &batch.view_labels}) {
      *t = t->to(device_);
    }
    SeedStep(options_.seed, learner_.adam().steps(), options_.rank());
    const double loss = learner_.Step(batch, LearningRate(), now_.mutable_now());
    if (!std::isfinite(loss)) {
      return absl::InternalError(
          absl::StrCat("the loss is ", loss, " in epoch ", epoch(), ": lower --learning_rate"));
    }
    waited_ += batches->waited() - waited;
    stepping_ += absl::Now() - begin;
    unsaved_ = true;
    return absl::OkStatus();
  }

  // This rank's part of a joint batch: rank r has the r-th of as many parts as there are ranks.
  Batch DrawPart(absl::Span<const int64_t> joint, int epoch) const {
    if (group_ == nullptr) return Draw(joint, epoch);
    const int64_t count = static_cast<int64_t>(joint.size());
    const int64_t begin = count * group_->rank() / group_->size();
    const int64_t end = count * (group_->rank() + 1) / group_->size();
    Batch batch = begin == end ? NoSample(train_.views, plan_.view_shape(), plan_.classes())
                               : Draw(joint.subspan(begin, end - begin), epoch);
    batch.of = count;
    return batch;
  }

  // Called by the threads that prepare batches: changes nothing, and asks nothing that a step
  // changes.
  Batch Draw(absl::Span<const int64_t> indices, int epoch) const {
    std::vector<uint64_t> presence;
    for (int64_t index : indices) {
      presence.push_back(
          HideViews(options_.seed, epoch, index, train_.presence[index], options_.view_dropout));
    }
    Batch batch = Gather(train_, plan_.view_shape(), indices, presence, at::kCPU);
    uint8_t* pixels = batch.pixels.data_ptr<uint8_t>();
    for (size_t i = 0; i < indices.size(); ++i) {
      augmenter_.Apply(options_.seed, epoch, indices[i], presence[i],
                       pixels + i * train_.sample_bytes());
    }
    return batch;
  }

  ProgressReport Report() const {
    ProgressReport report = ReportOf(now_.now());
    report.epochs = options_.epochs;
    report.epoch_samples = per_epoch_;
    report.step = learner_.adam().steps();
    report.stepping = stepping_;
    report.waited = waited_;
    return report;
  }

  absl::Status FinishEpoch() {
    if (group_ != nullptr) TakeFromRank0();
    Calibrate(&learner_.module(), calibration_, device_, group_, now_.mutable_now());
    ProgressReport report = Report();
    const double sum = SumOfAccuracies(report);
    report.best = now_.best_section().empty() || sum > now_.best_accuracy();
    if (report.best) {
      now_.set_best_epoch(report.epoch);
      now_.set_best_accuracy(sum);
      now_.clear_best_section();
      for (v1::Section& section : learner_.module().Export())
        *now_.add_best_section() = std::move(section);
    }
    now_.mutable_now()->set_best(report.best);
    *now_.mutable_history()->add_epoch() = now_.now();
    *now_.mutable_now() = NewEpochRecord(plan_, report.epoch + 1);
    absl::Status saved = Save();
    progress_->OnEpoch(report, absl::Now());
    return saved;
  }

  absl::Status Save() {
    unsaved_ = false;
    if (options_.checkpoint.empty()) return absl::OkStatus();
    v1::Checkpoint checkpoint = now_;
    StoreModel(learner_.state(), learner_.adam(), &checkpoint);
    return SaveCheckpoint(options_.checkpoint, checkpoint);
  }

  absl::Status StartFromBundle() {
    const absl::StatusOr<std::vector<v1::Section>> sections =
        SectionsToStartFrom(*options_.init, plan_);
    if (!sections.ok()) return sections.status();
    const std::vector<int64_t> some =
        EpochOrder(options_.seed, 0, train_.size(), std::min(kStatisticsSamples, train_.size()));
    std::vector<uint64_t> presence;
    for (int64_t index : some) presence.push_back(train_.presence[index]);
    const Batch batch = Gather(train_, plan_.view_shape(), some, presence, device_);
    learner_.module().Import(*sections, batch.pixels, batch.presence);
    v1::EpochRecord start = NewEpochRecord(plan_, 0);
    if (group_ != nullptr) TakeFromRank0();
    Calibrate(&learner_.module(), calibration_, device_, group_, &start);
    ProgressReport report = ReportOf(start);
    report.epochs = options_.epochs;
    // As they came: what the module would export is another rounding of the same function.
    now_.mutable_best_section()->Assign(sections->begin(), sections->end());
    now_.set_best_accuracy(SumOfAccuracies(report));
    progress_->OnEpoch(report, absl::Now());
    return absl::OkStatus();
  }

  // Other ranks' machines may not have the file.
  absl::StatusOr<v1::Checkpoint> ReadCheckpoint() {
    absl::StatusOr<v1::Checkpoint> found;
    if (options_.rank() == 0) {
      found = LoadCheckpoint(options_.checkpoint,
                             MaxCheckpointBytes(plan_, learner_.state(), now_.run()));
      if (!found.ok()) return found;
      absl::Status same = CheckSameRun(options_.checkpoint, found->run(), now_.run());
      if (!same.ok()) return same;
    }
    if (group_ == nullptr) return found;
    std::string bytes = options_.rank() == 0 ? found->SerializeAsString() : "";
    group_->Broadcast(&bytes);
    found = v1::Checkpoint();
    if (!found->ParseFromString(bytes)) return absl::InternalError("rank 0 sent no checkpoint");
    return found;
  }

  absl::Status Restore() {
    absl::StatusOr<v1::Checkpoint> found = ReadCheckpoint();
    if (!found.ok()) return found.status();
    absl::Status status = CheckProgress(plan_, *found, per_epoch_);
    if (status.ok()) status = RestoreModel(*found, learner_.state(), &learner_.adam());
    if (!status.ok()) {
      const std::string where = options_.rank() == 0 ? options_.checkpoint : "rank 0's checkpoint";
      return absl::DataLossError(absl::StrCat(where, ": ", status.message()));
    }
    now_ = *std::move(found);
    now_.clear_tensor();
    now_.clear_moment();
    return absl::OkStatus();
  }

  double LearningRate() const {
    const double done = epoch() - 1 + static_cast<double>(now_.now().samples()) / per_epoch_;
    return options_.learning_rate *
           ScheduleFactor(plan_.spec().training().schedule(), options_.epochs, done);
  }

  const NetworkPlan& plan_;
  const SampleStore& train_;
  const SampleStore& calibration_;
  const TrainOptions& options_;
  Progress* progress_;
  ProcessGroup* group_;
  c10::Device device_;
  Learner learner_;
  Augmenter augmenter_;
  int64_t per_epoch_ = 0;
  /// How far it is: all of a checkpoint but the model and its optimiser.
  v1::Checkpoint now_;
  bool unsaved_ = false;
  /// Of this sitting: in steps altogether, and in waiting for their batches.
  absl::Duration stepping_, waited_;
};

}  // namespace

bool CudaAvailable() { return at::hasCUDA(); }

absl::StatusOr<Trained> TrainNetwork(const NetworkPlan& plan, const SampleStore& train,
                                     const SampleStore& calibration, const TrainOptions& options,
                                     Progress* progress) {
  if (options.cuda && !CudaAvailable()) {
    return absl::FailedPreconditionError(
        "--device cuda: this LibTorch has no CUDA, or there is no GPU; use --device cpu");
  }
  if (train.size() == 0 || options.epochs < 1 || options.batch < 1) {
    return absl::InvalidArgumentError(absl::StrCat("nothing to train: ", train.size(), " samples, ",
                                                   options.epochs, " epochs, batches of ",
                                                   options.batch));
  }
  try {
    at::set_num_threads(std::max(options.threads, 1));
    at::manual_seed(options.seed);
    return Run(plan, train, calibration, options, progress).Go();
  } catch (const ExchangeError& error) {
    return error.status();
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("training failed: ", error.what()));
  }
}

}  // namespace ddnn::train

#include "train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/optim/adam.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "train/ddnn_module.h"
#include "train/epoch_record.h"

namespace ddnn::train {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr int64_t kEvaluationBatch = 256;

struct Batch {
  at::Tensor pixels, presence, labels, view_labels;
};

Batch Gather(const SampleStore& store, const std::vector<int64_t>& indices,
             const std::vector<uint64_t>& presence, const NetworkPlan& plan,
             const c10::Device& device) {
  const int64_t count = static_cast<int64_t>(indices.size()), views = store.views;
  const Shape shape = plan.view_shape();
  Batch batch;
  batch.pixels = at::empty({count, views, shape.channels, shape.height, shape.width}, at::kByte);
  batch.presence = at::empty({count, views}, at::kBool);
  batch.labels = at::empty({count}, at::kLong);
  batch.view_labels = at::empty({count, views}, at::kLong);
  uint8_t* pixels = batch.pixels.data_ptr<uint8_t>();
  bool* present = batch.presence.data_ptr<bool>();
  int64_t* labels = batch.labels.data_ptr<int64_t>();
  int64_t* view_labels = batch.view_labels.data_ptr<int64_t>();
  const size_t bytes = store.sample_bytes();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t from = indices[i];
    std::copy_n(store.pixels.data() + from * bytes, bytes, pixels + i * bytes);
    labels[i] = store.labels[from];
    for (int64_t v = 0; v < views; ++v) {
      present[i * views + v] = presence[i] >> v & 1;
      view_labels[i * views + v] = store.view_labels[from * views + v];
    }
  }
  for (at::Tensor* t : {&batch.pixels, &batch.presence, &batch.labels, &batch.view_labels}) {
    *t = t->to(device);
  }
  return batch;
}

// Own draws: std's distributions differ between standard libraries.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  double Uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  void Shuffle(std::vector<int64_t>* values) {
    for (size_t i = values->size(); i > 1; --i) {
      std::swap((*values)[i - 1], (*values)[static_cast<size_t>(Uniform() * i)]);
    }
  }
  // Hides views, but never the last one.
  uint64_t Hide(uint64_t presence, double probability) {
    if (probability <= 0) return presence;
    uint64_t kept = 0;
    for (int v = 0; v < 64; ++v) {
      if ((presence >> v & 1) && Uniform() >= probability) kept |= uint64_t{1} << v;
    }
    return kept == 0 ? presence : kept;
  }

 private:
  std::mt19937_64 engine_;
};

void Calibrate(DdnnModule* module, const SampleStore& store, const c10::Device& device,
               v1::EpochRecord* record) {
  at::NoGradGuard no_grad;
  module->set_training(false);
  for (int64_t begin = 0; begin < store.size(); begin += kEvaluationBatch) {
    std::vector<int64_t> indices(std::min(kEvaluationBatch, store.size() - begin));
    std::iota(indices.begin(), indices.end(), begin);
    std::vector<uint64_t> presence(store.presence.begin() + begin,
                                   store.presence.begin() + begin + indices.size());
    const Batch batch = Gather(store, indices, presence, module->plan(), device);
    AddCalibrationBatch(module->plan(), module->Forward(batch.pixels, batch.presence), batch.labels,
                        batch.view_labels, record);
  }
  module->set_training(true);
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
        random_(options.seed),
        device_(options.cuda ? at::kCUDA : at::kCPU),
        module_(plan) {
    module_.To(device_);
    flips_ = std::make_unique<SignFlips>(module_.binary_weights());
    optimizer_ = std::make_unique<torch::optim::Adam>(
        module_.parameters(), torch::optim::AdamOptions(options.learning_rate));
    const int64_t size = train.size();
    per_epoch_ = options.samples_per_epoch > 0 ? std::min(options.samples_per_epoch, size) : size;
    order_.resize(size);
    std::iota(order_.begin(), order_.end(), 0);
  }

  absl::StatusOr<Trained> Go() {
    Trained trained;
    double best = -1;
    for (int epoch = 1; epoch <= options_.epochs; ++epoch) {
      record_ = NewEpochRecord(plan_, epoch);
      record_.set_binary_weights(flips_->weights());
      if (absl::Status status = Epoch(); !status.ok()) {
        if (!absl::IsCancelled(status) || epoch == 1) return status;
        trained.interrupted = true;
        return trained;
      }
      Calibrate(&module_, calibration_, device_, &record_);
      ProgressReport report = Report();
      const double mean = std::accumulate(report.calibration_accuracy.begin(),
                                          report.calibration_accuracy.end(), 0.0);
      report.best = mean > best;
      if (report.best) {
        best = mean;
        trained.best_epoch = epoch;
        trained.sections = module_.Export();
      }
      trained.epochs = epoch;
      record_.set_best(report.best);
      *trained.history.add_epoch() = record_;
      progress_->OnEpoch(report, absl::Now());
    }
    return trained;
  }

 private:
  bool stopped() const { return options_.stop != nullptr && *options_.stop; }

  ProgressReport Report() const {
    ProgressReport report = ReportOf(record_);
    report.epochs = options_.epochs;
    report.epoch_samples = per_epoch_;
    report.step = step_;
    return report;
  }

  absl::Status Epoch() {
    random_.Shuffle(&order_);
    for (int64_t begin = 0; begin < per_epoch_; begin += options_.batch) {
      if (stopped()) return absl::CancelledError("interrupted");
      if (begin == 0) progress_->OnBatch(Report(), absl::Now());
      const int64_t count = std::min<int64_t>(options_.batch, per_epoch_ - begin);
      const Batch batch = Draw(begin, count);
      SetLearningRate((record_.epoch() - 1 + static_cast<double>(begin) / per_epoch_) /
                      options_.epochs);
      optimizer_->zero_grad();
      const std::vector<ExitBatch> exits = module_.Forward(batch.pixels, batch.presence);
      std::vector<at::Tensor> losses;
      const at::Tensor loss = JointLoss(plan_, exits, batch.labels, batch.view_labels, &losses);
      const double value = loss.item<double>();
      if (!std::isfinite(value)) {
        return absl::InternalError(absl::StrCat("the loss is ", value, " in epoch ",
                                                record_.epoch(), ": lower --learning_rate"));
      }
      loss.backward();
      optimizer_->step();
      module_.ClipBinaryWeights();

      ++step_;
      AddTrainingBatch(plan_, exits, batch.labels, value, losses, &record_);
      record_.set_flipped(record_.flipped() + flips_->Count());
      progress_->OnBatch(Report(), absl::Now());
    }
    return absl::OkStatus();
  }

  Batch Draw(int64_t begin, int64_t count) {
    const std::vector<int64_t> indices(order_.begin() + begin, order_.begin() + begin + count);
    std::vector<uint64_t> presence;
    for (int64_t index : indices) {
      presence.push_back(random_.Hide(train_.presence[index], options_.view_dropout));
    }
    return Gather(train_, indices, presence, plan_, device_);
  }

  void SetLearningRate(double done) {
    const double rate = options_.learning_rate * 0.5 * (1 + std::cos(kPi * done));
    record_.set_learning_rate(rate);
    for (auto& group : optimizer_->param_groups()) {
      static_cast<torch::optim::AdamOptions&>(group.options()).lr(rate);
    }
  }

  const NetworkPlan& plan_;
  const SampleStore& train_;
  const SampleStore& calibration_;
  const TrainOptions& options_;
  Progress* progress_;
  Random random_;
  c10::Device device_;
  DdnnModule module_;
  std::unique_ptr<torch::optim::Adam> optimizer_;
  std::unique_ptr<SignFlips> flips_;
  v1::EpochRecord record_;  // of the epoch that runs
  int64_t per_epoch_ = 0, step_ = 0;
  std::vector<int64_t> order_;
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
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("training failed: ", error.what()));
  }
}

}  // namespace ddnn::train

#include "train/train_bundle.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "datasets/network_data.h"
#include "runtime/core/bundle.h"
#include "train/checkpoint.h"
#include "train/evaluate.h"
#include "train/measured_bundle.h"
#include "train/missing_views.h"
#include "train/thresholds.h"

namespace ddnn::train {
namespace {

constexpr int kFormatVersion = 1;
constexpr double kDefaultAccuracyDrop = 0.005;

absl::Status CheckSplits(const Dataset& dataset) {
  for (Split split : {Split::kTrain, Split::kCalibration, Split::kTest}) {
    if (dataset.size(split) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(dataset.info().spec, ": the ", ToString(split),
                       " split is empty; train, calibration and test are needed"));
    }
  }
  return absl::OkStatus();
}

// Nobody's hours of work are thrown away, or gone on with, unasked.
absl::Status CheckCheckpoint(const std::string& path, const TrainOptions& options) {
  std::error_code ignored;
  const bool there = std::filesystem::exists(path, ignored);
  if (options.restart) {
    RemoveCheckpoint(path);
  } else if (options.resume && !there) {
    return absl::NotFoundError(
        absl::StrCat(path, ": no checkpoint to resume; start without --resume"));
  } else if (!options.resume && there) {
    return absl::FailedPreconditionError(
        absl::StrCat(path,
                     ": a run that was not finished; go on with --resume, or start again "
                     "with --restart, which deletes it"));
  }
  return absl::OkStatus();
}

// Only what the epochs can use is read: drawing simulated cameras takes its time.
absl::StatusOr<SampleStore> LoadTraining(const Dataset& dataset, const TrainOptions& options) {
  const int64_t size = dataset.size(Split::kTrain);
  std::vector<int64_t> indices(size);
  std::iota(indices.begin(), indices.end(), 0);
  const int64_t per_epoch = options.samples_per_epoch;
  if (per_epoch > 0 && per_epoch < size / std::max(options.epochs, 1)) {
    std::mt19937_64 engine(options.seed);
    for (int64_t i = size; i > 1; --i) std::swap(indices[i - 1], indices[engine() % i]);
    indices.resize(per_epoch * options.epochs);
    std::sort(indices.begin(), indices.end());
  }
  return LoadSamples(dataset, Split::kTrain, indices, options.threads, options.stop);
}

struct Thresholds {
  std::vector<ExitThreshold> thresholds;  // one per exit
  std::string description;
};

v1::BundleManifest Manifest(const NetworkPlan& plan, const std::string& data,
                            const TrainOptions& options, const Trained& trained,
                            const Thresholds& chosen) {
  v1::BundleManifest manifest;
  manifest.set_format_version(kFormatVersion);
  *manifest.mutable_network() = plan.spec();
  for (size_t e = 0; e < plan.exits().size(); ++e) {
    *manifest.add_threshold() = ToProto(plan.exits()[e].name, chosen.thresholds[e]);
  }
  v1::Provenance* provenance = manifest.mutable_provenance();
  provenance->set_data(data);
  provenance->set_seed(options.seed);
  provenance->set_epochs(trained.epochs);
  provenance->set_best_epoch(trained.best_epoch);
  provenance->set_batch(options.batch);
  provenance->set_learning_rate(options.learning_rate);
  provenance->set_threads(options.threads);
  if (options.group != nullptr) provenance->set_world_size(options.group->size());
  if (options.init != nullptr) provenance->set_init(options.init->sha256_hex());
  provenance->set_calibration(chosen.description);
  return manifest;
}

absl::StatusOr<Thresholds> Calibrate(const NetworkPlan& plan, const Trained& trained,
                                     const SampleStore& calibration, EngineFactory engine,
                                     const TrainOptions& options) {
  Bundle bundle{{}, plan, "", std::vector<ExitThreshold>(plan.exits().size()), {}};
  for (const v1::Section& section : trained.sections) {
    absl::StatusOr<int> tier = plan.FindTier(section.tier());
    if (!tier.ok()) return tier.status();
    bundle.sections[{*tier, section.node()}] = section;
  }
  absl::StatusOr<ExitRecords> records =
      RecordExits(bundle, engine, calibration, /*missing=*/0, options.threads, options.stop);
  if (!records.ok()) return records.status();
  const v1::Training& training = plan.spec().training();
  const ThresholdChoice choice = ChooseThresholds(
      plan, *records,
      training.has_max_accuracy_drop() ? training.max_accuracy_drop() : kDefaultAccuracyDrop);
  absl::StatusOr<std::vector<ExitRecords>> hidden = RecordWithViewsHidden(
      bundle, engine, calibration, options.seed, options.threads, options.stop);
  if (!hidden.ok()) return hidden.status();
  Thresholds chosen{{choice.thresholds.begin(), choice.thresholds.end()}, choice.description};
  FitMissing(*records, *hidden, &chosen.thresholds);
  return chosen;
}

}  // namespace

TrainOptions DefaultOptions(const NetworkPlan& plan) {
  const v1::Training& training = plan.spec().training();
  TrainOptions options;
  if (training.epochs() > 0) options.epochs = training.epochs();
  if (training.batch() > 0) options.batch = training.batch();
  if (training.learning_rate() > 0) options.learning_rate = training.learning_rate();
  options.view_dropout = training.view_dropout();
  options.samples_per_epoch = training.samples_per_epoch();
  return options;
}

absl::StatusOr<BundleResult> TrainBundle(const NetworkPlan& plan, const Dataset& dataset,
                                         const std::string& directory, const TrainOptions& asked,
                                         EngineFactory engine, Progress* progress) {
  const std::string& data = dataset.info().spec;
  TrainOptions options = asked;
  options.data = data;
  const bool first = options.rank() == 0;
  options.checkpoint = first ? CheckpointPath(directory) : "";
  if (absl::Status fits = CheckDataFits(plan, dataset.info()); !fits.ok()) return fits;
  if (absl::Status splits = CheckSplits(dataset); !splits.ok()) return splits;
  if (first) {
    absl::Status there = CheckCheckpoint(options.checkpoint, options);
    if (!there.ok()) return there;
  }

  const absl::Time begin = absl::Now();
  absl::StatusOr<SampleStore> calibration =
      LoadSplit(dataset, Split::kCalibration, options.threads, options.stop);
  if (!calibration.ok()) return calibration.status();
  BundleResult result;
  {
    absl::StatusOr<SampleStore> train = LoadTraining(dataset, options);
    if (!train.ok()) return train.status();
    result.reading = absl::Now() - begin;
    for (const std::string& line : NotShown(plan, *train)) {
      progress->OnNote(absl::StrCat(data, ": in what it is trained on, ", line));
    }
    absl::StatusOr<Trained> trained = TrainNetwork(plan, *train, *calibration, options, progress);
    if (!trained.ok()) return trained.status();
    result.trained = *std::move(trained);
  }
  if (!first) return result;
  // From here on each thread runs the network on samples of its own.
  at::set_num_threads(1);
  absl::StatusOr<Thresholds> chosen =
      Calibrate(plan, result.trained, *calibration, engine, options);
  if (!chosen.ok()) return chosen.status();
  const v1::BundleManifest manifest = Manifest(plan, data, options, result.trained, *chosen);

  absl::StatusOr<SampleStore> test =
      LoadSplit(dataset, Split::kTest, options.threads, options.stop);
  if (!test.ok()) return test.status();
  absl::StatusOr<v1::RunSummary> summary =
      SaveMeasuredBundle(directory, manifest, result.trained.sections, result.trained.history,
                         *test, data, engine, options.threads, options.stop);
  if (!summary.ok()) return summary.status();
  RemoveCheckpoint(options.checkpoint);
  result.summary = *std::move(summary);
  return result;
}

}  // namespace ddnn::train

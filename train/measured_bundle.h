#ifndef DDNN_TRAIN_MEASURED_BUNDLE_H_
#define DDNN_TRAIN_MEASURED_BUNDLE_H_

#include <atomic>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ddnn/v1/bundle.pb.h"
#include "ddnn/v1/history.pb.h"
#include "ddnn/v1/report.pb.h"
#include "runtime/core/engine.h"
#include "train/sample_store.h"

namespace ddnn::train {

/// Saves a bundle with the reports of what it does with the test samples, for programs
/// (report.json) and people (report.html), and returns the former. The bundle is written beside its
/// place, read back as a daemon would, measured, and only then put there in one step: on any error,
/// or once *stop is true (CANCELLED), what was there stays. Without test samples report.json is
/// empty and there is no report.html.
///
/// \param history  of the training, kept as history.json unless empty
/// \param data     the dataset's spec
absl::StatusOr<v1::RunSummary> SaveMeasuredBundle(const std::string& directory,
                                                  const v1::BundleManifest& manifest,
                                                  const std::vector<v1::Section>& sections,
                                                  const v1::TrainingHistory& history,
                                                  const SampleStore& test, const std::string& data,
                                                  EngineFactory engine, int threads,
                                                  const std::atomic<bool>* stop = nullptr);

/// The history.json of a bundle; empty where it has none. INVALID_ARGUMENT, or what ReadFile says,
/// names the file.
absl::StatusOr<v1::TrainingHistory> ReadHistory(const std::string& bundle);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_MEASURED_BUNDLE_H_

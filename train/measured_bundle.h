#ifndef DDNN_TRAIN_MEASURED_BUNDLE_H_
#define DDNN_TRAIN_MEASURED_BUNDLE_H_

#include <atomic>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ddnn/v1/bundle.pb.h"
#include "ddnn/v1/report.pb.h"
#include "runtime/core/engine.h"
#include "train/sample_store.h"

namespace ddnn::train {

/// Saves a bundle with the report of what it does with the test samples, and returns that report.
/// The bundle is written beside its place, read back as a daemon would, measured, and only then put
/// there in one step: on any error, or once *stop is true (CANCELLED), what was there stays.
/// Without test samples the report is empty. `data` is the dataset's spec.
absl::StatusOr<v1::RunSummary> SaveMeasuredBundle(const std::string& directory,
                                                  const v1::BundleManifest& manifest,
                                                  const std::vector<v1::Section>& sections,
                                                  const SampleStore& test, const std::string& data,
                                                  EngineFactory engine, int threads,
                                                  const std::atomic<bool>* stop = nullptr);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_MEASURED_BUNDLE_H_

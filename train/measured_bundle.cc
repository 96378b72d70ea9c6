#include "train/measured_bundle.h"

#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/core/bundle.h"
#include "runtime/core/bundle_layout.h"
#include "runtime/core/files.h"
#include "train/evaluate.h"
#include "train/report_html.h"

namespace ddnn::train {
namespace {

constexpr size_t kMaxHistoryBytes = 64 << 20;

// A bundle on its way, removed unless it was moved to its place.
class ScratchDirectory {
 public:
  explicit ScratchDirectory(const std::string& beside) {
    const std::string prefix = absl::StrCat(beside, ".check.");
    RemoveAbandoned(prefix);
    path_ = absl::StrCat(prefix, getpid());
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Measured {
  v1::RunSummary summary;
  BundleReport report;
};

absl::StatusOr<Measured> Measure(const Bundle& bundle, const v1::TrainingHistory& history,
                                 const SampleStore& test, const std::string& data,
                                 EngineFactory engine, int threads, const std::atomic<bool>* stop) {
  ExitRecords records;
  EvaluateOptions options;
  options.threads = threads;
  options.stop = stop;
  options.records = &records;
  absl::StatusOr<v1::RunSummary> summary =
      Evaluate(bundle, engine, test, data, bundle.thresholds, options);
  if (!summary.ok()) return summary.status();
  absl::StatusOr<std::string> json = ToJson(*summary);
  if (!json.ok()) return json.status();
  const absl::StatusOr<std::vector<ViewCount>> views =
      AccuracyByViews(bundle, engine, test, *summary, threads, stop);
  if (!views.ok()) return views.status();
  Measured measured;
  measured.report.json = *std::move(json);
  measured.report.html = ReportHtml({bundle, *summary, history, records, test, *views});
  measured.summary = *std::move(summary);
  return measured;
}

}  // namespace

absl::StatusOr<v1::RunSummary> SaveMeasuredBundle(const std::string& directory,
                                                  const v1::BundleManifest& manifest,
                                                  const std::vector<v1::Section>& sections,
                                                  const v1::TrainingHistory& history,
                                                  const SampleStore& test, const std::string& data,
                                                  EngineFactory engine, int threads,
                                                  const std::atomic<bool>* stop) {
  const ScratchDirectory scratch(directory);
  absl::Status saved = SaveBundle(scratch.path(), manifest, sections);
  if (!saved.ok()) return saved;
  Measured measured;
  if (test.size() > 0) {
    absl::StatusOr<Bundle> bundle = LoadBundle(scratch.path());
    if (!bundle.ok()) return bundle.status();
    absl::StatusOr<Measured> now = Measure(*bundle, history, test, data, engine, threads, stop);
    if (!now.ok()) return now.status();
    measured = *std::move(now);
  }
  if (history.epoch_size() > 0) {
    absl::StatusOr<std::string> json = ToJson(history);
    if (!json.ok()) return json.status();
    measured.report.history = *std::move(json);
  }
  saved = SaveBundle(directory, manifest, sections, measured.report);
  if (!saved.ok()) return saved;
  return std::move(measured.summary);
}

absl::StatusOr<v1::TrainingHistory> ReadHistory(const std::string& bundle) {
  const std::string path = absl::StrCat(bundle, "/", kHistoryName);
  absl::StatusOr<std::string> json = ReadFile(path, kMaxHistoryBytes);
  v1::TrainingHistory history;
  if (absl::IsNotFound(json.status())) return history;
  if (!json.ok()) return json.status();
  const auto parsed = google::protobuf::util::JsonStringToMessage(*json, &history);
  if (parsed.ok()) return history;
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": expected the JSON of a TrainingHistory: ", parsed.ToString()));
}

}  // namespace ddnn::train

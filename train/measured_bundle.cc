#include "train/measured_bundle.h"

#include <unistd.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/core/bundle.h"
#include "train/evaluate.h"

namespace ddnn::train {
namespace {

// A bundle on its way, removed unless it was moved to its place.
class ScratchDirectory {
 public:
  explicit ScratchDirectory(const std::string& beside)
      : path_(absl::StrCat(beside, ".check.", getpid())) {}
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

absl::StatusOr<v1::RunSummary> SaveMeasuredBundle(const std::string& directory,
                                                  const v1::BundleManifest& manifest,
                                                  const std::vector<v1::Section>& sections,
                                                  const SampleStore& test, const std::string& data,
                                                  EngineFactory engine, int threads,
                                                  const std::atomic<bool>* stop) {
  const ScratchDirectory scratch(directory);
  absl::Status saved = SaveBundle(scratch.path(), manifest, sections, "{}\n");
  if (!saved.ok()) return saved;
  v1::RunSummary summary;
  std::string json = "{}\n";
  if (test.size() > 0) {
    absl::StatusOr<Bundle> bundle = LoadBundle(scratch.path());
    if (!bundle.ok()) return bundle.status();
    EvaluateOptions options;
    options.threads = threads;
    options.stop = stop;
    absl::StatusOr<v1::RunSummary> measured =
        Evaluate(*bundle, engine, test, data, bundle->thresholds, options);
    if (!measured.ok()) return measured.status();
    absl::StatusOr<std::string> text = ToJson(*measured);
    if (!text.ok()) return text.status();
    summary = *std::move(measured);
    json = *std::move(text);
  }
  saved = SaveBundle(directory, manifest, sections, json);
  if (!saved.ok()) return saved;
  return summary;
}

}  // namespace ddnn::train

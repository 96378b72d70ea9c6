// ddnn-eval: runs a bundle's network whole in one process and says how good it is.

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "datasets/network_data.h"
#include "runtime/torch/torch_engine.h"
#include "train/evaluate.h"
#include "train/interrupt.h"
#include "train/run_program.h"
#include "train/tune_process.h"

ABSL_FLAG(std::string, bundle, "", "the bundle, as ddnn-train wrote it");
ABSL_FLAG(std::string, data, "", "the dataset, such as six-cameras:fashion-mnist");
ABSL_FLAG(std::string, split, "test", "train, calibration or test");
ABSL_FLAG(std::vector<std::string>, missing, {}, "views that are lost, such as 0,3");
ABSL_FLAG(std::vector<std::string>, threshold, {},
          "instead of the bundle's, such as local=0.2,edge=0.4");
ABSL_FLAG(int64_t, samples, 0, "only the first so many; 0: all");
ABSL_FLAG(std::string, json, "", "also write the results there; - for standard output alone");

namespace ddnn::train {
namespace {

constexpr char kUsage[] =
    R"(runs a bundle's network whole in one process and prints the accuracy of each view, each exit
and overall, which share each exit takes, the bytes by the paper's formula, and a threshold sweep.

  ddnn-eval --bundle out/six --data six-cameras:fashion-mnist
  ddnn-eval --bundle out/six --data six-cameras:fashion-mnist --missing 0,3 --threshold edge=0.4
  ddnn-eval --bundle out/six --data six-cameras:fashion-mnist --json -

Accuracy of an exit: of the samples that stop there, and what it would be if all did.)";

absl::StatusOr<uint64_t> Missing(const NetworkPlan& plan) {
  uint64_t missing = 0;
  for (const std::string& text : absl::GetFlag(FLAGS_missing)) {
    int view = -1;
    if (!absl::SimpleAtoi(text, &view) || view < 0 || view >= plan.views()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--missing: \"", text, "\" is no view; they are 0 to ", plan.views() - 1));
    }
    missing |= uint64_t{1} << view;
  }
  if (missing == plan.all_views()) {
    return absl::InvalidArgumentError("--missing names all views: nothing is left to look with");
  }
  return missing;
}

absl::StatusOr<std::vector<ExitThreshold>> Thresholds(const Bundle& bundle) {
  std::vector<ExitThreshold> thresholds = bundle.thresholds;
  for (const std::string& text : absl::GetFlag(FLAGS_threshold)) {
    const std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits('=', 1));
    float value = -1;
    if (parts.size() != 2 || !absl::SimpleAtof(parts[1], &value) || !(value >= 0 && value <= 1)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--threshold: \"", text, "\", expected EXIT=VALUE with a value between 0 and 1"));
    }
    const absl::StatusOr<int> exit = bundle.plan.FindExit(parts[0]);
    if (!exit.ok()) return exit.status();
    thresholds[*exit].entropy = value;
    thresholds[*exit].missing.clear();  // what was asked for holds whoever is missing
  }
  return thresholds;
}

absl::StatusOr<SampleStore> Load(const Bundle& bundle, const std::atomic<bool>* stop) {
  const absl::StatusOr<Split> split = ParseSplit(absl::GetFlag(FLAGS_split));
  if (!split.ok()) return split.status();
  absl::StatusOr<std::unique_ptr<Dataset>> dataset =
      OpenDatasetFor(bundle.plan, absl::GetFlag(FLAGS_data));
  if (!dataset.ok()) return dataset.status();
  const int64_t size = (*dataset)->size(*split), limit = absl::GetFlag(FLAGS_samples);
  if (size == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(absl::GetFlag(FLAGS_data), ": the ", ToString(*split), " split is empty"));
  }
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < size && (limit <= 0 || i < limit); ++i) indices.push_back(i);
  const int threads = AllowedProcessors();
  return LoadSamples(**dataset, *split, indices, threads, stop);
}

absl::StatusOr<int> Main() {
  for (const auto& [name, value] : {std::make_pair("bundle", absl::GetFlag(FLAGS_bundle)),
                                    std::make_pair("data", absl::GetFlag(FLAGS_data))}) {
    if (value.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, " is missing; see --help"));
    }
  }
  const absl::StatusOr<Bundle> bundle = LoadBundle(absl::GetFlag(FLAGS_bundle));
  if (!bundle.ok()) return bundle.status();
  EvaluateOptions options;
  const absl::StatusOr<uint64_t> missing = Missing(bundle->plan);
  if (!missing.ok()) return missing.status();
  options.missing = *missing;
  const absl::StatusOr<std::vector<ExitThreshold>> thresholds = Thresholds(*bundle);
  if (!thresholds.ok()) return thresholds.status();
  options.stop = CatchInterrupts();
  const absl::StatusOr<SampleStore> samples = Load(*bundle, options.stop);
  if (!samples.ok()) return samples.status();

  options.threads = AllowedProcessors();
  SetTorchThreads(1);  // each of these threads runs the network on samples of its own
  const absl::StatusOr<v1::RunSummary> summary = Evaluate(
      *bundle, CreateTorchEngine, *samples, absl::GetFlag(FLAGS_data), *thresholds, options);
  if (!summary.ok()) return summary.status();
  const std::string path = absl::GetFlag(FLAGS_json);
  const absl::StatusOr<std::string> json = ToJson(*summary);
  if (!json.ok()) return json.status();
  if (path == "-") {
    absl::PrintF("%s\n", *json);
    return 0;
  }
  absl::PrintF("%s", ToText(bundle->plan, *summary));
  if (!path.empty()) {
    const absl::Status written = WriteFileAtomically(path, *json);
    if (!written.ok()) return written;
  }
  return 0;
}

}  // namespace
}  // namespace ddnn::train

int main(int argc, char** argv) {
  return ddnn::train::RunProgram(argc, argv, "ddnn-eval", ddnn::train::kUsage, &ddnn::train::Main);
}

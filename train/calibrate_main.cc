// ddnn-calibrate: chooses a bundle's thresholds so that a constraint holds with stated confidence.

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "datasets/network_data.h"
#include "runtime/core/bundle.h"
#include "runtime/torch/torch_engine.h"
#include "train/calibrate.h"
#include "train/evaluate.h"
#include "train/interrupt.h"
#include "train/measured_bundle.h"
#include "train/missing_views.h"
#include "train/run_program.h"

ABSL_FLAG(std::string, bundle, "", "the bundle, as ddnn-train wrote it");
ABSL_FLAG(std::string, data, "", "the dataset, such as six-cameras:fashion-mnist");
ABSL_FLAG(std::string, out, "", "where the bundle with the new thresholds goes; empty: in place");
ABSL_FLAG(std::string, max_accuracy_drop, "",
          "accuracy that early exits may cost against the last exit, such as 1%");
ABSL_FLAG(std::string, max_bytes, "", "payload per view and sample by the formula, such as 64");
ABSL_FLAG(std::string, max_escalation, "",
          "share of samples that pass the first exit, such as 20%");
ABSL_FLAG(std::string, confidence, "95%", "with which the constraint holds");
ABSL_FLAG(std::string, criterion, "entropy",
          "how unsure an exit is: entropy, largest_probability or margin");
ABSL_FLAG(bool, fit_temperature, true, "fit each exit's temperature before its criterion");
ABSL_FLAG(uint64_t, seed, 1,
          "of the cut of the calibration samples into searched and testing ones");
ABSL_FLAG(int32_t, threads, 0, "0: one per processor that it may use");

namespace ddnn::train {
namespace {

constexpr char kUsage[] =
    R"(finds thresholds for all exits of a bundle together that keep one constraint and are best
at the rest, and says with which confidence the constraint holds.

  ddnn-calibrate --bundle out/six --data six-cameras:fashion-mnist --max_accuracy_drop 1%
  ddnn-calibrate --bundle out/six --data six-cameras:fashion-mnist --max_bytes 64 --out out/frugal
  ddnn-calibrate --bundle out/six --data six-cameras:fashion-mnist --max_escalation 20% \
    --confidence 99% --criterion margin

Under an accuracy drop, the fewest bytes; under the other two, the highest accuracy. Only the
calibration split is looked at: three tenths are searched, the others test what was found. The
searched ones also give each exit's temperature, and its thresholds where views are missing: no
higher than leaves its answers as often right as with all views. The confidence is a bound for any
distribution of samples (Learn then Test, Angelopoulos et al. 2021), not an estimate; it says
nothing about samples of another kind, or of a network that was chosen on the same calibration
samples. When nothing keeps the constraint at that confidence, nothing is written. The test split is
read at the end, for report.json and report.html. Every daemon needs the new bundle.)";

absl::StatusOr<double> Fraction(const std::string& flag, const std::string& text) {
  absl::StatusOr<double> fraction = ParseFraction(text);
  if (fraction.ok()) return fraction;
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", fraction.status().message()));
}

absl::StatusOr<CalibrateOptions> Options() {
  CalibrateOptions options;
  int given = 0;
  for (const auto& [quantity, text] :
       {std::make_pair(Quantity::kAccuracyDrop, absl::GetFlag(FLAGS_max_accuracy_drop)),
        std::make_pair(Quantity::kBytes, absl::GetFlag(FLAGS_max_bytes)),
        std::make_pair(Quantity::kEscalation, absl::GetFlag(FLAGS_max_escalation))}) {
    if (text.empty()) continue;
    ++given;
    options.constraint.quantity = quantity;
    if (quantity != Quantity::kBytes) {
      absl::StatusOr<double> limit = Fraction(ToString(quantity), text);
      if (!limit.ok()) return limit.status();
      options.constraint.limit = *limit;
    } else if (!absl::SimpleAtod(text, &options.constraint.limit) ||
               !(options.constraint.limit > 0 && options.constraint.limit < 1e12)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--max_bytes: \"", text, "\", expected a number of bytes such as 64"));
    }
  }
  if (given != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        given, " constraints; expected one of --max_accuracy_drop, --max_bytes, --max_escalation"));
  }
  absl::StatusOr<double> confidence = Fraction("confidence", absl::GetFlag(FLAGS_confidence));
  if (!confidence.ok()) return confidence.status();
  if (!(*confidence > 0 && *confidence < 1)) {
    return absl::InvalidArgumentError("--confidence: expected more than 0 % and less than 100 %");
  }
  options.confidence = *confidence;
  options.fit_temperature = absl::GetFlag(FLAGS_fit_temperature);
  const std::string criterion = absl::AsciiStrToUpper(absl::GetFlag(FLAGS_criterion));
  if (!v1::Criterion_Parse(criterion, &options.criterion)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--criterion: \"", absl::GetFlag(FLAGS_criterion),
                     "\", expected entropy, largest_probability or margin"));
  }
  options.seed = absl::GetFlag(FLAGS_seed);
  return options;
}

std::string Directory(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

void Print(const NetworkPlan& plan, const CalibrateOptions& options, const Calibrated& found,
           const std::string& reservation) {
  absl::PrintF("with %.4g %% confidence these thresholds %s%s\n\n", 100 * options.confidence,
               Describe(plan, options.constraint), reservation);
  for (size_t e = 0; e < plan.exits().size(); ++e) {
    const ExitThreshold& threshold = found.thresholds[e];
    absl::PrintF("  %-10s %.4f  temperature %.3f", plan.exits()[e].name, threshold.entropy,
                 threshold.temperature);
    if (!threshold.missing.empty()) {
      absl::PrintF("  with views missing: %s",
                   absl::StrJoin(threshold.missing, " ", [](std::string* out, float value) {
                     absl::StrAppend(out, value < 0 ? "none" : absl::StrFormat("%.4f", value));
                   }));
    }
    absl::PrintF("\n");
  }
  absl::PrintF(
      "\n%d of the %d vectors found on %d calibration samples passed the test on %d others; on "
      "those\nthe chosen one's figure is %.4g (an estimate, not the bound)\n",
      found.shown, found.candidates, found.search_samples, found.test_samples, found.measured);
}

absl::StatusOr<Calibrated> Choose(const Bundle& bundle, const Dataset& dataset,
                                  const CalibrateOptions& options, int threads,
                                  const std::atomic<bool>* stop) {
  absl::StatusOr<SampleStore> samples = LoadSplit(dataset, Split::kCalibration, threads, stop);
  if (!samples.ok()) return samples.status();
  absl::StatusOr<ExitRecords> records =
      RecordExits(bundle, CreateTorchEngine, *samples, /*missing=*/0, threads, stop);
  if (!records.ok()) return records.status();
  absl::StatusOr<std::vector<ExitRecords>> hidden =
      RecordWithViewsHidden(bundle, CreateTorchEngine, *samples, options.seed, threads, stop);
  if (!hidden.ok()) return hidden.status();
  return Calibrate(bundle.plan, *records, *hidden, options);
}

// The bundle as it is now, with the reports of what it does; the training's curves are those of the
// bundle at `from`.
absl::Status Write(const Bundle& bundle, const std::string& from, const std::string& out,
                   const Dataset& dataset, int threads, const std::atomic<bool>* stop) {
  std::vector<v1::Section> sections;
  for (const auto& [place, section] : bundle.sections) sections.push_back(section);
  absl::StatusOr<SampleStore> test = LoadSplit(dataset, Split::kTest, threads, stop);
  if (!test.ok()) return test.status();
  absl::StatusOr<v1::TrainingHistory> history = ReadHistory(from);
  if (!history.ok()) {
    absl::FPrintF(stderr, "ddnn-calibrate: %s; the report goes without\n",
                  history.status().message());
    history = v1::TrainingHistory();
  }
  absl::StatusOr<v1::RunSummary> summary =
      SaveMeasuredBundle(out, bundle.manifest, sections, *history, *test, dataset.info().spec,
                         CreateTorchEngine, threads, stop);
  if (!summary.ok()) return summary.status();
  if (test->size() > 0) absl::PrintF("\n%s", ToText(bundle.plan, *summary));
  absl::PrintF("\nwritten to %s\n", out);
  return absl::OkStatus();
}

absl::StatusOr<int> Main() {
  for (const auto& [name, value] : {std::make_pair("bundle", absl::GetFlag(FLAGS_bundle)),
                                    std::make_pair("data", absl::GetFlag(FLAGS_data))}) {
    if (value.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, " is missing; see --help"));
    }
  }
  absl::StatusOr<CalibrateOptions> options = Options();
  if (!options.ok()) return options.status();
  int threads = absl::GetFlag(FLAGS_threads);
  if (absl::Status possible = CheckThreads(threads); !possible.ok()) return possible;
  if (threads == 0) threads = AllowedProcessors();
  const std::string from = Directory(absl::GetFlag(FLAGS_bundle));
  const std::string given = absl::GetFlag(FLAGS_out), out = given.empty() ? from : Directory(given);
  if (absl::Status status = CheckReplaceable(out); !status.ok()) return status;
  absl::StatusOr<Bundle> bundle = LoadBundle(from);
  if (!bundle.ok()) return bundle.status();
  absl::StatusOr<std::unique_ptr<Dataset>> dataset =
      OpenDatasetFor(bundle->plan, absl::GetFlag(FLAGS_data));
  if (!dataset.ok()) return dataset.status();

  const std::atomic<bool>* stop = CatchInterrupts();
  SetTorchThreads(1);  // each of these threads runs the network on samples of its own
  absl::StatusOr<Calibrated> found = Choose(*bundle, **dataset, *options, threads, stop);
  if (!found.ok()) return found.status();
  const std::string& data = (*dataset)->info().spec;
  Print(bundle->plan, *options, *found, Reservation(bundle->manifest.provenance(), data));
  std::fflush(stdout);
  Record(bundle->plan, data, *options, *found, &bundle->manifest);
  absl::Status written = Write(*bundle, from, out, **dataset, threads, stop);
  if (!written.ok()) return written;
  return 0;
}

}  // namespace
}  // namespace ddnn::train

int main(int argc, char** argv) {
  return ddnn::train::RunProgram(argc, argv, "ddnn-calibrate", ddnn::train::kUsage,
                                 &ddnn::train::Main);
}

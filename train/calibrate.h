#ifndef DDNN_TRAIN_CALIBRATE_H_
#define DDNN_TRAIN_CALIBRATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ddnn/v1/bundle.pb.h"
#include "train/evaluate.h"

namespace ddnn::train {

/// What thresholds must keep to, in expectation over samples like the calibration samples.
enum class Quantity {
  kAccuracyDrop,  ///< accuracy lost against the root's exit answering everything; a fraction
  kBytes,         ///< payload per view and sample by the formula (DevicePayloadBytes)
  kEscalation,    ///< share of samples that do not stop at the first exit
};
struct Constraint {
  Quantity quantity = Quantity::kAccuracyDrop;
  double limit = 0;
};

/// "1%", "1 %" or "0.01" as 0.01; up to 100 % . INVALID_ARGUMENT for anything else, and for "1",
/// which could mean 1 % as well as 100 %.
absl::StatusOr<double> ParseFraction(const std::string& text);

/// "max_accuracy_drop", "max_bytes" or "max_escalation".
std::string ToString(Quantity quantity);
/// "lose at most 1 % accuracy against exit cloud" and the like.
std::string Describe(const NetworkPlan& plan, const Constraint& constraint);

struct CalibrateOptions {
  Constraint constraint;
  double confidence = 0.95;               ///< between 0 and 1
  uint64_t seed = 1;                      ///< of the cut into samples to search and samples to test
  v1::Criterion criterion = v1::ENTROPY;  ///< of all exits
  bool fit_temperature = true;            ///< of every exit, on the searched samples; else 1
};

struct Calibrated {
  std::vector<ExitThreshold> thresholds;  ///< one per exit, bottom up
  int64_t search_samples = 0, test_samples = 0;
  int64_t candidates = 0, shown = 0;  ///< vectors in the order of tests, and how many passed
  double measured = 0;  ///< the constrained quantity on the tested samples; an estimate
};

/// Finds the vector of thresholds over all exits that keeps the constraint and is best at the rest:
/// fewest bytes, then least far up, under an accuracy drop; most accurate under the others.
///
/// The searched samples give each exit its temperature too, and the thresholds for missing views
/// (FitMissing): what is tested is all of that together.
///
/// \param hidden  as RecordWithViewsHidden gives it for the same samples; empty: one threshold
/// whatever is missing
///
/// With probability `confidence` over the drawing of the calibration samples, the constraint holds
/// in expectation for samples drawn like them, whatever their distribution, if the network does not
/// depend on them. Method: Learn then Test (arXiv 2110.01052) in the form of
/// Pareto Testing (Laufer-Goldshtein, Fisch, Barzilay, Jaakkola 2022, arXiv 2210.07913): three
/// tenths of the samples give the vectors that no other beats (SearchThresholds) and an order, the
/// surest to keep the constraint first; the others test them in that order until one fails. Tests:
/// exact binomial for bytes and escalation, betting for the accuracy drop (train/risk_bound.h).
///
/// FAILED_PRECONDITION where nothing keeps it at that confidence, saying how far off the surest is,
/// where the network has one exit only, or with fewer than 2 samples. INVALID_ARGUMENT for a
/// limit or a confidence that means nothing.
absl::StatusOr<Calibrated> Calibrate(const NetworkPlan& plan, const ExitRecords& records,
                                     absl::Span<const ExitRecords> hidden,
                                     const CalibrateOptions& options);

/// What stands between the bound and this network, " (…)": its best epoch, or the better of it and
/// the bundle it started from, was chosen by the same samples. Empty where there was nothing to
/// choose, or `data` is another dataset than the network's: of another kind or at another path,
/// links followed and relative paths taken from the working directory. A copy counts as another.
std::string Reservation(const v1::Provenance& network, const std::string& data);

/// Puts the result into a bundle's manifest: thresholds, and where they come from. `data` is the
/// dataset's spec.
void Record(const NetworkPlan& plan, const std::string& data, const CalibrateOptions& options,
            const Calibrated& calibrated, v1::BundleManifest* manifest);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_CALIBRATE_H_

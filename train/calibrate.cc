#include "train/calibrate.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>
#include <random>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "datasets/data_spec.h"
#include "runtime/core/exit_criterion.h"
#include "train/missing_views.h"
#include "train/risk_bound.h"
#include "train/temperature.h"
#include "train/thresholds.h"

namespace ddnn::train {
namespace {

constexpr char kBinomialBound[] =
    "Learn then Test (arXiv 2110.01052), fixed sequence as in Pareto Testing (arXiv 2210.07913), "
    "exact binomial p-values";
constexpr char kBettingBound[] =
    "Learn then Test (arXiv 2110.01052), fixed sequence as in Pareto Testing (arXiv 2210.07913), "
    "p-values by betting (arXiv 2010.09686)";

// The tests decide, so they get more: a bound tightens with their number.
constexpr double kSearchShare = 0.3;

std::string Percent(double fraction) { return absl::StrFormat("%.4g %%", 100 * fraction); }

std::string Value(Quantity quantity, double value) {
  return quantity == Quantity::kBytes ? absl::StrFormat("%.4g bytes", value) : Percent(value);
}

ExitRecords Subset(const ExitRecords& records, absl::Span<const int64_t> samples) {
  ExitRecords part;
  part.samples = static_cast<int64_t>(samples.size());
  const auto take = [&samples](const auto& from, auto* to) {
    if (from.empty()) return;
    for (int64_t i : samples) to->push_back(from[i]);
  };
  take(records.label, &part.label);
  take(records.index, &part.index);
  take(records.missing, &part.missing);
  part.scores.resize(records.scores.size());
  for (size_t e = 0; e < records.scores.size(); ++e) {
    const size_t classes = records.scores[e].size() / std::max<int64_t>(records.samples, 1);
    for (int64_t i : samples) {
      const auto row = records.scores[e].begin() + i * classes;
      part.scores[e].insert(part.scores[e].end(), row, row + classes);
    }
  }
  part.entropy.resize(records.entropy.size());
  part.right.resize(records.right.size());
  for (size_t e = 0; e < records.entropy.size(); ++e) {
    take(records.entropy[e], &part.entropy[e]);
    take(records.right[e], &part.right[e]);
  }
  return part;
}

// The constrained quantity as a mean of losses in [0, 1].
class Risk {
 public:
  Risk(const NetworkPlan& plan, Quantity quantity) : plan_(plan), quantity_(quantity) {
    for (size_t e = 0; e < plan.exits().size(); ++e) {
      bytes_.push_back(DevicePayloadBytes(plan, static_cast<int>(e)));
    }
    least_bytes_ = *std::min_element(bytes_.begin(), bytes_.end());
    most_bytes_ = *std::max_element(bytes_.begin(), bytes_.end());
  }

  // A limit of the quantity as one of the mean loss; above 1 where it always holds.
  double Limit(double value) const {
    if (quantity_ == Quantity::kAccuracyDrop) return (1 + value) / 2;
    if (quantity_ == Quantity::kEscalation) return value >= 1 ? 2 : value;
    if (value >= most_bytes_) return 2;
    return (value - least_bytes_) / (most_bytes_ - least_bytes_);
  }
  double FromLimit(double limit) const {
    if (quantity_ == Quantity::kAccuracyDrop) return 2 * limit - 1;
    if (quantity_ == Quantity::kEscalation) return limit;
    return least_bytes_ + limit * (most_bytes_ - least_bytes_);
  }

  LossCounts Count(const ExitRecords& records, absl::Span<const ExitThreshold> thresholds) const {
    LossCounts losses;
    const size_t root = plan_.exits().size() - 1;
    for (int64_t i = 0; i < records.samples; ++i) {
      const size_t exit = ExitOf(records, thresholds, i);
      if (quantity_ == Quantity::kAccuracyDrop) {
        const bool right = records.right[exit][i], at_root = records.right[root][i];
        ++(right == at_root ? losses.half : right ? losses.none : losses.full);
      } else {
        const bool more = quantity_ == Quantity::kBytes ? bytes_[exit] > least_bytes_ : exit > 0;
        ++(more ? losses.full : losses.none);
      }
    }
    return losses;
  }

  // `searched` may shape the test, `losses` are what it tests.
  double LogP(const LossCounts& searched, const LossCounts& losses, double limit) const {
    if (quantity_ != Quantity::kAccuracyDrop) return LogBinomialP(losses, limit);
    return LogBettingP(losses, limit, BestStake(searched, limit));
  }

  double Mean(const LossCounts& losses) const {
    const auto n = static_cast<double>(losses.samples());
    return FromLimit((0.5 * static_cast<double>(losses.half) + static_cast<double>(losses.full)) /
                     n);
  }

  double least_bytes() const { return least_bytes_; }

 private:
  const NetworkPlan& plan_;
  const Quantity quantity_;
  std::vector<double> bytes_;  // by exit taken; the devices' tier sends one of two numbers
  double least_bytes_ = 0, most_bytes_ = 0;
};

struct Hypothesis {
  std::vector<ExitThreshold> thresholds;
  LossCounts searched, tested;
  double log_p_searched = 0;
};

absl::Status CheckOptions(const NetworkPlan& plan, const ExitRecords& records, const Risk& risk,
                          const CalibrateOptions& options) {
  const double limit = options.constraint.limit, confidence = options.confidence;
  const bool bytes = options.constraint.quantity == Quantity::kBytes;
  if (!std::isfinite(limit) || limit < 0 || (!bytes && limit > 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat(ToString(options.constraint.quantity), " is ", limit,
                     bytes ? "; expected a number of bytes" : "; expected a fraction, 0 to 1"));
  }
  if (!(confidence > 0 && confidence < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the confidence is ", confidence, "; expected more than 0 and less than 1"));
  }
  if (plan.exits().size() < 2) {
    return absl::FailedPreconditionError(absl::StrCat(
        "network ", plan.spec().name(), " has one exit only: there is nothing to choose"));
  }
  if (records.samples < 2) {
    return absl::FailedPreconditionError(
        absl::StrCat(records.samples, " calibration samples are too few to show anything"));
  }
  if (bytes && limit < risk.least_bytes()) {
    return absl::FailedPreconditionError(
        absl::StrFormat("no thresholds %s: the class scores, which always travel, are %.4g bytes",
                        Describe(plan, options.constraint), risk.least_bytes()));
  }
  return absl::OkStatus();
}

struct Parts {
  ExitRecords search, test;
  std::vector<ExitRecords> hidden;  // of the searched samples only
};

// Cut at random: samples of one class, or of one camera's day, may lie together.
Parts Cut(const ExitRecords& records, absl::Span<const ExitRecords> hidden, uint64_t seed) {
  std::vector<int64_t> order(records.samples);
  std::iota(order.begin(), order.end(), int64_t{0});
  std::mt19937_64 engine(seed);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[engine() % i]);
  const auto searched =
      static_cast<size_t>(std::max(1.0, kSearchShare * static_cast<double>(order.size())));
  std::sort(order.begin(), order.begin() + searched);
  std::sort(order.begin() + searched, order.end());
  const absl::Span<const int64_t> all(order);
  Parts parts{
      Subset(records, all.subspan(0, searched)), Subset(records, all.subspan(searched)), {}};
  const absl::flat_hash_set<int64_t> known(parts.search.index.begin(), parts.search.index.end());
  for (const ExitRecords& without : hidden) {
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < without.samples; ++i) {
      if (known.contains(without.index[i])) rows.push_back(i);
    }
    parts.hidden.push_back(Subset(without, rows));
  }
  return parts;
}

// Each exit's criterion and temperature, and what they make of the samples.
std::vector<ExitThreshold> Measure(const CalibrateOptions& options, size_t exits, Parts* parts) {
  std::vector<ExitThreshold> rules(exits);
  for (size_t e = 0; e < exits; ++e) {
    rules[e].criterion = options.criterion;
    if (options.fit_temperature) {
      rules[e].temperature = FitTemperature(parts->search, static_cast<int>(e));
    }
  }
  Remeasure(rules, &parts->search);
  Remeasure(rules, &parts->test);
  for (ExitRecords& without : parts->hidden) Remeasure(rules, &without);
  return rules;
}

std::vector<ExitThreshold> With(std::vector<ExitThreshold> rules, absl::Span<const float> numbers) {
  for (size_t e = 0; e < rules.size(); ++e) rules[e].entropy = numbers[e];
  return rules;
}

// What the searched part offers, the surest to keep the constraint first.
std::vector<Hypothesis> Order(const NetworkPlan& plan, const Parts& parts,
                              const std::vector<ExitThreshold>& rules, const Risk& risk,
                              const Constraint& constraint) {
  const ExitRecords& search = parts.search;
  std::vector<Hypothesis> order;
  if (constraint.quantity == Quantity::kAccuracyDrop) {
    Hypothesis nobody_stops;
    nobody_stops.thresholds = With(rules, std::vector<float>(rules.size()));
    nobody_stops.thresholds.back().entropy = 1;
    order.push_back(std::move(nobody_stops));
  }
  // What can be shown of a drop depends on how many answers change, too: few changes, a tight
  // bound.
  const auto n = static_cast<double>(search.samples);
  const auto& at_root = search.right.back();
  const auto root_right = static_cast<double>(std::count(at_root.begin(), at_root.end(), true));
  PointScore surely;
  if (constraint.quantity == Quantity::kAccuracyDrop) {
    surely = [&constraint, n, root_right](int64_t right, int64_t changed) {
      return (constraint.limit * n - (root_right - static_cast<double>(right))) /
             std::sqrt(static_cast<double>(changed) + 1);
    };
  }
  for (OperatingPoint& point : SearchThresholds(plan, search, surely)) {
    order.push_back({With(rules, point.thresholds), {}, {}, 0});
  }
  for (Hypothesis& hypothesis : order) {
    FitMissing(search, parts.hidden, &hypothesis.thresholds);
    hypothesis.searched = risk.Count(search, hypothesis.thresholds);
    hypothesis.log_p_searched =
        risk.LogP(hypothesis.searched, hypothesis.searched, risk.Limit(constraint.limit));
  }
  std::stable_sort(order.begin(), order.end(), [](const Hypothesis& a, const Hypothesis& b) {
    return a.log_p_searched < b.log_p_searched;
  });
  return order;
}

absl::Status NothingShown(const NetworkPlan& plan, const ExitRecords& records, const Risk& risk,
                          const Hypothesis& surest, const CalibrateOptions& options) {
  const double reached = risk.FromLimit(SmallestRefuted(
      [&](double limit) { return risk.LogP(surest.searched, surest.tested, limit); },
      1 - options.confidence));
  return absl::FailedPreconditionError(absl::StrFormat(
      "with %s confidence, %d calibration samples show of no thresholds that they %s; for the "
      "surest it takes a limit of %s",
      Percent(options.confidence), records.samples, Describe(plan, options.constraint),
      Value(options.constraint.quantity, reached)));
}

// All samples may say which of the vectors that passed is best: all of those keep the constraint.
const Hypothesis& Best(const NetworkPlan& plan, const Parts& parts, Quantity quantity,
                       absl::Span<const Hypothesis> shown) {
  const auto rank = [&](const Hypothesis& hypothesis) {
    OperatingPoint point = TryThresholds(plan, parts.search, hypothesis.thresholds);
    const OperatingPoint tested = TryThresholds(plan, parts.test, hypothesis.thresholds);
    point.right += tested.right;
    point.bytes += tested.bytes;
    point.tiers += tested.tiers;
    return quantity == Quantity::kAccuracyDrop
               ? std::make_tuple(point.bytes, point.tiers, -point.right)
               : std::make_tuple(-point.right, point.bytes, point.tiers);
  };
  const Hypothesis* best = &shown[0];
  for (const Hypothesis& hypothesis : shown.subspan(1)) {
    if (rank(hypothesis) < rank(*best)) best = &hypothesis;
  }
  return *best;
}

// Where a dataset's pictures lie; an empty path is the kind's usual place.
struct Source {
  std::string kind;
  std::filesystem::path path;
};

// How views are drawn of the pictures, options and a test file of its own are left out: with others
// the calibration split still comes from the same pictures.
Source SourceOf(const std::string& text) {
  absl::StatusOr<DataSpec> spec = ParseDataSpec(text);
  if (spec.ok() && (spec->kind == "six-cameras" || spec->kind == "grid")) {
    spec = ParseDataSpec(spec->argument);
  }
  if (!spec.ok()) return {text, ""};
  std::string path = spec->argument;
  if (spec->kind == "mvmc") path.resize(std::min(path.size(), path.find(',')));
  if (path.empty()) return {spec->kind, ""};
  // The empty last part makes "pictures" and "pictures/" one, also where there is none.
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::absolute(path, error) / "";
  const std::filesystem::path canonical = std::filesystem::weakly_canonical(whole, error);
  return {spec->kind, error ? whole.lexically_normal() : canonical};
}

bool MayBeTheSame(const Source& a, const Source& b) {
  if (a.kind != b.kind) return false;
  return a.path.empty() || b.path.empty() || a.path == b.path;
}

}  // namespace

absl::StatusOr<double> ParseFraction(const std::string& text) {
  absl::string_view number = absl::StripAsciiWhitespace(text);
  const bool percent = absl::ConsumeSuffix(&number, "%");
  number = absl::StripAsciiWhitespace(number);
  double value = -1;
  if (absl::SimpleAtod(number, &value) && value >= 0) {
    if (percent && value <= 100) return value / 100;
    if (!percent && value < 1) return value;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\", expected a share such as 1% or 0.01"));
}

std::string ToString(Quantity quantity) {
  switch (quantity) {
    case Quantity::kAccuracyDrop:
      return "max_accuracy_drop";
    case Quantity::kBytes:
      return "max_bytes";
    case Quantity::kEscalation:
      return "max_escalation";
  }
  return "";
}

std::string Describe(const NetworkPlan& plan, const Constraint& constraint) {
  const std::string limit = Value(constraint.quantity, constraint.limit);
  switch (constraint.quantity) {
    case Quantity::kAccuracyDrop:
      return absl::StrCat("lose at most ", limit, " accuracy against exit ",
                          plan.exits().back().name);
    case Quantity::kBytes:
      return absl::StrCat("send at most ", limit, " per view and sample");
    case Quantity::kEscalation:
      return absl::StrCat("let at most ", limit, " of the samples pass exit ",
                          plan.exits().front().name);
  }
  return "";
}

absl::StatusOr<Calibrated> Calibrate(const NetworkPlan& plan, const ExitRecords& records,
                                     absl::Span<const ExitRecords> hidden,
                                     const CalibrateOptions& options) {
  const Constraint& constraint = options.constraint;
  const Risk risk(plan, constraint.quantity);
  if (absl::Status ok = CheckOptions(plan, records, risk, options); !ok.ok()) return ok;
  Parts parts = Cut(records, hidden, options.seed);
  const std::vector<ExitThreshold> rules = Measure(options, plan.exits().size(), &parts);
  std::vector<Hypothesis> order = Order(plan, parts, rules, risk, constraint);
  std::vector<double> log_p;
  for (Hypothesis& hypothesis : order) {
    hypothesis.tested = risk.Count(parts.test, hypothesis.thresholds);
    log_p.push_back(
        risk.LogP(hypothesis.searched, hypothesis.tested, risk.Limit(constraint.limit)));
  }
  const size_t shown = RefutedInOrder(log_p, 1 - options.confidence);
  if (shown == 0) return NothingShown(plan, records, risk, order[0], options);
  const Hypothesis& best =
      Best(plan, parts, constraint.quantity, absl::MakeSpan(order).subspan(0, shown));
  Calibrated calibrated;
  calibrated.thresholds = best.thresholds;
  calibrated.thresholds.back().entropy = HardThreshold(parts.test, best.thresholds);
  calibrated.search_samples = parts.search.samples;
  calibrated.test_samples = parts.test.samples;
  calibrated.candidates = static_cast<int64_t>(order.size());
  calibrated.shown = static_cast<int64_t>(shown);
  calibrated.measured = risk.Mean(best.tested);
  return calibrated;
}

std::string Reservation(const v1::Provenance& network, const std::string& data) {
  // Where no epoch was better than the bundle it started from, that one was kept.
  const bool start = !network.init().empty();
  if (network.epochs() + (start ? 1 : 0) < 2) return "";
  if (!MayBeTheSame(SourceOf(network.data()), SourceOf(data))) return "";
  return absl::StrCat(" (not counting that the best of ", start ? "the start and " : "",
                      network.epochs(), network.epochs() == 1 ? " epoch" : " epochs",
                      " was chosen by the same samples)");
}

void Record(const NetworkPlan& plan, const std::string& data, const CalibrateOptions& options,
            const Calibrated& calibrated, v1::BundleManifest* manifest) {
  manifest->clear_threshold();
  for (size_t e = 0; e < plan.exits().size(); ++e) {
    *manifest->add_threshold() = ToProto(plan.exits()[e].name, calibrated.thresholds[e]);
  }
  v1::Provenance* provenance = manifest->mutable_provenance();
  provenance->set_calibration(
      absl::StrFormat("ddnn-calibrate: with %s confidence they %s%s", Percent(options.confidence),
                      Describe(plan, options.constraint), Reservation(*provenance, data)));
  v1::ThresholdCalibration* how = provenance->mutable_threshold_calibration();
  how->Clear();
  how->set_constraint(ToString(options.constraint.quantity));
  how->set_limit(options.constraint.limit);
  how->set_confidence(options.confidence);
  how->set_bound(options.constraint.quantity == Quantity::kAccuracyDrop ? kBettingBound
                                                                        : kBinomialBound);
  how->set_data(data);
  how->set_split("calibration");
  how->set_search_samples(calibrated.search_samples);
  how->set_test_samples(calibrated.test_samples);
  how->set_seed(options.seed);
  how->set_measured(calibrated.measured);
}

}  // namespace ddnn::train

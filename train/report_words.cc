#include "train/report_words.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "train/html_text.h"

namespace ddnn::train {
namespace {

// From where on a figure is worth a warning.
constexpr double kUnsureBy = 0.02;        // half the confidence interval
constexpr double kLostWithView = 0.05;    // accuracy
constexpr double kAboveGuessing = 0.05;   // accuracy of a view alone
constexpr double kOverconfident = 0.05;   // confidence above accuracy
constexpr double kWeakClass = 0.5;        // accuracy
constexpr int64_t kFewOfClass = 20;       // samples
constexpr double kEarlyExitsCost = 0.02;  // accuracy
constexpr double kOnlyInTraining = 0.05;  // accuracy
constexpr double kStillLearning = 0.1;    // of the highest learning rate
constexpr size_t kListed = 6;

std::string Points(double fraction) { return absl::StrFormat("%.1f points", 100 * fraction); }

// "a, b and 3 more"
std::string List(const std::vector<std::string>& items) {
  const size_t shown = std::min(items.size(), kListed);
  const std::string text = absl::StrJoin(items.begin(), items.begin() + shown, ", ");
  if (shown == items.size()) return text;
  return absl::StrCat(text, " and ", items.size() - shown, " more");
}

class Reader {
 public:
  explicit Reader(const ReportInput& input)
      : in_(input), plan_(input.bundle.plan), seen_(input.samples.views_seen()) {}

  double Overall() const { return in_.summary.accuracy().at("overall"); }
  size_t exits() const { return plan_.exits().size(); }
  const std::string& Exit(size_t e) const { return plan_.exits()[e].name; }
  double Stops(size_t e) const { return in_.summary.exit_fraction().at(Exit(e)); }
  double RightThere(size_t e) const { return in_.summary.accuracy().at(Exit(e)); }
  double IfAllStop(size_t e) const { return in_.summary.accuracy_if_all_stop().at(Exit(e)); }
  double Bytes() const { return in_.summary.payload_bytes_per_view_sample(); }
  double CodedBytes() const { return in_.summary.coded_payload_bytes_per_view_sample(); }
  double Raw() const { return in_.summary.raw_bytes_per_view_sample(); }
  std::string Class(int c) const {
    return absl::StrCat("“", EscapeHtml(plan_.spec().class_name(c)), "”");
  }
  bool KnowsViews() const {
    return plan_.views() > 1 && in_.summary.single_view_accuracy_size() > 0;
  }
  bool KnowsLosses() const { return in_.summary.missing_view_accuracy_size() > 0; }
  // Of a view that no test sample has nothing is known.
  bool Sees(int v) const { return (seen_ >> v & 1) != 0; }
  int Best() const { return Most(in_.summary.single_view_accuracy(), 1); }
  int Worst() const { return Most(in_.summary.single_view_accuracy(), -1); }
  int WorstLoss() const { return Most(in_.summary.missing_view_accuracy(), -1); }
  int LeastLoss() const { return Most(in_.summary.missing_view_accuracy(), 1); }
  double Alone(int v) const { return in_.summary.single_view_accuracy(v); }
  double Without(int v) const { return in_.summary.missing_view_accuracy(v); }
  Interval Likely() const { return Wilson(Overall(), in_.summary.samples()); }

  const ReportInput& in() const { return in_; }
  const NetworkPlan& plan() const { return plan_; }

 private:
  template <typename Values>
  int Most(const Values& values, int sign) const {
    int most = -1;
    for (int v = 0; v < values.size(); ++v) {
      if (Sees(v) && (most < 0 || sign * values.Get(v) > sign * values.Get(most))) most = v;
    }
    return std::max(most, 0);
  }

  const ReportInput& in_;
  const NetworkPlan& plan_;
  const uint64_t seen_;
};

std::string TimesAsMany(double raw, double bytes) {
  if (bytes <= 0) return "";
  return raw >= bytes ? absl::StrFormat("%.1f times as many", raw / bytes)
                      : absl::StrFormat("only %.2f times as many", raw / bytes);
}

void WarnOfAccuracy(const Reader& r, const ReportData& data, std::vector<std::string>* warnings) {
  const Interval likely = r.Likely();
  int frequent = 0;
  for (int c = 1; c < r.plan().classes(); ++c) {
    if (data.classes[c].samples > data.classes[frequent].samples) frequent = c;
  }
  const double guessing = Ratio(static_cast<double>(data.classes[frequent].samples),
                                static_cast<double>(r.in().records.samples));
  if (likely.low <= guessing) {
    warnings->push_back(absl::StrCat("<b>No better than guessing.</b> Always answering ",
                                     r.Class(frequent), " would be right in ",
                                     PercentText(guessing), "."));
  }
  if (likely.high - likely.low > 2 * kUnsureBy) {
    warnings->push_back(absl::StrFormat(
        "<b>Few test samples.</b> %d do not show more than that between %s and %s are answered "
        "right.",
        r.in().records.samples, PercentText(likely.low), PercentText(likely.high)));
  }
  if (r.KnowsViews() && r.Overall() < r.Alone(r.Best())) {
    warnings->push_back(absl::StrFormat(
        "<b>One view is better than all.</b> View %d alone is right in %s of what it sees.",
        r.Best(), PercentText(r.Alone(r.Best()))));
  }
  std::vector<std::string> unseen;
  for (int v = 0; v < r.plan().views(); ++v) {
    if (!r.Sees(v)) unseen.push_back(absl::StrCat("view ", v));
  }
  if (!unseen.empty()) {
    warnings->push_back(absl::StrCat("<b>Views that no test sample has:</b> ", List(unseen),
                                     ". Nothing here says what they are worth."));
  }
  if (!r.KnowsViews()) return;
  std::vector<std::string> guessers;
  for (int v = 0; v < r.plan().views(); ++v) {
    if (r.Sees(v) && r.Alone(v) < guessing + kAboveGuessing) {
      guessers.push_back(absl::StrCat("view ", v, " (", PercentText(r.Alone(v)), ")"));
    }
  }
  if (guessers.empty()) return;
  warnings->push_back(
      absl::StrCat("<b>Views that see little.</b> Alone hardly better than guessing (",
                   PercentText(guessing), "): ", List(guessers), "."));
}

void WarnOfClasses(const Reader& r, const ReportData& data, std::vector<std::string>* warnings) {
  std::vector<int> weak;
  std::vector<std::string> unseen, few;
  for (int c = 0; c < r.plan().classes(); ++c) {
    const ClassFigures& figures = data.classes[c];
    if (figures.samples == 0) {
      unseen.push_back(r.Class(c));
    } else if (Ratio(figures.right, figures.samples) < kWeakClass) {
      weak.push_back(c);
    } else if (figures.samples < kFewOfClass) {
      few.push_back(absl::StrCat(r.Class(c), " (", figures.samples, ")"));
    }
  }
  const auto right = [&](int c) { return Ratio(data.classes[c].right, data.classes[c].samples); };
  std::stable_sort(weak.begin(), weak.end(), [&](int a, int b) { return right(a) < right(b); });
  std::vector<std::string> weak_words;
  for (const int c : weak) {
    weak_words.push_back(absl::StrCat(r.Class(c), " (", data.classes[c].right, " of ",
                                      data.classes[c].samples, " right", ", mostly taken for ",
                                      r.Class(data.classes[c].taken_for), ")"));
  }
  if (!weak.empty()) {
    warnings->push_back(
        absl::StrCat("<b>Classes that are mostly missed:</b> ", List(weak_words), "."));
  }
  if (!unseen.empty()) {
    warnings->push_back(absl::StrCat("<b>Never tested:</b> no test sample of ", List(unseen), "."));
  }
  if (!few.empty()) {
    warnings->push_back(absl::StrCat("<b>Hardly tested,</b> fewer than ", kFewOfClass,
                                     " test samples: ", List(few), "."));
  }
}

void WarnOfLosses(const Reader& r, std::vector<std::string>* warnings) {
  std::vector<int> views;
  for (int v = 0; r.KnowsLosses() && v < r.plan().views(); ++v) {
    if (r.Overall() - r.Without(v) > kLostWithView) views.push_back(v);
  }
  if (views.empty()) return;
  std::stable_sort(views.begin(), views.end(),
                   [&](int a, int b) { return r.Without(a) < r.Without(b); });
  std::vector<std::string> words;
  for (const int v : views) {
    words.push_back(absl::StrCat("view ", v, " (", Points(r.Overall() - r.Without(v)), ")"));
  }
  warnings->push_back(
      absl::StrCat("<b>Much depends on single views.</b> Lost with them: ", List(words), "."));
}

void WarnOfExits(const Reader& r, const ReportData& data, std::vector<std::string>* warnings) {
  const size_t root = r.exits() - 1;
  // What chance alone makes of as many samples.
  const double noise = 1 / std::sqrt(std::max<double>(r.in().summary.samples(), 1));
  for (size_t e = 0; e < r.exits(); ++e) {
    const Reliability& reliability = data.reliability[e];
    if (reliability.excess > std::max(kOverconfident, noise)) {
      warnings->push_back(absl::StrFormat(
          "<b>%s is too sure of itself:</b> its confidence is %s above its accuracy%s.", r.Exit(e),
          Points(reliability.excess),
          e < root ? ", so that its threshold lets wrong answers stop there" : ""));
    }
    if (e < root && r.Stops(e) == 0) {
      warnings->push_back(absl::StrFormat(
          "<b>No sample stops at %s:</b> with this threshold that exit is of no use.", r.Exit(e)));
    }
  }
  if (r.IfAllStop(root) - r.Overall() > kEarlyExitsCost) {
    warnings->push_back(absl::StrFormat(
        "<b>Stopping early costs %s.</b> Were all samples answered at %s, %s would be right; "
        "ddnn-calibrate finds other thresholds.",
        Points(r.IfAllStop(root) - r.Overall()), r.Exit(root), PercentText(r.IfAllStop(root))));
  }
  if (r.exits() > 1 && r.Bytes() >= r.Raw()) {
    warnings->push_back(absl::StrFormat(
        "<b>No bytes are saved.</b> A view sends %s bytes a sample, its raw picture has %s.",
        NumberText(r.Bytes()), NumberText(r.Raw())));
  }
}

void WarnOfCalibration(const Reader& r, std::vector<std::string>* warnings) {
  const v1::Provenance& provenance = r.in().bundle.manifest.provenance();
  if (!provenance.has_threshold_calibration()) return;
  const v1::ThresholdCalibration& how = provenance.threshold_calibration();
  const bool bytes = how.constraint() == "max_bytes";
  const double measured = bytes ? r.Bytes()
                          : how.constraint() == "max_accuracy_drop"
                              ? r.IfAllStop(r.exits() - 1) - r.Overall()
                          : how.constraint() == "max_escalation" ? 1 - r.Stops(0)
                                                                 : how.limit();
  if (measured > how.limit()) {
    const auto text = [bytes](double v) { return bytes ? NumberText(v) : PercentText(v); };
    warnings->push_back(absl::StrCat("<b>The limit is not kept on these samples:</b> ",
                                     EscapeHtml(how.constraint()), " is ", text(measured),
                                     ", the thresholds were chosen for ", text(how.limit()), "."));
  }
  if (how.data() != r.in().summary.data()) {
    warnings->push_back(absl::StrCat("<b>Other data:</b> the thresholds were chosen on ",
                                     EscapeHtml(how.data()), "."));
  }
}

void WarnOfTraining(const Reader& r, const ReportData& data, std::vector<std::string>* warnings) {
  if (!data.history_fits) return;
  const v1::EpochRecord& last = *r.in().history.epoch().rbegin();
  // A schedule that ends near 0 has its best epoch last, as it should.
  const double highest = r.in().bundle.manifest.provenance().learning_rate();
  if (last.best() && last.learning_rate() >= kStillLearning * highest) {
    warnings->push_back(
        "<b>Training may have ended too soon:</b> the last epoch was the best one.");
  }
  const v1::ExitEpoch& exit = *last.exit().rbegin();
  const double gap = Ratio(exit.right(), exit.counted()) -
                     Ratio(exit.calibration_right(), exit.calibration_counted());
  if (gap > kOnlyInTraining) {
    warnings->push_back(
        absl::StrCat("<b>Learnt by heart:</b> samples of the training are answered right ",
                     Points(gap), " more often than others; more data would help."));
  }
}

std::string OfViews(const Reader& r) {
  const double gain = r.Overall() - r.Alone(r.Best());
  return absl::StrFormat(
      "The best view alone (%d) is right in <b>%s</b> of the samples that it sees, the worst (%d) "
      "in %s. All together are right <b>%s %s often</b> than the best.",
      r.Best(), PercentText(r.Alone(r.Best())), r.Worst(), PercentText(r.Alone(r.Worst())),
      Points(std::abs(gain)), gain < 0 ? "less" : "more");
}

std::string OfBytes(const Reader& r) {
  if (r.Bytes() <= 0) return "Nothing is sent: the only tier answers itself.";
  const double coded = r.CodedBytes();
  return absl::StrFormat(
      "A view sends <b>%s bytes</b> per sample on average; its raw picture has %s, %s.%s",
      NumberText(r.Bytes()), NumberText(r.Raw()), TimesAsMany(r.Raw(), r.Bytes()),
      coded > 0 && coded < r.Bytes()
          ? absl::StrFormat(" With features coded as they travel, these are %s bytes, %s.",
                            NumberText(coded), TimesAsMany(r.Raw(), coded))
          : "");
}

std::string OfExits(const Reader& r) {
  const size_t root = r.exits() - 1;
  if (root == 0) {
    return absl::StrCat("There is one exit, ", r.Exit(0), ", which answers every sample.");
  }
  std::vector<std::string> parts;
  for (size_t e = 0; e <= root; ++e) {
    parts.push_back(absl::StrCat(
        "<b>", PercentText(r.Stops(e)), "</b> of the samples are answered at ", r.Exit(e),
        r.Stops(e) > 0 ? absl::StrCat(" (", PercentText(r.RightThere(e)), " of them right)") : ""));
  }
  const double cost = r.IfAllStop(root) - r.Overall();
  return absl::StrFormat(
      "%s. Were all answered at %s, %s would be right (%s %s), at %s bytes per view and sample.",
      absl::StrJoin(parts, ", "), r.Exit(root), PercentText(r.IfAllStop(root)),
      Points(std::abs(cost)), cost < 0 ? "fewer" : "more",
      NumberText(DevicePayloadBytes(r.plan(), static_cast<int>(root))));
}

}  // namespace

std::vector<Tile> Tiles(const ReportInput& input) {
  const Reader r(input);
  const Interval likely = r.Likely();
  std::vector<Tile> tiles = {
      {PercentText(r.Overall()),
       absl::StrFormat("of %d test samples answered right (%s to %s, 95\u00a0%% confidence)",
                       input.summary.samples(), PercentText(likely.low),
                       PercentText(likely.high))}};
  if (r.KnowsViews()) {
    tiles.push_back(
        {PercentText(r.Alone(r.Best())),
         absl::StrCat("by the best view alone, of what it sees (view ", r.Best(), ")")});
  }
  tiles.push_back(
      {absl::StrCat(NumberText(r.Bytes()), " bytes"),
       absl::StrCat("sent per view and sample; a raw picture has ", NumberText(r.Raw()))});
  if (r.exits() > 1) {
    tiles.push_back({PercentText(r.Stops(0)),
                     absl::StrCat("of the samples stop at the first exit, ", r.Exit(0))});
  }
  if (r.KnowsLosses()) {
    tiles.push_back(
        {PercentText(r.Without(r.WorstLoss())),
         absl::StrCat("right when the view that matters most is lost (view ", r.WorstLoss(), ")")});
  }
  return tiles;
}

std::vector<std::string> Sentences(const ReportInput& input) {
  const Reader r(input);
  const Interval likely = r.Likely();
  std::vector<std::string> sentences = {absl::StrFormat(
      "Of %d test samples <b>%s</b> are answered right. Of other samples of the same kind expect "
      "between %s and %s (95 %% confidence).",
      input.summary.samples(), PercentText(r.Overall()), PercentText(likely.low),
      PercentText(likely.high))};
  if (r.KnowsViews()) sentences.push_back(OfViews(r));
  sentences.push_back(OfBytes(r));
  sentences.push_back(OfExits(r));
  if (r.KnowsLosses()) {
    sentences.push_back(absl::StrFormat(
        "When one view is lost while it runs, <b>%s</b> (view %d) to %s (view %d) are right.",
        PercentText(r.Without(r.WorstLoss())), r.WorstLoss(), PercentText(r.Without(r.LeastLoss())),
        r.LeastLoss()));
  }
  const std::string& thresholds = input.bundle.manifest.provenance().calibration();
  if (!thresholds.empty()) {
    sentences.push_back(absl::StrCat("The thresholds come from ", EscapeHtml(thresholds), "."));
  }
  return sentences;
}

std::vector<std::string> Warnings(const ReportInput& input, const ReportData& data) {
  const Reader r(input);
  std::vector<std::string> warnings;
  WarnOfAccuracy(r, data, &warnings);
  WarnOfCalibration(r, &warnings);
  WarnOfLosses(r, &warnings);
  WarnOfClasses(r, data, &warnings);
  WarnOfExits(r, data, &warnings);
  WarnOfTraining(r, data, &warnings);
  return warnings;
}

}  // namespace ddnn::train

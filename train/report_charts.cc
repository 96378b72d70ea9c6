#include "train/report_charts.h"

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "train/charts.h"
#include "train/html_text.h"

namespace ddnn::train {
namespace {

class Charts {
 public:
  Charts(const ReportInput& input, const ReportData& data)
      : in_(input), data_(data), plan_(input.bundle.plan), exits_(plan_.exits().size()) {}

  std::string All() const {
    return absl::StrCat(Accuracies(), Lost(), Views(), Bytes(), Escalation(), Reliabilities(),
                        Curves());
  }

 private:
  const std::string& Exit(size_t e) const { return plan_.exits()[e].name; }
  double Overall() const { return in_.summary.accuracy().at("overall"); }
  double IfAllStop(size_t e) const { return in_.summary.accuracy_if_all_stop().at(Exit(e)); }
  static int LookOf(size_t e) { return static_cast<int>(e) + 1; }  // 0: all exits together

  std::string Accuracies() const {
    std::vector<Bar> bars;
    const uint64_t seen = in_.samples.views_seen();
    for (int v = 0; v < in_.summary.single_view_accuracy_size(); ++v) {
      if ((seen >> v & 1) == 0) continue;
      bars.push_back({absl::StrCat("view ", v), in_.summary.single_view_accuracy(v), 4});
    }
    for (size_t e = 0; e < exits_; ++e) {
      bars.push_back({absl::StrCat("all at ", Exit(e)), IfAllStop(e), LookOf(e)});
    }
    bars.push_back({"as deployed", Overall(), 0});
    return Card(
        "Accuracy of each view, of each exit and as deployed",
        BarChart("accuracy", bars, Overall()),
        "Longer is better; the dashed line is the bundle as deployed, each sample at the "
        "exit its thresholds choose. A view is alone, with the samples that it sees; an exit "
        "answers all samples.");
  }

  std::string Lost() const {
    if (in_.summary.missing_view_accuracy_size() == 0) return "";
    std::vector<Bar> bars = {{"none lost", Overall(), 0}};
    for (int v = 0; v < in_.summary.missing_view_accuracy_size(); ++v) {
      bars.push_back({absl::StrCat("without ", v), in_.summary.missing_view_accuracy(v), 4});
    }
    return Card("Accuracy when a device is lost", BarChart("accuracy", bars, Overall()),
                "Each view lost in turn for all samples, nothing trained again. A bar far left of "
                "the dashed line is a device whose loss hurts.");
  }

  std::string Views() const {
    if (in_.views.empty()) return "";
    std::vector<Series> series = {{"as deployed", {0}, {}}};
    for (size_t e = 0; e < exits_; ++e) {
      series.push_back({absl::StrCat("all at ", Exit(e)), {LookOf(e), Look::kDashed}, {}});
    }
    for (const ViewCount& count : in_.views) {
      series[0].points.emplace_back(count.views, count.overall);
      for (size_t e = 0; e < exits_; ++e) {
        series[e + 1].points.emplace_back(count.views, count.exits[e]);
      }
    }
    Axis views{"number of devices, the worst first"};
    views.whole_numbers = true;
    const std::string title = "Accuracy against number of devices";
    return Card(title, LineChart(title, views, {"accuracy", true}, series),
                "From the worst device alone to all of them, nothing trained again. A line that is "
                "flat at the right: fewer devices would do. Every third test sample, of those what "
                "the devices see.");
  }

  // The curve of all thresholds tried at an exit, the ones of report.json, and what is deployed.
  std::string TradeOff(const std::string& title, size_t e, const Axis& x,
                       std::pair<double, double> chosen, double (*cost)(const Trial&),
                       const std::string& how) const {
    Series all{absl::StrCat("threshold of ", Exit(e), " from 0 to 1"), {0}, {}};
    Series tenths{"0, 0.1, … 1", {0, Look::kDots}, {}};
    for (size_t t = 0; t < data_.trials[e].size(); ++t) {
      const Trial& trial = data_.trials[e][t];
      all.points.emplace_back(cost(trial), trial.accuracy);
      if (t % 5 == 0) tenths.points.push_back(all.points.back());
    }
    const Series deployed{"as deployed", {1, Look::kMark}, {chosen}};
    return Card(title, LineChart(title, x, {"accuracy", true}, {all, tenths, deployed}), how);
  }

  std::string Bytes() const {
    if (exits_ < 2) return "";
    return TradeOff(
        "Accuracy against bytes, over thresholds", 0, {"bytes per view and sample"},
        {in_.summary.payload_bytes_per_view_sample(), Overall()},
        [](const Trial& trial) { return trial.bytes; },
        absl::StrFormat("Up and left is better; a raw picture has %s bytes. The other thresholds "
                        "are as deployed. They were chosen on other samples than these.",
                        NumberText(in_.summary.raw_bytes_per_view_sample())));
  }

  // Of exits above the first: the views' bytes do not depend on them, what their tier sends does.
  std::string Escalation() const {
    std::string html;
    for (size_t e = 1; e + 1 < exits_; ++e) {
      double goes_on = 0;
      for (size_t above = e + 1; above < exits_; ++above) {
        goes_on += in_.summary.exit_fraction().at(Exit(above));
      }
      html += TradeOff(
          absl::StrCat("Accuracy against what goes on to ", Exit(e + 1)), e,
          {absl::StrCat("samples that pass ", Exit(e)), true}, {goes_on, Overall()},
          [](const Trial& trial) { return trial.goes_on; },
          "Up and left is better: right, and little for the tier above to do.");
    }
    return html;
  }

  std::string Reliabilities() const {
    std::string html;
    for (size_t e = 0; e < exits_; ++e) {
      Series bins{absl::StrCat(Exit(e), ", area by samples"), {LookOf(e), Look::kDots}, {}};
      for (const Reliability::Bin& bin : data_.reliability[e].bins) {
        bins.points.emplace_back(bin.confidence, bin.accuracy);
        bins.weight.push_back(bin.share);
      }
      const Series diagonal{"as sure as right", {6, Look::kDashed}, {{0, 0}, {1, 1}}};
      const Axis confidence{"confidence", true, false, 0, 1},
          accuracy{"accuracy", true, false, 0, 1};
      const std::string title = absl::StrCat("Reliability of exit ", Exit(e));
      html += Card(title, LineChart(title, confidence, accuracy, {diagonal, bins}),
                   absl::StrFormat("Expected calibration error (ECE) %.1f points over all samples. "
                                   "Below the dashed line the exit is surer than it is right.",
                                   100 * data_.reliability[e].ece));
    }
    return html;
  }

  std::string Curves() const {
    if (!data_.history_fits) {
      return Card("Training", "<p class=\"none\">There is nothing to show.</p>",
                  "This bundle came without the history of its training.");
    }
    std::vector<Series> losses, accuracies;
    for (size_t e = 0; e < exits_; ++e) {
      for (std::vector<Series>* series : {&losses, &accuracies}) {
        series->push_back({absl::StrCat(Exit(e), ", training"), {LookOf(e)}, {}});
        series->push_back({absl::StrCat(Exit(e), ", held back"), {LookOf(e), Look::kDashed}, {}});
      }
    }
    for (const v1::EpochRecord& epoch : in_.history.epoch()) {
      const int at = epoch.epoch();
      for (int e = 0; e < epoch.exit_size(); ++e) {
        const v1::ExitEpoch& exit = epoch.exit(e);
        const auto trained = static_cast<double>(exit.counted());
        const auto held_back = static_cast<double>(exit.calibration_counted());
        losses[2 * e].points.emplace_back(at, Ratio(exit.loss_sum(), trained));
        losses[2 * e + 1].points.emplace_back(at, Ratio(exit.calibration_loss_sum(), held_back));
        accuracies[2 * e].points.emplace_back(at, Ratio(exit.right(), trained));
        accuracies[2 * e + 1].points.emplace_back(at, Ratio(exit.calibration_right(), held_back));
      }
    }
    Axis epochs{"epoch"};
    epochs.whole_numbers = true;
    return Card("Training: loss of each exit",
                LineChart("Training: loss of each exit", epochs, {"loss (nats)"}, losses),
                "Falling is learning. Dashed lines that rise again: it learns by heart.") +
           Card("Training: accuracy of each exit",
                LineChart("Training: accuracy", epochs, {"accuracy", true}, accuracies),
                absl::StrCat("Solid: samples it is trained on, with views hidden where the network "
                             "says so. Dashed: samples held back. ",
                             Deployed()));
  }

  std::string Deployed() const {
    const v1::Provenance& from = in_.bundle.manifest.provenance();
    if (KeptTheStart(from)) return "What is deployed is the bundle it started from.";
    return absl::StrFormat("Epoch %d is the one deployed.", from.best_epoch());
  }

  const ReportInput& in_;
  const ReportData& data_;
  const NetworkPlan& plan_;
  const size_t exits_;
};

}  // namespace

std::string ReportCharts(const ReportInput& input, const ReportData& data) {
  return Charts(input, data).All();
}

}  // namespace ddnn::train

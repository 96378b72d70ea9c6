#include "train/report_html.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "train/charts.h"
#include "train/html_text.h"
#include "train/picture_uri.h"
#include "train/report_charts.h"
#include "train/report_words.h"

namespace ddnn::train {
namespace {

constexpr int kMostMatrixClasses = 24;
constexpr size_t kMostMistakes = 20;
constexpr int kMostViewsShown = 12;

constexpr char kStyle[] = R"(
:root{color-scheme:light}*{box-sizing:border-box}
body{margin:0;background:#f4f5f7;color:#1a1d21;font:16px/1.5 system-ui,sans-serif}
main{max-width:1320px;margin:0 auto;padding:12px}
h1{font-size:24px;margin:8px 0;overflow-wrap:anywhere}h2{font-size:17px;margin:0 0 6px}p{margin:6px 0}
section{background:#fff;border:1px solid #d9dde3;border-radius:8px;padding:12px 14px;margin:0 0 12px;min-width:0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,360px),1fr));gap:12px;margin-bottom:12px}
.cards section{margin:0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,190px),1fr));gap:10px 24px;margin:4px 0 10px}
.tiles b{display:block;font-size:28px;line-height:1.2}
ul{padding-left:20px;margin:6px 0}li{margin:5px 0;overflow-wrap:anywhere}
.warnings{border-left:6px solid #d55e00}.fine{border-left:6px solid #009e73}
.how,.none,figcaption{color:#4a4f57;font-size:14px;overflow-wrap:anywhere}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:14px}
td,th{padding:3px 7px;text-align:right;border:1px solid #e3e5ea}th{font-weight:600;background:#f7f8fa}
.facts td,.facts th{text-align:left;overflow-wrap:anywhere;vertical-align:top}
.matrix td,.matrix th{padding:3px 5px}.matrix tbody th{max-width:9em;overflow-wrap:anywhere}
.matrix .up span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:9em;overflow-wrap:anywhere;text-align:left}
.shots{display:flex;flex-wrap:wrap;gap:14px}figure{margin:0;max-width:300px}
.shots img,.gone{width:46px;height:46px;margin:1px;vertical-align:top}
.shots img{object-fit:contain;image-rendering:pixelated;background:#ddd}
.gone{display:inline-block;border:1px dashed #999}
@media(max-width:520px){.scroll table{font-size:12px}.scroll td,.scroll th{padding:2px 3px}}
)";

std::string Row(const std::vector<std::string>& cells, const char* kind = "td") {
  std::string html = "<tr>";
  for (const std::string& cell : cells) {
    absl::StrAppend(&html, "<", kind, ">", cell, "</", kind, ">");
  }
  return html + "</tr>";
}

class Page {
 public:
  explicit Page(const ReportInput& input)
      : in_(input),
        plan_(input.bundle.plan),
        exits_(plan_.exits().size()),
        data_(CollectReportData(input)) {}

  std::string Print() const {
    const std::string title =
        absl::StrCat(EscapeHtml(in_.summary.network()), " on ", EscapeHtml(in_.summary.data()));
    return absl::StrCat(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
        "style-src 'unsafe-inline'; img-src data:\"/>\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>",
        title, "</title><style>", kStyle, ChartStyle(), "</style></head><body><main>\n<h1>", title,
        "</h1>\n", InWords(), WarningsCard(), "<div class=\"cards\">\n", ReportCharts(in_, data_),
        "</div>\n", Exits(), Confusion(), Pictures(), About(), "</main></body></html>\n");
  }

 private:
  const std::string& Exit(size_t e) const { return plan_.exits()[e].name; }
  std::string Class(int c) const { return EscapeHtml(plan_.spec().class_name(c)); }

  std::string InWords() const {
    std::string html = "<section><h2>In plain words</h2><div class=\"tiles\">";
    for (const Tile& tile : Tiles(in_)) {
      absl::StrAppend(&html, "<div><b>", tile.figure, "</b>", tile.words, "</div>");
    }
    absl::StrAppend(&html, "</div><ul>");
    for (const std::string& item : Sentences(in_)) absl::StrAppend(&html, "<li>", item, "</li>");
    return html + "</ul></section>\n";
  }

  std::string WarningsCard() const {
    const std::vector<std::string> warnings = Warnings(in_, data_);
    std::string html = absl::StrCat(
        "<section class=\"", warnings.empty() ? "fine" : "warnings", "\"><h2>",
        warnings.empty() ? "Nothing to warn of"
                         : absl::StrCat("Before you deploy: ", warnings.size(),
                                        warnings.size() == 1 ? " warning" : " warnings"),
        "</h2><ul>");
    for (const std::string& item : warnings) absl::StrAppend(&html, "<li>", item, "</li>");
    return html +
           "</ul><p class=\"how\">All of this holds for samples like those of the test split. "
           "Other "
           "light, other places of the cameras and other things before them are not in these "
           "figures.</p></section>\n";
  }

  std::string Exits() const {
    std::string html = "<div class=\"scroll\" tabindex=\"0\"><table>";
    html += Row({"exit", "threshold", "samples that stop there", "of them right",
                 "right if all stopped there", "confidence less accuracy", "ECE"},
                "th");
    for (size_t e = 0; e < exits_; ++e) {
      const double stops = in_.summary.exit_fraction().at(Exit(e));
      html += Row({Exit(e),
                   e + 1 < exits_ ? absl::StrFormat("%.4f", in_.summary.threshold().at(Exit(e)))
                                  : "answers always",
                   PercentText(stops),
                   stops > 0 ? PercentText(in_.summary.accuracy().at(Exit(e))) : "–",
                   PercentText(in_.summary.accuracy_if_all_stop().at(Exit(e))),
                   absl::StrFormat("%+.1f points", 100 * data_.reliability[e].excess),
                   absl::StrFormat("%.1f points", 100 * data_.reliability[e].ece)});
    }
    return Card("Exits", html + "</table></div>",
                "A sample stops at the first exit whose entropy (or what else its criterion says) "
                "is at or below its "
                "threshold. Confidence less accuracy: above 0 it is too sure of itself.");
  }

  int64_t Answered(int label, int answer) const {
    const auto found = data_.answers.find({label, answer});
    return found == data_.answers.end() ? 0 : found->second;
  }

  std::string Confusion() const {
    if (plan_.classes() > kMostMatrixClasses) return Mistakes();
    std::string html =
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"matrix\"><thead><tr><th>is ↓ answered "
        "→</th>";
    for (int c = 0; c < plan_.classes(); ++c) {
      absl::StrAppend(&html, "<th class=\"up\"><span>", Class(c), "</span></th>");
    }
    absl::StrAppend(&html, "<th>right</th></tr></thead><tbody>");
    for (int c = 0; c < plan_.classes(); ++c) {
      const auto all = static_cast<double>(data_.classes[c].samples);
      absl::StrAppend(&html, "<tr><th>", Class(c), "</th>");
      for (int a = 0; a < plan_.classes(); ++a) {
        // Errors are few: they are coloured four times as strongly as what is right.
        const double share = Ratio(static_cast<double>(Answered(c, a)), all);
        absl::StrAppendFormat(&html, "<td style=\"background:rgba(%s,%.2f)\">%d</td>",
                              a == c ? "0,158,115" : "213,94,0",
                              std::min(share * (a == c ? 0.5 : 2), 0.6), Answered(c, a));
      }
      absl::StrAppend(
          &html, "<td>",
          all > 0 ? PercentText(static_cast<double>(data_.classes[c].right) / all) : "–",
          "</td></tr>");
    }
    return Card("Confusion matrix", html + "</tbody></table></div>",
                "Number of test samples, each answered at the exit the thresholds choose. The "
                "diagonal is right; elsewhere a row's class is taken for the column's.");
  }

  std::string Mistakes() const {
    std::vector<std::pair<std::pair<int, int>, int64_t>> mistakes;
    for (const auto& entry : data_.answers) {
      if (entry.first.first != entry.first.second) mistakes.push_back(entry);
    }
    std::stable_sort(mistakes.begin(), mistakes.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    mistakes.resize(std::min(mistakes.size(), kMostMistakes));
    std::string html = "<div class=\"scroll\" tabindex=\"0\"><table>" +
                       Row({"is", "answered", "times", "of its samples"}, "th");
    for (const auto& [pair, times] : mistakes) {
      const auto all = static_cast<double>(data_.classes[pair.first].samples);
      html += Row({Class(pair.first), Class(pair.second), absl::StrCat(times),
                   PercentText(Ratio(static_cast<double>(times), all))});
    }
    return Card("Confusion: the most frequent mistakes", html + "</table></div>",
                "Of all test samples, each answered at the exit the thresholds choose.");
  }

  std::string Figure(int64_t i) const {
    const int64_t index = in_.records.index[i];
    const size_t exit = data_.taken[i];
    const Shape shape = plan_.view_shape();
    std::string html = "<figure><div>";
    for (int v = 0; v < std::min(in_.samples.views, kMostViewsShown); ++v) {
      if (!(in_.samples.presence[index] >> v & 1)) {
        absl::StrAppendFormat(&html, "<span class=\"gone\" title=\"view %d: absent\"></span>", v);
        continue;
      }
      const uint8_t* pixels = in_.samples.pixels.data() + index * in_.samples.sample_bytes() +
                              v * in_.samples.view_bytes;
      absl::StrAppendFormat(&html, "<img alt=\"view %d\" src=\"%s\"/>", v,
                            PictureUri(pixels, shape.channels, shape.height, shape.width));
    }
    const int label = in_.samples.labels[index], answer = in_.records.answer[exit][i];
    return absl::StrCat(
        html, "</div><figcaption>", Class(label),
        label == answer ? "" : absl::StrCat(", answered <b>", Class(answer), "</b>"), " at ",
        Exit(exit), ", ", PercentText(in_.records.confidence[exit][i]),
        " sure</figcaption></figure>");
  }

  std::string Group(const std::string& title, const std::vector<int64_t>& shown,
                    const std::string& how) const {
    std::string html;
    for (const int64_t i : shown) html += Figure(i);
    if (shown.empty()) html = "<p class=\"none\">There is none.</p>";
    return Card(title, absl::StrCat("<div class=\"shots\">", html, "</div>"), how);
  }

  std::string Pictures() const {
    const std::string spread =
        "A few, spread over the test split; the views from 0 on, dashed where one sees nothing.";
    std::string html;
    if (exits_ > 1) {
      html += Group(absl::StrCat("Right and early, at ", Exit(0)), data_.early, spread);
    }
    html += Group(absl::StrCat(exits_ > 1 ? "Right but late, at " : "Right, at ", Exit(exits_ - 1)),
                  data_.late, spread);
    return html + Group("Wrong", data_.wrong, "The mistakes that it was surest of come first.");
  }

  std::string About() const {
    const v1::Provenance& from = in_.bundle.manifest.provenance();
    std::string html = "<table class=\"facts\">";
    const auto fact = [&html](const std::string& name, const std::string& value) {
      absl::StrAppend(&html, "<tr><th scope=\"row\">", name, "</th><td>", value, "</td></tr>");
    };
    fact("bundle", EscapeHtml(in_.summary.bundle_sha256()));
    fact("trained on", EscapeHtml(from.data()));
    fact("measured on", absl::StrCat(EscapeHtml(in_.summary.data()), ", ", in_.summary.samples(),
                                     " test samples"));
    const std::string kept =
        KeptTheStart(from)
            ? absl::StrFormat("no epoch of %d was better than the bundle it started from",
                              from.epochs())
            : absl::StrFormat("epoch %d of %d", from.best_epoch(), from.epochs());
    fact("training",
         absl::StrFormat("%s; batches of %d, seed %d", kept, from.batch(), from.seed()));
    fact("thresholds", EscapeHtml(from.calibration()));
    for (const TierPlan& tier : plan_.tiers()) {
      int64_t most = 0;
      for (const v1::SectionFile& file : in_.bundle.manifest.section()) {
        if (file.tier() == tier.name) most = std::max<int64_t>(most, file.bytes());
      }
      fact(absl::StrCat("section of a ", tier.name), absl::StrCat(most, " bytes"));
    }
    return Card("About this bundle", html + "</table>",
                "report.json holds these figures for programs, history.json the training's.");
  }

  const ReportInput& in_;
  const NetworkPlan& plan_;
  const size_t exits_;
  const ReportData data_;
};

}  // namespace

std::string ReportHtml(const ReportInput& input) { return Page(input).Print(); }

}  // namespace ddnn::train

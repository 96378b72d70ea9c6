#include "train/charts.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "train/html_text.h"

namespace ddnn::train {
namespace {

constexpr double kWidth = 400, kHeight = 250, kLeft = 50, kRight = 14, kTop = 12, kBottom = 42;
constexpr double kMost = 1e12;
constexpr size_t kMostDots = 40;  // a line of more shows none
constexpr int kMostTicks = 12;
// Okabe and Ito's, dark ones first; the yellow one is too pale for lines on white.
constexpr const char* kColours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                    "#56b4e9", "#e69f00", "#000000", "#8a6d00"};
constexpr int kLooks = static_cast<int>(std::size(kColours));

const char* Colour(const Look& look) { return kColours[look.number % kLooks]; }

bool CanShow(double x, double y) { return std::abs(x) < kMost && std::abs(y) < kMost; }

// 1, 2 or 5 times a power of ten, so that about four steps fill the span.
double TickStep(double span, bool whole_numbers) {
  const double raw = std::max(span / 4, 1e-9);
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw * 0.999) {
      step = factor * power;
      break;
    }
  }
  if (!whole_numbers) return step;
  return span <= 8 ? 1 : std::max(std::ceil(step), 1.0);
}

struct Range {
  double low, high, step;
};

Range RangeOf(const Axis& axis, const std::vector<double>& values) {
  if (axis.low <= axis.high) {
    return {axis.low, axis.high, TickStep(axis.high - axis.low, axis.whole_numbers)};
  }
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  Range range{*least, *most, 0};
  const double least_span = axis.percent ? 0.02 : std::max(std::abs(*most) * 1e-6, 1e-6);
  if (range.high - range.low < least_span) {
    const double more = axis.percent ? 0.01 : std::max(std::abs(*most) * 0.1, 0.5);
    range.low -= more;
    range.high += more;
  }
  range.step = TickStep(range.high - range.low, axis.whole_numbers);
  if (!axis.whole_numbers) {
    range.low = std::floor(range.low / range.step + 1e-9) * range.step;
    range.high = std::ceil(range.high / range.step - 1e-9) * range.step;
  }
  if (axis.percent) {
    range.low = std::max(range.low, 0.0);
    range.high = std::min(range.high, 1.0);
  }
  return range;
}

std::vector<double> Ticks(const Range& range) {
  std::vector<double> ticks;
  const double first = std::ceil(range.low / range.step - 1e-6);
  for (int i = 0; i < kMostTicks; ++i) {
    const double tick = (first + i) * range.step;
    if (tick > range.high + range.step * 1e-6) break;
    ticks.push_back(tick);
  }
  return ticks;
}

std::string TickText(double value, double step, const Axis& axis) {
  if (std::abs(value) < step * 1e-6) value = 0;
  const double scale = axis.percent ? 100 : 1;
  const double digits = std::ceil(-std::log10(scale * step) - 1e-3);
  return absl::StrFormat("%.*f", static_cast<int>(std::clamp(digits, 0.0, 9.0)), scale * value);
}

std::string NameOf(const Axis& axis) {
  return EscapeHtml(axis.percent ? absl::StrCat(axis.name, " (%)") : axis.name);
}

// One of four shapes around a point, about `r` from its middle; `inner` goes into the element.
std::string Dot(const Look& look, double x, double y, double r, const std::string& inner) {
  const std::string fill = absl::StrCat(
      "fill=\"", Colour(look),
      look.kind == Look::kDots ? "\" fill-opacity=\"0.75\" stroke=\"#fff\"" : "\" stroke=\"#fff\"");
  switch (look.kind == Look::kMark ? 3 : look.number % 4) {
    case 1:
      return absl::StrFormat(
          "<rect class=\"dot\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" %s>%s</rect>",
          x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r, fill, inner);
    case 2:
      return absl::StrFormat("<path class=\"dot\" d=\"M%.1f %.1fl%.1f %.1fh%.1fz\" %s>%s</path>", x,
                             y - 1.2 * r, 1.1 * r, 2.0 * r, -2.2 * r, fill, inner);
    case 3:
      return absl::StrFormat(
          "<path class=\"dot\" d=\"M%.1f %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz\" %s>%s</path>", x,
          y - 1.3 * r, 1.3 * r, 1.3 * r, -1.3 * r, 1.3 * r, -1.3 * r, -1.3 * r, fill, inner);
    default:
      return absl::StrFormat(
          "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" %s>%s</circle>", x, y, r, fill,
          inner);
  }
}

class Plot {
 public:
  Plot(const Axis& x, const Axis& y, const Range& xs, const Range& ys)
      : x_(x), y_(y), xs_(xs), ys_(ys) {}

  std::string Frame() const {
    std::string svg;
    for (const double tick : Ticks(ys_)) {
      absl::StrAppendFormat(
          &svg, "<line class=\"grid-line\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>",
          kLeft, kWidth - kRight, Y(tick), Y(tick));
      absl::StrAppendFormat(&svg, "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%s</text>",
                            kLeft - 6, Y(tick) + 4, TickText(tick, ys_.step, y_));
    }
    for (const double tick : Ticks(xs_)) {
      absl::StrAppendFormat(
          &svg, "<line class=\"tick\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.0f\" y2=\"%.0f\"/>", X(tick),
          X(tick), kHeight - kBottom, kHeight - kBottom + 4);
      absl::StrAppendFormat(&svg, "<text x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\">%s</text>",
                            X(tick), kHeight - kBottom + 17, TickText(tick, xs_.step, x_));
    }
    absl::StrAppendFormat(&svg,
                          "<line class=\"tick\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.0f\" y2=\"%.0f\"/>",
                          kLeft, kWidth - kRight, kHeight - kBottom, kHeight - kBottom);
    absl::StrAppendFormat(&svg, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"middle\">%s</text>",
                          (kLeft + kWidth - kRight) / 2, kHeight - 7, NameOf(x_));
    absl::StrAppendFormat(
        &svg, "<text transform=\"translate(12 %.0f) rotate(-90)\" text-anchor=\"middle\">%s</text>",
        (kTop + kHeight - kBottom) / 2, NameOf(y_));
    return svg;
  }

  std::string Draw(const Series& series) const {
    const bool line = series.look.kind == Look::kLine || series.look.kind == Look::kDashed;
    std::string path, dots;
    for (size_t i = 0; i < series.points.size(); ++i) {
      const auto [x, y] = series.points[i];
      if (!CanShow(x, y)) continue;
      absl::StrAppendFormat(&path, "%s%.1f %.1f", path.empty() ? "M" : "L", X(x), Y(y));
      if (line && series.points.size() > kMostDots) continue;
      double r = line ? 3 : series.look.kind == Look::kMark ? 6.5 : 4;
      if (i < series.weight.size()) r = 2.5 + 12 * std::sqrt(series.weight[i]);
      absl::StrAppend(&dots, Dot(series.look, X(x), Y(y), r, Words(series.name, x, y)));
    }
    if (!line || path.empty()) return dots;
    return absl::StrCat("<path d=\"", path, "\" fill=\"none\" stroke=\"", Colour(series.look),
                        "\" stroke-width=\"2\"",
                        series.look.kind == Look::kDashed ? " stroke-dasharray=\"5 4\"" : "", "/>",
                        dots);
  }

 private:
  double X(double value) const {
    return kLeft + (value - xs_.low) / (xs_.high - xs_.low) * (kWidth - kLeft - kRight);
  }
  double Y(double value) const {
    return kHeight - kBottom -
           (value - ys_.low) / (ys_.high - ys_.low) * (kHeight - kTop - kBottom);
  }
  // Shown where a mouse rests on the dot.
  std::string Words(const std::string& name, double x, double y) const {
    const auto value = [](const Axis& axis, double v) {
      return axis.percent ? PercentText(v) : NumberText(v);
    };
    return absl::StrCat("<title>", EscapeHtml(name), ": ", EscapeHtml(x_.name), " ", value(x_, x),
                        ", ", EscapeHtml(y_.name), " ", value(y_, y), "</title>");
  }

  const Axis &x_, &y_;
  Range xs_, ys_;
};

std::string Legend(const std::vector<Series>& series) {
  std::string html = "<ul class=\"legend\">";
  for (const Series& s : series) {
    std::string key;
    if (s.look.kind == Look::kLine || s.look.kind == Look::kDashed) {
      absl::StrAppendFormat(&key, "<path d=\"M0 7H28\" stroke=\"%s\" stroke-width=\"2\"%s/>",
                            Colour(s.look),
                            s.look.kind == Look::kDashed ? " stroke-dasharray=\"5 4\"" : "");
    }
    // A line without dots in the chart has none here.
    if (key.empty() || s.points.size() <= kMostDots) {
      key += Dot(s.look, 14, 7, s.look.kind == Look::kMark ? 5 : 3.5, "");
    }
    absl::StrAppend(&html, "<li><svg class=\"key\" viewBox=\"0 0 28 14\" aria-hidden=\"true\">",
                    key, "</svg>", EscapeHtml(s.name), "</li>");
  }
  return html + "</ul>";
}

}  // namespace

std::string LineChart(const std::string& title, const Axis& x, const Axis& y,
                      const std::vector<Series>& series) {
  std::vector<double> xs, ys;
  for (const Series& s : series) {
    for (const auto& [px, py] : s.points) {
      if (!CanShow(px, py)) continue;
      xs.push_back(px);
      ys.push_back(py);
    }
  }
  if (xs.empty()) return "<p class=\"none\">There is nothing to show.</p>";
  const Plot plot(x, y, RangeOf(x, xs), RangeOf(y, ys));
  std::string svg = absl::StrFormat(
      "<svg class=\"chart\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
      "aria-label=\"%s\">%s",
      kWidth, kHeight, EscapeHtml(title), plot.Frame());
  for (const Series& s : series) absl::StrAppend(&svg, plot.Draw(s));
  return absl::StrCat(svg, "</svg>", Legend(series));
}

std::string BarChart(const std::string& axis, const std::vector<Bar>& bars, double reference) {
  if (bars.empty()) return "<p class=\"none\">There is nothing to show.</p>";
  std::string line;
  if (reference >= 0 && reference <= 1) {
    line =
        absl::StrFormat("<span class=\"reference\" style=\"left:%.2f%%\"></span>", 100 * reference);
  }
  std::string html = "<table class=\"bars\">";
  for (const Bar& bar : bars) {
    const double value = std::clamp(std::isfinite(bar.value) ? bar.value : 0.0, 0.0, 1.0);
    absl::StrAppendFormat(
        &html,
        "<tr><th scope=\"row\">%s</th><td class=\"track\"><div><span class=\"bar\" "
        "style=\"width:%.2f%%;background:%s\"></span>%s</div></td><td>%s</td></tr>",
        EscapeHtml(bar.name), 100 * value, Colour({bar.look}), line, PercentText(value));
  }
  return absl::StrCat(html,
                      "<tr class=\"scale\"><td></td><td class=\"track\"><div><span>0</span>"
                      "<span>50</span><span>100</span></div></td><td></td></tr>",
                      "<tr class=\"scale\"><td></td><td class=\"track\">", EscapeHtml(axis),
                      " (%)</td><td></td></tr></table>");
}

std::string ChartStyle() {
  return R"(
svg.chart{display:block;width:100%;max-width:520px;height:auto}
svg.chart text{font:12px system-ui,sans-serif;fill:#333}
.grid-line{stroke:#e3e5ea}.tick{stroke:#777}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 14px;margin:4px 0;padding:0;font-size:13px}
.legend li{margin:0;overflow-wrap:anywhere}.key{width:28px;height:14px;margin-right:5px;vertical-align:-2px}
.bars{width:100%;max-width:520px;border-collapse:collapse;font-size:13px}
.bars th,.bars td{border:0;background:none;padding:2px 4px;font-weight:400;text-align:right;white-space:nowrap}
.bars th{white-space:normal;overflow-wrap:anywhere;max-width:9em}.bars td.track{width:58%;padding:2px 8px}
.track div{position:relative;height:16px;background:#eef0f3}
.bar{position:absolute;left:0;top:0;bottom:0}
.reference{position:absolute;top:-2px;bottom:-2px;border-left:2px dashed #000}
.scale td{color:#555;font-size:12px}.bars .scale td.track{text-align:center}
.scale div{display:flex;justify-content:space-between;background:none;border-top:1px solid #777}
)";
}

}  // namespace ddnn::train

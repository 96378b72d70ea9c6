#ifndef DDNN_TRAIN_CHARTS_H_
#define DDNN_TRAIN_CHARTS_H_

#include <string>
#include <utility>
#include <vector>

namespace ddnn::train {

/// How a series looks. Told apart by colour (a palette for all kinds of colour vision) and by the
/// shape of its dots; 0 to 7, then again from 0.
struct Look {
  enum Kind { kLine, kDashed, kDots, kMark };  ///< kMark: large, for one point that matters

  int number = 0;
  Kind kind = kLine;
};

struct Series {
  std::string name;
  Look look;
  std::vector<std::pair<double, double>> points;  ///< not finite or beyond 1e12: left out
  std::vector<double> weight = {};                ///< of kDots: shares of all, for the dots' areas
};

struct Axis {
  std::string name;            ///< with its unit; "(%)" is added where `percent`
  bool percent = false;        ///< values are fractions
  bool whole_numbers = false;  ///< ticks only there
  double low = 1, high = 0;    ///< low > high: as the points need it
};

/// One SVG element, as wide as its place, and a legend below it: lines, dots, axes. `title` is read
/// to those who cannot see it. Names are escaped here. Without a point it is a line that says so.
std::string LineChart(const std::string& title, const Axis& x, const Axis& y,
                      const std::vector<Series>& series);

struct Bar {
  std::string name;
  double value = 0;  ///< a fraction, 0 to 1
  int look = 0;      ///< number of a Look
};

/// Lying bars of fractions with their values in per cent, as a table. Names are escaped here.
///
/// \param reference  a line there through all bars; none unless in [0, 1]
std::string BarChart(const std::string& axis, const std::vector<Bar>& bars, double reference);

/// What the charts need in a page's style sheet.
std::string ChartStyle();

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_CHARTS_H_

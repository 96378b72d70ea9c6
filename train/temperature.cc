#include "train/temperature.h"

#include <algorithm>
#include <cmath>

namespace ddnn::train {
namespace {

constexpr double kLowest = 0.05, kHighest = 20;
// Each step keeps 62 % of the interval: the logarithm of the temperature is known to 1e-6.
constexpr int kSteps = 32;

}  // namespace

double NegativeLogLikelihood(const ExitRecords& records, int exit, double temperature) {
  const std::vector<float>& scores = records.scores[exit];
  const size_t classes = scores.size() / std::max<size_t>(records.label.size(), 1);
  double sum = 0;
  for (size_t i = 0; i < records.label.size(); ++i) {
    const float* row = &scores[i * classes];
    const double largest = *std::max_element(row, row + classes);
    double total = 0;
    for (size_t c = 0; c < classes; ++c) total += std::exp((row[c] - largest) / temperature);
    sum += std::log(total) - (row[records.label[i]] - largest) / temperature;
  }
  return records.label.empty() ? 0 : sum / static_cast<double>(records.label.size());
}

// The likelihood has one peak in 1 / temperature, so that golden section search finds it.
float FitTemperature(const ExitRecords& records, int exit) {
  if (records.label.empty()) return 1;
  const double ratio = (std::sqrt(5.0) - 1) / 2;
  const auto loss = [&](double log_t) {
    return NegativeLogLikelihood(records, exit, std::exp(log_t));
  };
  double low = std::log(kLowest), high = std::log(kHighest);
  double a = high - ratio * (high - low), b = low + ratio * (high - low);
  double at_a = loss(a), at_b = loss(b);
  for (int step = 0; step < kSteps; ++step) {
    if (at_a <= at_b) {
      high = b;
      b = a, at_b = at_a;
      a = high - ratio * (high - low);
      at_a = loss(a);
    } else {
      low = a;
      a = b, at_a = at_b;
      b = low + ratio * (high - low);
      at_b = loss(b);
    }
  }
  return static_cast<float>(std::exp((low + high) / 2));
}

}  // namespace ddnn::train

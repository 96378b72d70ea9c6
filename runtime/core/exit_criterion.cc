#include "runtime/core/exit_criterion.h"

#include <algorithm>
#include <cmath>

namespace ddnn {
namespace {

// With z = (x - max) / temperature, p = e^z / S.
struct Softmax {
  double sum = 0;       // S
  double weighted = 0;  // sum(z e^z); no term is 0 * log 0: a z far below zero makes e^z zero
  double second = 0;    // e^z of the second largest; the largest's is 1
};

double Measure(v1::Criterion criterion, const Softmax& softmax, double classes) {
  switch (criterion) {
    case v1::LARGEST_PROBABILITY:
      return (1 - 1 / softmax.sum) * classes / (classes - 1);
    case v1::MARGIN:
      return 1 - (1 - softmax.second) / softmax.sum;
    default:
      return (std::log(softmax.sum) - softmax.weighted / softmax.sum) / std::log(classes);
  }
}

}  // namespace

float ExitThreshold::At(int views_missing) const {
  if (views_missing <= 0 || missing.empty()) return entropy;
  return missing[std::min<size_t>(views_missing, missing.size()) - 1];
}

bool operator==(const ExitThreshold& a, const ExitThreshold& b) {
  return a.entropy == b.entropy && a.missing == b.missing && a.criterion == b.criterion &&
         a.temperature == b.temperature;
}

float Uncertainty(const ExitThreshold& rule, absl::Span<const float> logits) {
  if (logits.size() < 2) return 1.0f;
  size_t top = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isfinite(logits[i])) return 1.0f;
    if (logits[i] > logits[top]) top = i;
  }
  Softmax softmax;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double z = (static_cast<double>(logits[i]) - logits[top]) / rule.temperature;
    const double e = std::exp(z);
    softmax.sum += e;
    softmax.weighted += z * e;
    if (i != top) softmax.second = std::max(softmax.second, e);
  }
  const double measure = Measure(rule.criterion, softmax, static_cast<double>(logits.size()));
  return static_cast<float>(std::clamp(measure, 0.0, 1.0));
}

float NormalizedEntropy(absl::Span<const float> logits) {
  return Uncertainty(ExitThreshold(), logits);
}

int ArgMax(absl::Span<const float> scores) {
  int best = 0;
  for (size_t i = 1; i < scores.size(); ++i) {
    if (scores[i] > scores[best] || (std::isnan(scores[best]) && !std::isnan(scores[i]))) {
      best = static_cast<int>(i);
    }
  }
  return best;
}

bool Exits(float uncertainty, float threshold) {
  return std::isfinite(uncertainty) && std::isfinite(threshold) && uncertainty <= threshold;
}

int ViewsMissing(int views, uint64_t presence) {
  int present = 0;
  for (; presence != 0; presence &= presence - 1) ++present;
  return views - present;
}

}  // namespace ddnn

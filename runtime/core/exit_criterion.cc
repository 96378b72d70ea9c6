#include "runtime/core/exit_criterion.h"

#include <algorithm>
#include <cmath>

namespace ddnn {

float NormalizedEntropy(absl::Span<const float> logits) {
  if (logits.size() < 2) return 1.0f;
  double largest = logits[0];
  for (float logit : logits) {
    if (!std::isfinite(logit)) return 1.0f;
    largest = std::max(largest, static_cast<double>(logit));
  }
  // With z = x - max, p = e^z / S: H = log S - sum(z e^z) / S. No term is 0 * log 0: a z far below
  // zero makes e^z zero and the product with it.
  double sum = 0, weighted = 0;
  for (float logit : logits) {
    const double z = static_cast<double>(logit) - largest;
    const double e = std::exp(z);
    sum += e;
    weighted += z * e;
  }
  const double entropy = std::log(sum) - weighted / sum;
  const double normalized = entropy / std::log(static_cast<double>(logits.size()));
  return static_cast<float>(std::clamp(normalized, 0.0, 1.0));
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

bool Exits(float entropy, float threshold) {
  return std::isfinite(entropy) && std::isfinite(threshold) && entropy <= threshold;
}

}  // namespace ddnn

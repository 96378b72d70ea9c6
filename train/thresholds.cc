#include "train/thresholds.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "runtime/core/exit_criterion.h"

namespace ddnn::train {
namespace {

constexpr double kHardFraction = 0.1;
constexpr double kMaxCombinations = 6500;
constexpr int kMaxCandidates = 80;

// The threshold below which exactly the first `count` of these sorted entropies lie, or more where
// the last of them has equals.
float Between(const std::vector<float>& sorted, size_t count) {
  if (count == 0) return sorted.empty() ? 0 : sorted[0] / 2;
  const float below = sorted[count - 1];
  const auto above = std::upper_bound(sorted.begin(), sorted.end(), below);
  if (above == sorted.end()) return std::min(1.0f, below + (1 - below) / 2);
  // In double: two neighbouring floats have no float between them, then the lower one serves.
  const float middle = static_cast<float>((static_cast<double>(below) + *above) / 2);
  return middle < *above ? middle : below;
}

std::vector<float> Sorted(std::vector<float> values) {
  std::sort(values.begin(), values.end());
  return values;
}

std::vector<float> Candidates(const std::vector<float>& entropies, int count) {
  const std::vector<float> sorted = Sorted(entropies);
  // Below every entropy: nobody stops. An entropy of 0 is certain and may always stop.
  std::vector<float> candidates = {Between(sorted, 0)};
  for (int k = 1; k <= count; ++k) {
    candidates.push_back(Between(sorted, sorted.size() * k / count));
  }
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  return candidates;
}

float HardThreshold(const NetworkPlan& plan, const ExitRecords& records,
                    const std::vector<float>& thresholds) {
  const size_t root = plan.exits().size() - 1;
  std::vector<float> reached;
  for (int64_t i = 0; i < records.samples; ++i) {
    bool stopped = false;
    for (size_t e = 0; e < root && !stopped; ++e) {
      stopped = Exits(records.entropy[e][i], thresholds[e]);
    }
    if (!stopped) reached.push_back(records.entropy[root][i]);
  }
  if (reached.empty()) reached = records.entropy[root];
  const auto sure =
      static_cast<size_t>(std::lround(static_cast<double>(reached.size()) * (1 - kHardFraction)));
  return Between(Sorted(std::move(reached)), sure);
}

double MeanTier(const NetworkPlan& plan, const Operation& operation) {
  double mean = 0;
  for (size_t e = 0; e < plan.exits().size(); ++e) {
    mean += operation.exit_fraction[e] * plan.exits()[e].tier;
  }
  return mean;
}

}  // namespace

ThresholdChoice ChooseThresholds(const NetworkPlan& plan, const ExitRecords& records,
                                 double max_accuracy_drop) {
  const size_t early = plan.exits().size() - 1;
  std::vector<std::vector<float>> candidates(early);
  const int each = early == 0
                       ? 0
                       : std::clamp(static_cast<int>(std::pow(kMaxCombinations, 1.0 / early)), 2,
                                    kMaxCandidates);
  for (size_t e = 0; e < early; ++e) candidates[e] = Candidates(records.entropy[e], each);

  struct Tried {
    std::vector<float> thresholds;
    double accuracy = 0, tier = 0;
  };
  std::vector<Tried> all;
  std::vector<size_t> pick(early, 0);
  for (bool more = true; more;) {
    Tried tried;
    for (size_t e = 0; e < early; ++e) tried.thresholds.push_back(candidates[e][pick[e]]);
    tried.thresholds.push_back(1);
    const Operation operation = Operate(plan, records, tried.thresholds);
    tried.accuracy = operation.accuracy;
    tried.tier = MeanTier(plan, operation);
    all.push_back(std::move(tried));
    more = false;
    for (size_t e = 0; e < early && !more; ++e) {
      more = ++pick[e] < candidates[e].size();
      if (!more) pick[e] = 0;
    }
  }

  ThresholdChoice choice;
  for (const Tried& tried : all)
    choice.best_accuracy = std::max(choice.best_accuracy, tried.accuracy);
  const Tried* best = nullptr;
  for (const Tried& tried : all) {
    if (tried.accuracy < choice.best_accuracy - max_accuracy_drop - 1e-12) continue;
    if (best == nullptr || tried.tier < best->tier ||
        (tried.tier == best->tier && tried.accuracy > best->accuracy)) {
      best = &tried;
    }
  }
  choice.thresholds = best->thresholds;
  choice.accuracy = best->accuracy;
  choice.thresholds.back() = HardThreshold(plan, records, choice.thresholds);
  choice.description = absl::StrFormat(
      "joint search on %d calibration samples: accuracy %.4f, at most %.4f below the best %.4f; "
      "root: most uncertain %.0f %%",
      records.samples, choice.accuracy, max_accuracy_drop, choice.best_accuracy,
      100 * kHardFraction);
  return choice;
}

}  // namespace ddnn::train

#include "train/thresholds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/strings/str_format.h"
#include "runtime/core/exit_criterion.h"

namespace ddnn::train {
namespace {

constexpr double kHardFraction = 0.1;
constexpr double kMaxSteps = 16e6;

// The threshold below which exactly the first `count` of these sorted entropies lie, or more where
// the last of them has equals.
float Between(const std::vector<float>& sorted, size_t count) {
  if (count == 0) return sorted.empty() ? 0 : sorted[0] / 2;
  const float below = sorted[count - 1];
  const auto above = std::upper_bound(sorted.begin(), sorted.end(), below);
  if (above == sorted.end()) return std::min(1.0f, below + (1 - below) / 2);
  return Midway(below, *above);
}

std::vector<float> Sorted(std::vector<float> values) {
  std::sort(values.begin(), values.end());
  return values;
}

std::vector<float> Candidates(const std::vector<float>& entropies, size_t most) {
  const std::vector<float> sorted = Sorted(entropies);
  const size_t count = std::min(sorted.size(), std::max<size_t>(most, 2));
  // Below every entropy: nobody stops. An entropy of 0 is certain and may always stop.
  std::vector<float> candidates = {Between(sorted, 0)};
  for (size_t k = 1; k <= count; ++k) {
    candidates.push_back(Between(sorted, sorted.size() * k / count));
  }
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  return candidates;
}

struct Scored {
  OperatingPoint point;
  double score = 0;
};

// Cheaper, or as cheap and better.
bool Before(const Scored& a, const Scored& b) {
  return std::make_tuple(a.point.bytes, a.point.tiers, -a.score) <
         std::make_tuple(b.point.bytes, b.point.tiers, -b.score);
}

// Leaves what nothing cheaper equals; sorted, cheapest first.
void KeepUnbeaten(std::vector<Scored>* points) {
  std::stable_sort(points->begin(), points->end(), Before);
  double best = -std::numeric_limits<double>::infinity();
  const auto beaten = [&best](const Scored& scored) {
    if (!(scored.score > best)) return true;
    best = scored.score;
    return false;
  };
  points->erase(std::remove_if(points->begin(), points->end(), beaten), points->end());
}

// Goes through the candidates of all early exits: recursively through all but the last early one,
// whose candidates are swept in the order of its entropies, one sample changing sides at a time.
class Search {
 public:
  Search(const NetworkPlan& plan, const ExitRecords& records, const PointScore& score)
      : records_(records), score_(score), root_(plan.exits().size() - 1) {
    for (size_t e = 0; e <= root_; ++e) {
      bytes_.push_back(std::llround(DevicePayloadBytes(plan, static_cast<int>(e))));
      tiers_.push_back(plan.exits()[e].tier);
    }
    if (root_ == 0) return;
    const double samples = std::max<double>(1, static_cast<double>(records.samples));
    const double each =
        root_ == 1 ? samples : std::pow(kMaxSteps / samples, 1.0 / static_cast<double>(root_ - 1));
    for (size_t e = 0; e + 1 < root_; ++e) {
      candidates_.push_back(Candidates(records.entropy[e], static_cast<size_t>(each)));
    }
    candidates_.push_back(
        Candidates(records.entropy[root_ - 1], records.entropy[root_ - 1].size()));
    by_last_.resize(records.samples);
    std::iota(by_last_.begin(), by_last_.end(), int64_t{0});
    const std::vector<float>& last = records.entropy[root_ - 1];
    std::stable_sort(by_last_.begin(), by_last_.end(),
                     [&last](int64_t a, int64_t b) { return last[a] < last[b]; });
  }

  std::vector<OperatingPoint> Run() {
    OperatingPoint start;
    start.thresholds.assign(root_ + 1, 1.0f);
    if (root_ == 0) {
      for (int64_t i = 0; i < records_.samples; ++i) Take(i, 0, &start);
      return {start};
    }
    Descend(0, by_last_, start);
    KeepUnbeaten(&found_);
    std::vector<OperatingPoint> points;
    for (Scored& scored : found_) points.push_back(std::move(scored.point));
    return points;
  }

 private:
  // Counts sample i as stopping at this exit.
  void Take(int64_t i, size_t exit, OperatingPoint* point) const {
    point->right += static_cast<int>(records_.right[exit][i]);
    point->changed += static_cast<int>(records_.right[exit][i] != records_.right[root_][i]);
    point->bytes += bytes_[exit];
    point->tiers += tiers_[exit];
  }

  // `reached`: the samples that come to this exit, in the order of the last early one's entropies.
  void Descend(size_t exit, const std::vector<int64_t>& reached, const OperatingPoint& above) {
    if (exit + 1 == root_) return Sweep(reached, above);
    for (float threshold : candidates_[exit]) {
      OperatingPoint point = above;
      point.thresholds[exit] = threshold;
      std::vector<int64_t> onward;
      for (int64_t i : reached) {
        if (Exits(records_.entropy[exit][i], threshold)) {
          Take(i, exit, &point);
        } else {
          onward.push_back(i);
        }
      }
      Descend(exit + 1, onward, point);
    }
  }

  double Score(int64_t right, int64_t changed) const {
    return score_ ? score_(right, changed) : static_cast<double>(right);
  }

  // The higher the last threshold, the cheaper: of all its candidates those stay whose score is
  // above that of every higher one.
  void Sweep(const std::vector<int64_t>& reached, OperatingPoint point) {
    const size_t last = root_ - 1;
    for (int64_t i : reached) Take(i, root_, &point);
    steps_.clear();
    Step step{0, 0, point.right, point.changed};
    for (float threshold : candidates_[last]) {
      const size_t before = step.stopped;
      while (step.stopped < reached.size() &&
             Exits(records_.entropy[last][reached[step.stopped]], threshold)) {
        const int64_t i = reached[step.stopped++];
        const int here = records_.right[last][i], at_root = records_.right[root_][i];
        step.right += here - at_root;
        step.changed += static_cast<int>(here != at_root);
      }
      step.threshold = threshold;
      // Otherwise it differs only for samples that do not come here.
      if (step.stopped > before || steps_.empty()) steps_.push_back(step);
    }
    double best = -std::numeric_limits<double>::infinity();
    for (auto tried = steps_.rbegin(); tried != steps_.rend(); ++tried) {
      const double score = Score(tried->right, tried->changed);
      if (!(score > best)) continue;
      best = score;
      OperatingPoint kept = point;
      const auto stopped = static_cast<int64_t>(tried->stopped);
      kept.thresholds[last] = tried->threshold;
      kept.right = tried->right;
      kept.changed = tried->changed;
      kept.bytes += stopped * (bytes_[last] - bytes_[root_]);
      kept.tiers += stopped * (tiers_[last] - tiers_[root_]);
      found_.push_back({std::move(kept), score});
    }
    if (found_.size() > kMaxFound) KeepUnbeaten(&found_);
  }

  struct Step {
    float threshold;
    size_t stopped;
    int64_t right, changed;
  };
  static constexpr size_t kMaxFound = 1 << 18;

  const ExitRecords& records_;
  const PointScore& score_;
  const size_t root_;
  std::vector<int64_t> bytes_, tiers_;          // by exit taken
  std::vector<std::vector<float>> candidates_;  // by early exit, rising
  std::vector<int64_t> by_last_;
  std::vector<Step> steps_;
  std::vector<Scored> found_;
};

}  // namespace

float Midway(float below, float above) {
  const float middle = static_cast<float>((static_cast<double>(below) + above) / 2);
  return middle < above ? middle : below;
}

OperatingPoint TryThresholds(const NetworkPlan& plan, const ExitRecords& records,
                             absl::Span<const ExitThreshold> thresholds) {
  const size_t root = plan.exits().size() - 1;
  OperatingPoint point;
  for (int64_t i = 0; i < records.samples; ++i) {
    const size_t exit = ExitOf(records, thresholds, i);
    point.right += records.right[exit][i];
    point.changed += records.right[exit][i] != records.right[root][i];
    point.bytes += std::llround(DevicePayloadBytes(plan, static_cast<int>(exit)));
    point.tiers += plan.exits()[exit].tier;
  }
  return point;
}

std::vector<OperatingPoint> SearchThresholds(const NetworkPlan& plan, const ExitRecords& records,
                                             const PointScore& score) {
  return Search(plan, records, score).Run();
}

float HardThreshold(const ExitRecords& records, absl::Span<const ExitThreshold> thresholds) {
  const size_t root = thresholds.size() - 1;
  std::vector<float> reached;
  for (int64_t i = 0; i < records.samples; ++i) {
    if (ExitOf(records, thresholds, i) == root) reached.push_back(records.entropy[root][i]);
  }
  if (reached.empty()) reached = records.entropy[root];
  const auto sure =
      static_cast<size_t>(std::lround(static_cast<double>(reached.size()) * (1 - kHardFraction)));
  return Between(Sorted(std::move(reached)), sure);
}

ThresholdChoice ChooseThresholds(const NetworkPlan& plan, const ExitRecords& records,
                                 double max_accuracy_drop) {
  const std::vector<OperatingPoint> front = SearchThresholds(plan, records);
  const auto accuracy = [&records](const OperatingPoint& point) {
    return static_cast<double>(point.right) /
           static_cast<double>(std::max<int64_t>(records.samples, 1));
  };
  ThresholdChoice choice;
  choice.best_accuracy = accuracy(front.back());
  // Cheapest first, ever more accurate: the first that is good enough.
  const auto chosen = std::find_if(front.begin(), front.end(), [&](const OperatingPoint& point) {
    return accuracy(point) >= choice.best_accuracy - max_accuracy_drop - 1e-12;
  });
  choice.thresholds = chosen->thresholds;
  choice.accuracy = accuracy(*chosen);
  choice.thresholds.back() = HardThreshold(
      records, std::vector<ExitThreshold>(choice.thresholds.begin(), choice.thresholds.end()));
  choice.description = absl::StrFormat(
      "joint search on %d calibration samples: accuracy %.4f, at most %.4f below the best %.4f; "
      "root: most uncertain %.0f %%",
      records.samples, choice.accuracy, max_accuracy_drop, choice.best_accuracy,
      100 * kHardFraction);
  return choice;
}

}  // namespace ddnn::train

#ifndef DDNN_TRAIN_THRESHOLDS_H_
#define DDNN_TRAIN_THRESHOLDS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "train/evaluate.h"

namespace ddnn::train {

/// A threshold that stops samples of entropy `below` and none of `above`, which is higher: midway,
/// or `below` itself where no float is between them.
float Midway(float below, float above);

/// One vector of thresholds and what it makes of the samples it was tried on.
struct OperatingPoint {
  std::vector<float> thresholds;  ///< one per exit, bottom up; the root's is 1
  int64_t right = 0;              ///< samples answered rightly
  int64_t changed = 0;  ///< right where the root's exit is wrong, or wrong where it is right
  int64_t bytes = 0;    ///< sum over samples of DevicePayloadBytes
  int64_t tiers = 0;    ///< sum over samples of the tier index of the exit taken
};

/// What these thresholds make of recorded exits; the point's own `thresholds` stay empty.
OperatingPoint TryThresholds(const NetworkPlan& plan, const ExitRecords& records,
                             absl::Span<const ExitThreshold> thresholds);

/// How good a point with so many right and so many changed answers is; higher is better.
using PointScore = std::function<double(int64_t right, int64_t changed)>;

/// Searches the thresholds of all exits but the root's together and returns every vector that no
/// other one beats: cheapest first, each with a higher score than all before it. Cost is bytes, and
/// of equal bytes how far up samples go (tiers). Never empty. The score by default is the number
/// of right answers.
///
/// Candidates lie midway between neighbouring entropies, so that what rounds a little differently
/// elsewhere still falls on the same side. With up to two early exits and 4,000 samples all of them
/// are tried; beyond that the last early exit's, and of the others as many quantiles as keep the
/// work at about 16 million steps (each of a sample at an exit).
std::vector<OperatingPoint> SearchThresholds(const NetworkPlan& plan, const ExitRecords& records,
                                             const PointScore& score = nullptr);

/// The root's threshold, which only marks samples as hard: the most uncertain tenth of those that
/// reach it with these thresholds.
float HardThreshold(const ExitRecords& records, absl::Span<const ExitThreshold> thresholds);

struct ThresholdChoice {
  std::vector<float> thresholds;  ///< one per exit, bottom up
  double accuracy = 0;            ///< on the samples it was chosen on
  double best_accuracy = 0;       ///< the best any thresholds tried reach there
  std::string description;        ///< one line for the bundle's provenance
};

/// What ddnn-train starts a bundle with: of SearchThresholds' vectors whose accuracy is at most
/// `max_accuracy_drop` (a fraction) below the best, the cheapest. A point estimate on these
/// samples; ddnn-calibrate gives a bound. Choose on samples that were neither trained on nor will
/// be tested on.
ThresholdChoice ChooseThresholds(const NetworkPlan& plan, const ExitRecords& records,
                                 double max_accuracy_drop);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_THRESHOLDS_H_

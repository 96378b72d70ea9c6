#ifndef DDNN_TRAIN_THRESHOLDS_H_
#define DDNN_TRAIN_THRESHOLDS_H_

#include <string>
#include <vector>

#include "train/evaluate.h"

namespace ddnn::train {

struct ThresholdChoice {
  std::vector<float> thresholds;  ///< one per exit, bottom up
  double accuracy = 0;            ///< on the samples it was chosen on
  double best_accuracy = 0;       ///< the best any thresholds tried reach there
  std::string description;        ///< one line for the bundle's provenance
};

/// Chooses the thresholds of all exits together: among all tried whose accuracy is at most
/// `max_accuracy_drop` (a fraction) below the best, those that let samples stop lowest in the tree
/// (mean tier index of the exit taken), and of equals the most accurate.
///
/// Each exit's candidates are "nobody stops" and up to about 80 quantiles of its entropies, fewer
/// where there are many exits; each lies midway between two neighbouring entropies, so that what
/// rounds a little differently elsewhere still falls on the same side. The root's threshold marks
/// the most uncertain tenth of the samples that reach it. Choose on samples that were neither
/// trained on nor will be tested on.
ThresholdChoice ChooseThresholds(const NetworkPlan& plan, const ExitRecords& records,
                                 double max_accuracy_drop);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_THRESHOLDS_H_

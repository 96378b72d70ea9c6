#ifndef DDNN_TRAIN_REPORT_DATA_H_
#define DDNN_TRAIN_REPORT_DATA_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "ddnn/v1/history.pb.h"
#include "ddnn/v1/report.pb.h"
#include "runtime/core/bundle.h"
#include "runtime/core/engine.h"
#include "train/evaluate.h"
#include "train/sample_store.h"

namespace ddnn::train {

/// What the network can do with some of its views only, not trained again.
struct ViewCount {
  int views = 0;  ///< the worst so many
  double overall = 0;
  std::vector<double> exits;  ///< as if all samples stopped there
};

/// Accuracy with 1 to V views, added from the worst to the best: by their accuracy alone, or where
/// views have no exit by how little is lost without them. Empty with one view, or where `summary`
/// says neither. Runs the network V times, on every third sample to save time; of those it counts
/// the ones that a view that is left sees. CANCELLED once *stop is true.
absl::StatusOr<std::vector<ViewCount>> AccuracyByViews(const Bundle& bundle, EngineFactory factory,
                                                       const SampleStore& samples,
                                                       const v1::RunSummary& summary, int threads,
                                                       const std::atomic<bool>* stop = nullptr);

/// Where the figures of a report come from: all of the test split, but `history`.
struct ReportInput {
  const Bundle& bundle;
  const v1::RunSummary& summary;
  const v1::TrainingHistory& history;  ///< empty: not known
  const ExitRecords& records;          ///< with all views
  const SampleStore& samples;
  const std::vector<ViewCount>& views;
};

struct Interval {
  double low = 0, high = 1;
};
/// 95 % confidence interval of a share seen among `samples`. Right also near 0 and 1, where the
/// normal approximation is not. Source: Wilson, J. Am. Stat. Assoc. 22 (1927).
Interval Wilson(double share, double samples);

/// How sure an exit is (its largest probability) against how often it is right, over all samples.
struct Reliability {
  struct Bin {
    double confidence = 0, accuracy = 0;  ///< means
    double share = 0;                     ///< of all samples
  };
  std::vector<Bin> bins;  ///< those of ten equally wide ones that have a sample
  double ece = 0;         ///< expected calibration error: mean distance of the two
  double excess = 0;      ///< mean confidence less accuracy
};

/// One threshold of one exit tried, the others as in the bundle.
struct Trial {
  double threshold = 0, goes_on = 0;  ///< goes_on: the share of samples that pass this exit
  double bytes = 0, accuracy = 0;     ///< payload per view and sample; overall
};

struct ClassFigures {
  int64_t samples = 0, right = 0;
  int taken_for = -1;  ///< the most frequent wrong answer; -1: none
};

/// What is shown beyond the summary. Samples are numbered as in the records.
struct ReportData {
  std::vector<size_t> taken;               ///< [samples]: the exit that answers
  std::vector<Reliability> reliability;    ///< [exits]
  std::vector<std::vector<Trial>> trials;  ///< [exits but the last]; thresholds 0 to 1 by 0.02
  std::vector<ClassFigures> classes;       ///< [classes]
  std::map<std::pair<int, int>, int64_t>
      answers;  ///< how often a class (first) was answered (second)
  /// A few each, spread over the split; `wrong` those the network was surest of.
  std::vector<int64_t> early, late, wrong;
  bool history_fits = false;  ///< the history is there and of these exits
};
ReportData CollectReportData(const ReportInput& input);

/// Whether fine-tuning found nothing better than the bundle it started from.
bool KeptTheStart(const v1::Provenance& provenance);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_REPORT_DATA_H_

#ifndef DDNN_TRAIN_EVALUATE_H_
#define DDNN_TRAIN_EVALUATE_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ddnn/v1/report.pb.h"
#include "runtime/node/whole_network.h"
#include "train/sample_store.h"

namespace ddnn::train {

/// What every exit said about every sample: enough to try any thresholds without running the
/// network again. Samples of which no view is left are not in it.
struct ExitRecords {
  int64_t samples = 0;
  std::vector<std::vector<float>> scores;   ///< [exits][samples * classes]
  std::vector<std::vector<float>> entropy;  ///< [exits][samples]: Uncertainty by the exits' rules
  std::vector<int> label;                   ///< [samples]
  std::vector<int64_t> index;               ///< [samples]: which of the store's it is
  std::vector<uint8_t> missing;             ///< [samples]: how many views it lacks; empty: none
  std::vector<std::vector<bool>> right;     ///< [exits][samples]: would its answer be right?
  /// For reports; choosing thresholds needs none of them.
  std::vector<std::vector<int>> answer;        ///< [exits][samples]: the class
  std::vector<std::vector<float>> confidence;  ///< [exits][samples]: softmax of that class
  /// [samples]: bytes that coding saves of a view's features, mean over the views that are there
  std::vector<float> coding_saves;
  /// Each view's own classifier against its own label; counts of the samples the view sees.
  std::vector<int64_t> view_seen, view_right;  ///< [V]; all zero where devices have no exit
};

/// Runs the network on all samples, with the views in `missing` lost, each of `threads` threads on
/// a part of them (LibTorch's own are best set to one). Criteria and temperatures are those of
/// bundle.thresholds. CANCELLED once *stop is true.
absl::StatusOr<ExitRecords> RecordExits(const Bundle& bundle, EngineFactory factory,
                                        const SampleStore& samples, uint64_t missing, int threads,
                                        const std::atomic<bool>* stop = nullptr);

/// The same with the views that each sample is to have, [samples]; 0 leaves it out.
absl::StatusOr<ExitRecords> RecordExits(const Bundle& bundle, EngineFactory factory,
                                        const SampleStore& samples,
                                        absl::Span<const uint64_t> presence, int threads,
                                        const std::atomic<bool>* stop = nullptr);

/// What thresholds make of recorded exits.
struct Operation {
  double accuracy = 0;
  std::vector<double> exit_fraction;  ///< [exits], adds up to 1
  std::vector<double> exit_accuracy;  ///< [exits], of those that stop there; 0 where none do
  double payload_bytes = 0;           ///< per view and sample, by the paper's formula
  double coded_payload_bytes = 0;     ///< likewise, with features coded as they travel
};
Operation Operate(const NetworkPlan& plan, const ExitRecords& records,
                  absl::Span<const ExitThreshold> thresholds);

/// The exit that sample `i` stops at.
size_t ExitOf(const ExitRecords& records, absl::Span<const ExitThreshold> thresholds, int64_t i);

/// Measures anew how unsure each exit is, by other criteria and temperatures; without scores they
/// stay as they are.
void Remeasure(absl::Span<const ExitThreshold> thresholds, ExitRecords* records);

/// Accuracy of an exit as if every sample had stopped there; 0 without samples.
double ExitAccuracy(const ExitRecords& records, int exit);

struct EvaluateOptions {
  uint64_t missing = 0;      ///< these views are lost for all samples
  bool each_missing = true;  ///< also lose each view in turn (V more runs); never the only one
  bool sweep = true;
  int threads = 1;
  const std::atomic<bool>* stop = nullptr;
  ExitRecords* records = nullptr;  ///< unless null: gets what the summary's accuracies are of
};

/// Fills a RunSummary: accuracies, exit fractions, bytes, threshold sweep (0 to 1 by tenths at each
/// exit but the root's, the others kept). Samples that lose their only view are left out of the
/// accuracy without it: they would reach no node. Nothing in it depends on how fast it ran.
absl::StatusOr<v1::RunSummary> Evaluate(const Bundle& bundle, EngineFactory factory,
                                        const SampleStore& samples, const std::string& data,
                                        absl::Span<const ExitThreshold> thresholds,
                                        const EvaluateOptions& options);

/// As protobuf JSON with the proto's field names, zeros included; the same message (a RunSummary or
/// TrainingHistory) gives the same text.
absl::StatusOr<std::string> ToJson(const google::protobuf::Message& message);

/// The tables that people read.
std::string ToText(const NetworkPlan& plan, const v1::RunSummary& summary);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_EVALUATE_H_

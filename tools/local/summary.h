#ifndef DDNN_TOOLS_LOCAL_SUMMARY_H_
#define DDNN_TOOLS_LOCAL_SUMMARY_H_

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datasets/dataset.h"
#include "ddnn/v1/config.pb.h"
#include "ddnn/v1/report.pb.h"
#include "runtime/core/answer.h"
#include "runtime/core/bundle.h"
#include "runtime/node/whole_network.h"
#include "tools/local/answer_book.h"

namespace ddnn {

/// What the network run whole in this process says about the samples a tree has answered.
struct Comparison {
  int64_t compared = 0;
  int64_t mismatches = 0;
  std::vector<std::string> first_mismatches;  ///< at most five, in full
  double largest_entropy_difference = 0;
  std::vector<double> single_view_accuracy;  ///< [V]; empty if devices have no head
};

/// Where the tree's answer differs from the whole network's; empty if it does not.
///
/// Class, exit and `hard` must be equal, and entropy within 1e-4, what the engines promise for
/// float layers. `output` must be of the views that went into the answer. Where those are fewer
/// than `seen`, a lower exit may have gone by views that were lost later, so then the exit the
/// answer names is held against what the whole network says at that exit.
std::string Difference(const NetworkPlan& plan, const std::vector<ExitThreshold>& thresholds,
                       const v1::AnswerRecord& told, const WholeOutput& output, uint64_t seen,
                       double* entropy_difference);

/// Runs every answered sample of the book again, whole, with the views that went into its answer.
/// Degraded answers are left out. Samples are the test split's, named by their sequence; one that
/// is not there, or a view that did not see its sample, is a mismatch.
/// \param progress  called now and then with the samples done; false ends it with CANCELLED.
absl::StatusOr<Comparison> CompareWithWhole(const AnswerBook& book, const Dataset& dataset,
                                            const std::vector<ExitThreshold>& thresholds,
                                            WholeNetwork* whole,
                                            const std::function<bool(int64_t)>& progress);

/// Everything but parity and single views: counts, accuracy, bytes, latency.
///
/// Accuracy is over answered samples: of all of them, and of those that stopped at each exit (0
/// where none did). Bytes are those of the devices' links to their parents, up, divided by the
/// (sample, view) pairs in which the view saw the sample, over the devices that lived to write
/// their counters.
absl::StatusOr<v1::RunSummary> Summarize(const Bundle& bundle, const Dataset& dataset,
                                         const std::vector<ExitThreshold>& thresholds,
                                         const AnswerBook& book,
                                         const std::vector<v1::NodeStats>& stats);

/// A table for people, exits bottom up.
void PrintSummary(const NetworkPlan& plan, const v1::RunSummary& summary, std::ostream& out);

/// The bundle's thresholds under those that the topology gives to the nodes that decide each exit.
std::vector<ExitThreshold> EffectiveThresholds(const Bundle& bundle, const v1::Topology& topology);

}  // namespace ddnn

#endif  // DDNN_TOOLS_LOCAL_SUMMARY_H_

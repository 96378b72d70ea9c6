#ifndef DDNN_TRAIN_MISSING_VIEWS_H_
#define DDNN_TRAIN_MISSING_VIEWS_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "train/evaluate.h"

namespace ddnn::train {

/// Runs the network on samples with views hidden at random: of the result, [k - 1] holds samples
/// that lack exactly k of the network's views, k < V. Samples that lack more already are not in it;
/// at most 2,000 are taken, evenly over all. The same seed hides the same views.
///
/// CANCELLED once *stop is true (may be null).
absl::StatusOr<std::vector<ExitRecords>> RecordWithViewsHidden(
    const Bundle& bundle, EngineFactory factory, const SampleStore& samples, uint64_t seed,
    int threads, const std::atomic<bool>* stop = nullptr);

/// Fills thresholds[e].missing of all exits but the root's: with k views missing, the highest
/// threshold, not above the one for fewer, at which those that stop are wrong no more often than
/// those of `records` that stop with the thresholds for all views; -1 if there is none. Exits are
/// taken bottom up, each with the samples that come to it. Left empty where nothing has to change.
///
/// A network that sees less is wrong more often at the same entropy: without this, a lost device
/// makes its exits over-confident. Point estimates; ddnn-calibrate tests what comes of them.
///
/// \param hidden  as RecordWithViewsHidden gives it, measured by the same criteria
void FitMissing(const ExitRecords& records, absl::Span<const ExitRecords> hidden,
                std::vector<ExitThreshold>* thresholds);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_MISSING_VIEWS_H_

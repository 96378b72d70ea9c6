#ifndef DDNN_TRAIN_SAMPLE_STORE_H_
#define DDNN_TRAIN_SAMPLE_STORE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "datasets/dataset.h"
#include "runtime/node/whole_network.h"

namespace ddnn::train {

/// Samples of one split in memory: simulated cameras are drawn once, not once per epoch.
struct SampleStore {
  int views = 0, classes = 0;
  size_t view_bytes = 0;           ///< of one view's pixels
  std::vector<uint8_t> pixels;     ///< [N, V, C, H, W]
  std::vector<uint64_t> presence;  ///< [N], bit v: view v sees the object
  std::vector<int> labels;         ///< [N]
  std::vector<int> view_labels;    ///< [N, V]; `classes` where the view is absent

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  size_t sample_bytes() const { return view_bytes * views; }
  /// Bit v: some sample is seen by view v.
  uint64_t views_seen() const {
    return std::accumulate(presence.begin(), presence.end(), uint64_t{0}, std::bit_or<uint64_t>());
  }
  /// Sample `index` as the runtime takes it, seen by the views in `presence`.
  WholeInput Input(int64_t index, uint64_t presence) const;
};

/// Reads the samples at `indices` of a split with `threads` threads.
///
/// CANCELLED once *stop is true (may be null); RESOURCE_EXHAUSTED beyond 16 GiB; errors of the
/// dataset as they are; INVALID_ARGUMENT for a label or a presence that its info() rules out.
absl::StatusOr<SampleStore> LoadSamples(const Dataset& dataset, Split split,
                                        absl::Span<const int64_t> indices, int threads,
                                        const std::atomic<bool>* stop = nullptr);

/// The whole split.
absl::StatusOr<SampleStore> LoadSplit(const Dataset& dataset, Split split, int threads,
                                      const std::atomic<bool>* stop = nullptr);

/// What the network has and no sample shows, a line for views and one for classes; empty if nothing.
std::vector<std::string> NotShown(const NetworkPlan& plan, const SampleStore& samples);

/// A hash of everything in a store, to tell other data from the same: not against attacks.
uint64_t Fingerprint(const SampleStore& samples);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_SAMPLE_STORE_H_

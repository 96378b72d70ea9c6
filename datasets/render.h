#ifndef DDNN_DATASETS_RENDER_H_
#define DDNN_DATASETS_RENDER_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "datasets/dataset.h"

namespace ddnn {

/// A whole split in memory, N samples of V views.
struct RenderedSplit {
  DatasetInfo info;
  int64_t samples = 0;
  std::vector<uint8_t> pixels;     ///< [N, V, C, H, W]; absent views are zero
  std::vector<uint64_t> presence;  ///< [N], see DatasetSample
  std::vector<int> labels;         ///< [N]
  std::vector<int> view_labels;    ///< [N, V]; the number of classes where absent

  int64_t view_size() const { return int64_t{1} * info.channels * info.height * info.width; }
  const uint8_t* view(int64_t sample, int view) const {
    return pixels.data() + (sample * info.views + view) * view_size();
  }
};

struct RenderOptions {
  int threads = 1;
  int64_t max_samples = 0;               ///< the first so many; 0: all
  int64_t max_bytes = int64_t{8} << 30;  ///< of pixels
  /// Called with (samples done, samples in all) now and then, from the calling thread.
  std::function<void(int64_t, int64_t)> progress;
};

/// Reads a split into one buffer of N * V * C * H * W bytes (six cameras over 55,000 items:
/// 340 MB). The result does not depend on the number of threads. RESOURCE_EXHAUSTED above
/// `max_bytes`, before anything is allocated; otherwise the error of the first sample that cannot
/// be read.
absl::StatusOr<RenderedSplit> RenderSplit(const Dataset& dataset, Split split,
                                          const RenderOptions& options);

}  // namespace ddnn

#endif  // DDNN_DATASETS_RENDER_H_

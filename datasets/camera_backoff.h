#ifndef DDNN_DATASETS_CAMERA_BACKOFF_H_
#define DDNN_DATASETS_CAMERA_BACKOFF_H_

#include <algorithm>
#include <cstdint>
#include <random>

#include "absl/time/time.h"

namespace ddnn {

/// Waits that double from `least` to `most`, each shortened by chance to between half and the whole
/// of it, so that cameras that went together are not asked for all at once.
class CameraBackoff {
 public:
  CameraBackoff(absl::Duration least, absl::Duration most, uint64_t seed)
      : least_(least), most_(most), next_(least), random_(seed) {}

  absl::Duration Next() {
    last_ = next_;
    next_ = std::min(next_ * 2, most_);
    return last_ * std::uniform_real_distribution<double>(0.5, 1)(random_);
  }
  /// What was waited for came, and stayed for so long. It begins anew only if that was no less than
  /// the last wait: what goes again at once is asked for ever less often.
  void Stayed(absl::Duration time) {
    if (time >= last_) next_ = least_;
  }

 private:
  const absl::Duration least_, most_;
  absl::Duration next_;
  absl::Duration last_;
  std::mt19937_64 random_;
};

}  // namespace ddnn

#endif  // DDNN_DATASETS_CAMERA_BACKOFF_H_

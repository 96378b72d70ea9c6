#ifndef DDNN_RUNTIME_NET_BACKOFF_H_
#define DDNN_RUNTIME_NET_BACKOFF_H_

#include <cstdint>
#include <random>

#include "absl/time/time.h"

namespace ddnn {

/// How long to wait before a parent is tried again: `min`, then twice as long after each failure,
/// up to `max`; of that a share between a half and the whole, so that siblings do not all come back
/// at once. A connection that stood for as long as the last wait begins anew, one that was made and
/// broke at once does not: a parent that takes children and drops them is left in peace, too. Not
/// safe to call from several threads at once.
class Backoff {
 public:
  Backoff(absl::Duration min, absl::Duration max, uint64_t seed)
      : min_(min), max_(max), next_(min), random_(seed) {}

  /// The next wait. `stood` is how long the connection had stood that broke; zero if none was made.
  absl::Duration Next(absl::Duration stood);

 private:
  const absl::Duration min_, max_;
  absl::Duration next_;  // before the share is drawn
  absl::Duration last_;
  std::mt19937_64 random_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_BACKOFF_H_

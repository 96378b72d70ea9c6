#include "runtime/net/backoff.h"

#include <algorithm>

namespace ddnn {

absl::Duration Backoff::Next(absl::Duration stood) {
  if (stood > absl::ZeroDuration() && stood >= last_) next_ = min_;
  const double share = 0.5 + 0.5 * std::uniform_real_distribution<double>(0, 1)(random_);
  last_ = next_;
  next_ = std::min(next_ * 2, max_);
  return last_ * share;
}

}  // namespace ddnn

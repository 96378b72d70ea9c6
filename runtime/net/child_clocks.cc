#include "runtime/net/child_clocks.h"

#include <algorithm>

namespace ddnn {

void ChildClocks::Add(int child, absl::Time said, absl::Time now) {
  std::deque<absl::Duration>& kept = said_[child];
  kept.push_back(now - said);
  if (kept.size() > kKept) kept.pop_front();
}

std::optional<absl::Duration> ChildClocks::Offset(int child) const {
  const std::deque<absl::Duration>& kept = said_[child];
  if (kept.empty()) return std::nullopt;
  return *std::min_element(kept.begin(), kept.end());
}

std::optional<ChildClocks::Skew> ChildClocks::Largest() const {
  std::optional<absl::Duration> least, most;
  int ahead = 0, behind = 0;
  for (int child = 0; child < static_cast<int>(said_.size()); ++child) {
    const std::optional<absl::Duration> offset = Offset(child);
    if (!offset.has_value()) continue;
    // A clock that is ahead makes the offset small.
    if (!least.has_value() || *offset < *least) {
      least = offset;
      ahead = child;
    }
    if (!most.has_value() || *offset >= *most) {
      most = offset;
      behind = child;
    }
  }
  if (ahead == behind) return std::nullopt;
  return Skew{*most - *least, ahead, behind};
}

}  // namespace ddnn

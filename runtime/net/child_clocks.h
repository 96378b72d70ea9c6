#ifndef DDNN_RUNTIME_NET_CHILD_CLOCKS_H_
#define DDNN_RUNTIME_NET_CHILD_CLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "absl/time/time.h"

namespace ddnn {

/// How far apart the clocks of a node's children are, from what they say of them at times.
///
/// A child's word is as old as its way was long, so of the last few that one counts which was
/// under way shortest. What is left is the shortest way of each child: on one LAN a millisecond or
/// less, and the difference of two children has only the difference of their ways in it.
/// Not safe to call from several threads at once.
class ChildClocks {
 public:
  /// Words of one child that count: one more takes the oldest's place.
  static constexpr size_t kKept = 6;

  /// Two children, by slot, and how far the clock of `ahead` is ahead of that of `behind`.
  struct Skew {
    absl::Duration apart;
    int ahead = 0;
    int behind = 0;
  };

  explicit ChildClocks(size_t children) : said_(children) {}

  /// \param said  what the child's clock showed when it spoke.
  /// \param now   when that came, by a clock of this node that never jumps.
  void Add(int child, absl::Time said, absl::Time now);
  /// Another process takes the child's place, and may have another clock.
  void Forget(int child) { said_[child].clear(); }

  /// The node's clock minus the child's, with the shortest way in it; nothing if it never said.
  std::optional<absl::Duration> Offset(int child) const;
  /// Of the two children whose clocks are farthest apart; nothing before two have spoken.
  std::optional<Skew> Largest() const;

 private:
  std::vector<std::deque<absl::Duration>> said_;  // now - said, by child
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_CHILD_CLOCKS_H_

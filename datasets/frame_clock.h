#ifndef DDNN_DATASETS_FRAME_CLOCK_H_
#define DDNN_DATASETS_FRAME_CLOCK_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "datasets/frame_source.h"

namespace ddnn {

/// Names the pictures of a live camera by the clock, so that those of several cameras meet.
///
/// Time since 1970 is cut into periods, and a picture captured in period n has the sequence n. Of
/// each period there is one picture: the newest when half of the period is over, or else the first
/// that comes until its end. Two cameras that aim at the same middles have pictures of one sequence
/// that are less than half a period apart, as long as the difference of their clocks and the time
/// between two pictures of a camera together are.
///
/// Every period from the first to the last is named once, in order, as a picture or as absent:
/// "camera gone" as soon as there is nothing to wait for, "no picture" when the period is over.
/// No sequence comes twice, however the clock is set.
///
/// Pure: no threads and no clock of its own. Not safe to call from several threads.
class FrameClock {
 public:
  /// After a pause (a process that was stopped, a clock that was set forward) up to this many
  /// periods are made up for as absent; the ones before are skipped and counted.
  static constexpr uint64_t kCatchUp = 64;
  /// A clock that was set back by less is waited for.
  static constexpr absl::Duration kMaxSetBack = absl::Seconds(10);

  /// \param period  at least 100 microseconds.
  explicit FrameClock(absl::Duration period) : period_(period) {}

  /// The first period is the one that `now` is in.
  void Start(absl::Time now);
  bool started() const { return started_; }

  /// Whether a picture captured then can still be named. If not it need not be decoded: call Drop.
  bool Wants(absl::Time captured) const;
  /// A picture that was captured at `captured`, wanted or not.
  void OnPicture(absl::Time captured, std::string pixels);
  /// A picture that was captured and not decoded: because it is not wanted, or with this reason.
  void Drop(absl::Time captured, const std::string& reason = "");
  void OnGone() { gone_ = true; }
  void OnBack() { gone_ = false; }

  /// The next period if it can be named now. UNAVAILABLE when the clock was set back too far.
  absl::StatusOr<std::optional<Frame>> Take(absl::Time now);
  /// When Take has something at the latest, if no picture comes before.
  absl::Time NextDue() const;
  /// All but losses. A picture that waits to be taken counts as dropped "at the end".
  FrameCounts counts() const;
  /// The number of the period that `time` is in.
  uint64_t PeriodOf(absl::Time time) const;

 private:
  struct Held {
    uint64_t period = 0;
    std::string pixels;
  };

  absl::Time Begin(uint64_t period) const;
  absl::Time Middle(uint64_t period) const { return Begin(period) + period_ / 2; }
  Frame Name(std::string pixels);
  Frame NameAbsent(const std::string& why);

  const absl::Duration period_;
  bool started_ = false;
  bool gone_ = false;
  uint64_t next_ = 0;  // not yet named
  std::optional<Held> held_;
  FrameCounts counts_;
};

}  // namespace ddnn

#endif  // DDNN_DATASETS_FRAME_CLOCK_H_

#include "datasets/frame_clock.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ddnn {

void FrameClock::Start(absl::Time now) {
  started_ = true;
  next_ = PeriodOf(now);
}

uint64_t FrameClock::PeriodOf(absl::Time time) const {
  absl::Duration rest;
  // Before 1970 there is nothing: a clock that was never set starts there.
  return static_cast<uint64_t>(
      std::max<int64_t>(0, absl::IDivDuration(time - absl::UnixEpoch(), period_, &rest)));
}

absl::Time FrameClock::Begin(uint64_t period) const {
  return absl::UnixEpoch() + static_cast<int64_t>(period) * period_;
}

bool FrameClock::Wants(absl::Time captured) const {
  return started_ && PeriodOf(captured) >= next_;
}

void FrameClock::OnPicture(absl::Time captured, std::string pixels) {
  if (!Wants(captured)) return Drop(captured);
  ++counts_.captured;
  if (held_.has_value()) ++counts_.dropped["newer picture"];
  held_ = Held{PeriodOf(captured), std::move(pixels)};
}

void FrameClock::Drop(absl::Time captured, const std::string& reason) {
  if (!started_) return;
  ++counts_.captured;
  if (!reason.empty()) {
    ++counts_.dropped[reason];
  } else {
    // Of the period that was named last, or, with a clock that was set back, of one before.
    ++counts_.dropped[PeriodOf(captured) + 1 == next_ ? "period has one" : "late"];
  }
}

absl::StatusOr<std::optional<Frame>> FrameClock::Take(absl::Time now) {
  if (now < Begin(next_) - period_ - kMaxSetBack) {
    return absl::UnavailableError(absl::StrCat("the system's clock was set back by ",
                                               absl::FormatDuration(Begin(next_) - now),
                                               "; going on would name samples twice"));
  }
  const uint64_t period = PeriodOf(now);
  if (period > next_ + kCatchUp) {
    counts_.skipped += period - kCatchUp - next_;
    next_ = period - kCatchUp;
  }
  if (held_.has_value() && held_->period < next_) {
    ++counts_.dropped["late"];
    held_.reset();
  }
  std::optional<Frame> frame;
  const bool here = held_.has_value() && held_->period == next_;
  if (here && now >= Middle(next_)) {
    frame = Name(std::move(held_->pixels));
    held_.reset();
  } else if (!here && (period > next_ || (gone_ && now >= Middle(next_)))) {
    frame = NameAbsent(gone_ ? "camera gone" : "no picture");
  }
  return frame;
}

absl::Time FrameClock::NextDue() const {
  const bool middle = gone_ || (held_.has_value() && held_->period == next_);
  return middle ? Middle(next_) : Begin(next_ + 1);
}

FrameCounts FrameClock::counts() const {
  FrameCounts counts = counts_;
  if (held_.has_value()) ++counts.dropped["at the end"];
  return counts;
}

Frame FrameClock::Name(std::string pixels) {
  ++counts_.named;
  Frame frame;
  frame.sequence = next_++;
  frame.pixels = std::move(pixels);
  return frame;
}

Frame FrameClock::NameAbsent(const std::string& why) {
  ++counts_.absent[why];
  Frame frame;
  frame.sequence = next_++;
  frame.absent = true;
  return frame;
}

}  // namespace ddnn

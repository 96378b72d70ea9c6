#include "device/send_window.h"

#include <algorithm>

namespace ddnn {

void SendWindow::Begin(absl::Time not_before) {
  window_ = 1;
  in_flight_ = 0;
  give_up_ = absl::InfiniteFuture();
  next_send_ = std::max(next_send_, not_before);
}

void SendWindow::ParentUp(absl::Time now) {
  up_ = true;
  next_send_ = now;  // another root may have a store
  Begin(now);
}

bool SendWindow::MaySend(absl::Time now) const {
  return up_ && in_flight_ < static_cast<uint64_t>(window_) && now >= next_send_;
}

void SendWindow::Sent(absl::Time now) {
  if (in_flight_++ == 0) give_up_ = now + options_.patience;
  next_send_ = now + absl::Seconds(1 / options_.rate);
}

void SendWindow::Stored(uint64_t count, absl::Time now) {
  in_flight_ -= std::min(in_flight_, count);
  if (count > 0) window_ = std::min(window_ * 2, options_.max_in_flight);
  give_up_ = in_flight_ == 0 ? absl::InfiniteFuture() : now + options_.patience;
}

void SendWindow::NoStore(absl::Time now) { Begin(now + options_.no_store_pause); }

bool SendWindow::GiveUp(absl::Time now) {
  if (!up_ || now < give_up_) return false;
  Begin(now);
  return true;
}

absl::Time SendWindow::NextDue(bool more) const {
  if (!up_) return absl::InfiniteFuture();
  const bool room = more && in_flight_ < static_cast<uint64_t>(window_);
  return std::min(give_up_, room ? next_send_ : absl::InfiniteFuture());
}

}  // namespace ddnn

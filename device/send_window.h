#ifndef DDNN_DEVICE_SEND_WINDOW_H_
#define DDNN_DEVICE_SEND_WINDOW_H_

#include <cstdint>

#include "absl/time/time.h"

namespace ddnn {

/// When spooled samples go up: so many per second, so many unacknowledged at most. It begins with
/// one and doubles with every acknowledgement, so that a root that is away costs one sample now and
/// then. Pure; not safe to call from several threads at once.
class SendWindow {
 public:
  struct Options {
    double rate = 20;  ///< per second at most
    int max_in_flight = 16;
    /// Without a word from the root for so long, they are sent again.
    absl::Duration patience = absl::Seconds(10);
    /// How long a root without a store is left alone.
    absl::Duration no_store_pause = absl::Minutes(5);
  };

  explicit SendWindow(Options options) : options_(options) {}

  /// What was under way before is not any more: send from the oldest on.
  void ParentUp(absl::Time now);
  void ParentGone() { up_ = false; }

  bool MaySend(absl::Time now) const;
  void Sent(absl::Time now);
  /// The root stored so many of them.
  void Stored(uint64_t count, absl::Time now);
  /// The root stores nothing. Send from the oldest on, once MaySend.
  void NoStore(absl::Time now);
  /// True when nothing came back for too long: send from the oldest on.
  bool GiveUp(absl::Time now);

  /// When MaySend or GiveUp may become true without an event; `more`: there is something to send.
  absl::Time NextDue(bool more) const;

 private:
  void Begin(absl::Time not_before);

  const Options options_;
  bool up_ = false;
  int window_ = 1;
  uint64_t in_flight_ = 0;
  absl::Time next_send_ = absl::InfinitePast();
  absl::Time give_up_ = absl::InfiniteFuture();
};

}  // namespace ddnn

#endif  // DDNN_DEVICE_SEND_WINDOW_H_

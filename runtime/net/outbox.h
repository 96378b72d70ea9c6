#ifndef DDNN_RUNTIME_NET_OUTBOX_H_
#define DDNN_RUNTIME_NET_OUTBOX_H_

#include <cstddef>
#include <deque>

#include "absl/time/time.h"
#include "ddnn/v1/tier.pb.h"

namespace ddnn {

/// How long something about a sample may wait in an outbox for company: `delay`, but no more than
/// an eighth of the time in which the sample must be answered. Its way up and down the tree has
/// several such waits.
absl::Duration MayWait(absl::Duration delay, absl::Duration time_left);

/// When what waits in an outbox leaves: when the first of it may wait no longer, or when a message
/// is full. Pure: times come from the caller.
class Departure {
 public:
  /// Something was added that must not wait beyond `leave_by`.
  void LeaveBy(absl::Time leave_by) { due_ = leave_by < due_ ? leave_by : due_; }
  /// absl::InfiniteFuture() when nothing waits.
  absl::Time due() const { return due_; }
  void Gone() { due_ = absl::InfiniteFuture(); }

 private:
  absl::Time due_ = absl::InfiniteFuture();
};

/// What waits to be written to one stream. While a write is in flight, or until it is due, things
/// queue up here and leave together in the next message: at most kMaxPerMessage of a kind and
/// kMergeBytes, or one larger sample. Bounded: a peer that does not read must not cost memory
/// without end. Not safe to call from several threads at once.
class UpOutbox {
 public:
  UpOutbox(size_t max_items, size_t max_bytes) : max_items_(max_items), max_bytes_(max_bytes) {}

  /// Leaves at once, and with it all that waits.
  void SetReady();
  /// False when it is full: nothing was added. The sample's time left is that at `now`.
  bool Add(v1::UpSample sample, absl::Time now, absl::Time leave_by);
  /// Leaves when no sample waits, one a message. False when too many wait: nothing was added.
  bool AddKept(v1::KeptSample kept);
  bool empty() const { return !ready_ && samples_.empty() && kept_.empty(); }
  /// From when on Take should be called.
  absl::Time due() const { return departure_.due(); }
  /// Overwrites `message` with what goes next, ready to be written: see runtime/net/shorten.h. The
  /// time that a sample waited is taken from its time left.
  void Take(absl::Time now, v1::Up* message);
  void Clear();

 private:
  struct Waiting {
    v1::UpSample sample;
    absl::Time since;
  };

  const size_t max_items_;
  const size_t max_bytes_;
  std::deque<Waiting> samples_;
  std::deque<v1::KeptSample> kept_;
  size_t bytes_ = 0;
  bool ready_ = false;
  Departure departure_;
};

class DownOutbox {
 public:
  explicit DownOutbox(size_t max_items) : max_items_(max_items) {}

  /// These two leave at once, and with them all that waits.
  void SetWelcome();
  void SetStart();
  bool Add(const v1::SampleRef& wanted, absl::Time leave_by);
  bool Add(v1::DownAnswer answer, absl::Time leave_by);
  bool Add(v1::KeptAck kept, absl::Time leave_by);
  bool empty() const {
    return !welcome_ && !start_ && wanted_.empty() && answers_.empty() && kept_.empty();
  }
  absl::Time due() const { return departure_.due(); }
  void Take(v1::Down* message);
  void Clear();

 private:
  bool full() const { return wanted_.size() + answers_.size() + kept_.size() >= max_items_; }
  void LeaveBy(absl::Time leave_by);

  const size_t max_items_;
  std::deque<v1::SampleRef> wanted_;
  std::deque<v1::DownAnswer> answers_;
  std::deque<v1::KeptAck> kept_;
  bool welcome_ = false;
  bool start_ = false;
  Departure departure_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_OUTBOX_H_

#ifndef DDNN_RUNTIME_NET_OUTBOX_H_
#define DDNN_RUNTIME_NET_OUTBOX_H_

#include <cstddef>
#include <deque>

#include "ddnn/v1/tier.pb.h"

namespace ddnn {

/// What waits to be written to one stream. While a write is in flight things queue up here and
/// leave together in the next message: at most kMaxPerMessage of a kind and kMergeBytes, or one
/// larger sample. Bounded: a peer that does not read must not cost memory without end. Not safe to
/// call from several threads at once.
class UpOutbox {
 public:
  UpOutbox(size_t max_items, size_t max_bytes) : max_items_(max_items), max_bytes_(max_bytes) {}

  void SetReady() { ready_ = true; }
  /// False when it is full: nothing was added.
  bool Add(v1::UpSample sample);
  bool empty() const { return !ready_ && samples_.empty(); }
  /// Overwrites `message` with what goes next.
  void Take(v1::Up* message);
  void Clear();

 private:
  const size_t max_items_;
  const size_t max_bytes_;
  std::deque<v1::UpSample> samples_;
  size_t bytes_ = 0;
  bool ready_ = false;
};

class DownOutbox {
 public:
  explicit DownOutbox(size_t max_items) : max_items_(max_items) {}

  void SetWelcome() { welcome_ = true; }
  void SetStart() { start_ = true; }
  bool Add(const v1::SampleRef& wanted);
  bool Add(v1::DownAnswer answer);
  bool empty() const { return !welcome_ && !start_ && wanted_.empty() && answers_.empty(); }
  void Take(v1::Down* message);
  void Clear();

 private:
  bool full() const { return wanted_.size() + answers_.size() >= max_items_; }

  const size_t max_items_;
  std::deque<v1::SampleRef> wanted_;
  std::deque<v1::DownAnswer> answers_;
  bool welcome_ = false;
  bool start_ = false;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_OUTBOX_H_

#ifndef DDNN_TRAIN_RANK_WATCH_H_
#define DDNN_TRAIN_RANK_WATCH_H_

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "train/rank_environment.h"

namespace ddnn::train {

/// How long is waited, and how often ranks show that they are alive.
struct RankTimes {
  absl::Duration come = absl::Minutes(10);        ///< until all ranks have come
  absl::Duration beat = absl::Milliseconds(500);  ///< between two signs of life
  absl::Duration silence = absl::Seconds(15);     ///< without one, a rank counts as gone
  absl::Duration evidence = absl::Seconds(3);     ///< the same when an exchange has failed
  absl::Duration connect = absl::Seconds(20);     ///< for ranks that have come to connect
};

/// Knows which ranks are there. Each rank shows in a store (LibTorch's TCPStore), from a thread of
/// its own, that it is alive, how far it is, and why it left; so those that are left can say who is
/// missing, which an exchange that fails cannot.
///
/// The store is kept by rank 0 (or by torchrun): where that does not answer, rank 0 is named.
/// Safe to call from several threads.
class RankWatch {
 public:
  /// Takes this rank's place and waits for all to take theirs.
  /// DEADLINE_EXCEEDED names who has not come; ALREADY_EXISTS: two have the same RANK;
  /// CANCELLED: *stop; UNAVAILABLE: no store, or one that came has left again.
  static absl::StatusOr<std::unique_ptr<RankWatch>> Join(const RankEnvironment& environment,
                                                         const std::atomic<bool>* stop,
                                                         const RankTimes& times = {});
  /// As Leave(OK), unless there was another.
  ~RankWatch();

  /// UNAVAILABLE names a rank that left with an error or has been silent for too long. CANCELLED:
  /// one was stopped.
  absl::Status Check();
  /// An exchange failed: finds out whose fault it was, within some seconds. UNAVAILABLE names the
  /// rank, or has `error` where all are there.
  absl::Status WhoseFault(const std::string& error);
  /// Waits until all ranks have come to as many of these calls. However long another is busy, it
  /// may: only one that is gone ends this, as Check says; CANCELLED: *stop.
  absl::Status Meet(const std::atomic<bool>* stop);

  /// Tells the others why this rank does not go on. Rank 0 then waits, some seconds, until they
  /// know, because the store goes with it.
  void Leave(const absl::Status& why);

  /// LibTorch's store for others' use, with a connection of its own.
  struct Store;
  const Store& store() const { return *store_; }

 private:
  struct State;

  RankWatch(const RankEnvironment& environment, const RankTimes& times);
  absl::Status Meet(const std::atomic<bool>* stop, absl::Time deadline);

  RankEnvironment environment_;
  RankTimes times_;
  std::unique_ptr<Store> store_;
  std::shared_ptr<State> state_;  // the thread's too, which may be stuck in a dead connection
};

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_RANK_WATCH_H_

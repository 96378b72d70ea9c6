#ifndef DDNN_TRAIN_PROCESS_GROUP_H_
#define DDNN_TRAIN_PROCESS_GROUP_H_

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "train/rank_environment.h"
#include "train/rank_watch.h"
#include "train/ranks.h"

namespace ddnn::train {

/// What an exchange throws that did not come about: whoever is to blame is named.
class ExchangeError : public std::runtime_error {
 public:
  explicit ExchangeError(const absl::Status& status)
      : std::runtime_error(std::string(status.message())), status_(status) {}
  const absl::Status& status() const { return status_; }

 private:
  absl::Status status_;
};

/// The processes that train together, over LibTorch's c10d: Gloo, and NCCL for what is on a GPU
/// where this build has it. After an ExchangeError no other exchange is possible. All but Leave is
/// called from one thread.
class ProcessGroup : public Ranks {
 public:
  /// Waits for all ranks; see RankWatch::Join for the errors. The process ignores SIGPIPE from then
  /// on.
  /// \param stop  may be null. Each rank's travels with every sum of doubles: see stop_agreed.
  /// \param cuda  what is trained is on a GPU
  static absl::StatusOr<std::unique_ptr<ProcessGroup>> Join(const RankEnvironment& environment,
                                                            const std::atomic<bool>* stop,
                                                            bool cuda, const RankTimes& times = {});
  ~ProcessGroup() override;

  int rank() const { return environment_.rank; }
  int size() const { return environment_.world_size; }
  int local_rank() const { return environment_.local_rank; }

  void Sum(absl::Span<double> values) override;
  void Sum(const at::Tensor& values) override;
  /// Gives all ranks what rank 0 has.
  void Broadcast(std::string* bytes);
  void Broadcast(const std::vector<at::Tensor>& tensors);

  /// Waits for all ranks, however long they are busy. See RankWatch::Meet.
  absl::Status Meet() { return watch_->Meet(stop_); }
  /// Whether some rank's *stop was seen in a sum; true on all ranks at the same place.
  bool stop_agreed() const { return stop_agreed_; }
  void Leave(const absl::Status& why) { watch_->Leave(why); }

 private:
  struct Backends;

  ProcessGroup(const RankEnvironment& environment, const std::atomic<bool>* stop);

  template <typename Work>
  void Finish(const Work& work);
  template <typename Start>
  void Exchange(const Start& start);

  RankEnvironment environment_;
  const std::atomic<bool>* stop_;
  bool stop_agreed_ = false, broken_ = false;
  std::unique_ptr<RankWatch> watch_;
  std::unique_ptr<Backends> backends_;
};

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_PROCESS_GROUP_H_

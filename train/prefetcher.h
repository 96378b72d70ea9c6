#ifndef DDNN_TRAIN_PREFETCHER_H_
#define DDNN_TRAIN_PREFETCHER_H_

#include <algorithm>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "runtime/node/mutex.h"

namespace ddnn::train {

/// Makes things ahead of time in threads of its own and gives them out in order: what comes out is
/// what `make` called in a loop would give, whatever the number of threads.
template <typename T>
class Prefetcher {
 public:
  /// \param count  how many there are
  /// \param ahead  how many are made, or being made, and not yet asked for, at most; at least 1
  /// \param make   makes number i; called once for each, from several threads at once
  Prefetcher(int64_t count, int threads, int64_t ahead, std::function<T(int64_t)> make)
      : count_(count), ahead_(std::max<int64_t>(ahead, 1)), make_(std::move(make)) {
    for (int i = 0; i < std::max(threads, 1); ++i) workers_.emplace_back([this] { Work(); });
  }

  /// Makes no further ones and waits for those that are being made.
  ~Prefetcher() {
    {
      MutexLock lock(&mutex_);
      ending_ = true;
      changed_.SignalAll();
    }
    for (std::thread& worker : workers_) worker.join();
  }

  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// The next one; at most `count` calls, from one thread. Throws what `make` threw for it.
  T Next() {
    MutexLock lock(&mutex_);
    if (made_.count(given_) == 0) {
      const absl::Time begin = absl::Now();
      while (made_.count(given_) == 0) changed_.Wait(&mutex_);
      waited_ += absl::Now() - begin;
    }
    Made made = std::move(made_.extract(given_++).mapped());
    changed_.SignalAll();
    if (made.error) std::rethrow_exception(made.error);
    return std::move(made.value);
  }

  /// How long calls of Next had nothing to give.
  absl::Duration waited() {
    MutexLock lock(&mutex_);
    return waited_;
  }

 private:
  struct Made {
    T value;
    std::exception_ptr error;
  };

  void Work() {
    MutexLock lock(&mutex_);
    while (true) {
      while (!ending_ && begun_ < count_ && begun_ >= given_ + ahead_) changed_.Wait(&mutex_);
      if (ending_ || begun_ >= count_) return;
      const int64_t number = begun_++;
      mutex_.Unlock();
      Made made = Make(number);
      mutex_.Lock();
      made_.emplace(number, std::move(made));
      changed_.SignalAll();
    }
  }

  Made Make(int64_t number) const {
    try {
      return {make_(number), nullptr};
    } catch (...) {
      return {T(), std::current_exception()};
    }
  }

  const int64_t count_, ahead_;
  const std::function<T(int64_t)> make_;
  Mutex mutex_;
  CondVar changed_;
  std::map<int64_t, Made> made_ ABSL_GUARDED_BY(mutex_);
  int64_t begun_ ABSL_GUARDED_BY(mutex_) = 0, given_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration waited_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> workers_;
};

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_PREFETCHER_H_

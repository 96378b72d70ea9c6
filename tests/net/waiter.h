#ifndef DDNN_TESTS_NET_WAITER_H_
#define DDNN_TESTS_NET_WAITER_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace ddnn {

/// State that callbacks change and a test waits for. The limit only keeps a broken test from
/// hanging.
class Waiter {
 public:
  template <typename F>
  void Change(F&& change) {
    std::lock_guard<std::mutex> lock(mu_);
    change();
    changed_.notify_all();
  }

  /// False if it did not become true.
  template <typename F>
  bool WaitUntil(F&& condition) {
    std::unique_lock<std::mutex> lock(mu_);
    return changed_.wait_for(lock, std::chrono::minutes(1), condition);
  }

  template <typename F>
  auto Read(F&& read) {
    std::lock_guard<std::mutex> lock(mu_);
    return read();
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
};

}  // namespace ddnn

#endif  // DDNN_TESTS_NET_WAITER_H_

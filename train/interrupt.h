#ifndef DDNN_TRAIN_INTERRUPT_H_
#define DDNN_TRAIN_INTERRUPT_H_

#include <signal.h>

#include <atomic>

namespace ddnn::train {

inline std::atomic<bool> g_interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

/// Turns the first SIGINT or SIGTERM into a flag; the second one ends the process at once.
inline const std::atomic<bool>* CatchInterrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) { g_interrupted = true; };
  action.sa_flags = SA_RESETHAND;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // A limit on file sizes is to be an error of the write, as a full disk is.
  signal(SIGXFSZ, SIG_IGN);
  return &g_interrupted;
}

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_INTERRUPT_H_

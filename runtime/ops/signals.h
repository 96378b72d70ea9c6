#ifndef DDNN_RUNTIME_OPS_SIGNALS_H_
#define DDNN_RUNTIME_OPS_SIGNALS_H_

#include <functional>
#include <mutex>
#include <thread>

namespace ddnn {

/// Turns SIGTERM and SIGINT into an ordinary call. Nothing runs in a signal handler: the signals
/// are blocked and a thread waits for them.
///
/// Create it first thing in main: only threads that start later have the signals blocked too.
/// SIGPIPE is ignored from then on. One at a time per process.
class SignalWatcher {
 public:
  SignalWatcher();
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

  /// Calls `on_first` for the first signal, on the watcher's own thread, or here if it has come
  /// already. The second ends the process at once with status 128 + signal. Called again, it puts
  /// another in its place, which hears of a signal that came before as well.
  void Watch(std::function<void(int signal)> on_first);
  /// When it returns, `on_first` does not run and will not: what it uses may go. Signals are still
  /// counted: the second ends the process. Not to be called by `on_first`.
  void Unwatch();

 private:
  void Loop();

  int signals_ = -1;  // signalfd
  int stop_ = -1;     // eventfd
  std::mutex mu_;     // held while on_first_ runs
  int came_ = 0;      // the first signal
  std::function<void(int)> on_first_;
  std::thread thread_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_OPS_SIGNALS_H_

#ifndef DDNN_RUNTIME_OPS_SERVICE_MANAGER_H_
#define DDNN_RUNTIME_OPS_SERVICE_MANAGER_H_

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace ddnn {

/// What systemd wants to hear of a process (sd_notify's protocol, without its library).
struct ServiceEnvironment {
  std::string socket;  ///< a path, or "@name" in the abstract namespace; empty: nobody listens
  absl::Duration watchdog = absl::ZeroDuration();  ///< silence that is taken for death; 0: none is
};

/// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. INVALID_ARGUMENT names the variable that
/// makes no sense, its value and what was expected.
absl::StatusOr<ServiceEnvironment> ReadServiceEnvironment();

/// Tells the service manager how this process is: one datagram a message. Where nobody listens,
/// nothing is sent. A message that cannot be sent is dropped, with one warning in the log.
/// Safe to call from several threads.
class ServiceManager {
 public:
  /// Asks whether the process still does its work: calls `works` when it does, at once or later,
  /// from any thread; a process that is stuck never does.
  using Check = std::function<void(std::function<void()> works)>;

  explicit ServiceManager(ServiceEnvironment environment);
  /// Ends with Stopping.
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  /// The work has begun. From now on the watchdog is fed, from a thread of its own, for as long as
  /// `check` gets its answers. Again: when it returns, `check` is asked instead of the former,
  /// which is not called any more.
  void Ready(Check check);
  /// One line for `systemctl status`.
  void Say(const std::string& text);
  /// The work ends. When it returns, `check` is not called and will not be; `works` may still be
  /// called and does nothing. May be called again.
  void Stopping();

  /// What the thread does four times in each watchdog period: asks, unless the last question is
  /// still open. For tests that have no time.
  void Beat();

 private:
  class Line;
  void Loop(absl::Duration period);

  const absl::Duration watchdog_;
  std::shared_ptr<Line> line_;  // shared with answers that come late
  std::mutex check_mu_;
  Check check_;
  std::mutex thread_mu_;  // one Stopping at a time
  std::thread thread_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_OPS_SERVICE_MANAGER_H_

#include "runtime/ops/service_manager.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

absl::Status Senseless(const char* name, const std::string& value, const std::string& expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("environment: ", name, "=\"", value, "\", expected ", expected));
}

constexpr size_t kLongestSocket = sizeof(sockaddr_un::sun_path) - 1;

}  // namespace

absl::StatusOr<ServiceEnvironment> ReadServiceEnvironment() {
  ServiceEnvironment environment;
  environment.socket = Variable("NOTIFY_SOCKET");
  const std::string& socket = environment.socket;
  if (!socket.empty() &&
      ((socket[0] != '/' && socket[0] != '@') || socket.size() > kLongestSocket)) {
    return Senseless("NOTIFY_SOCKET", socket,
                     absl::StrCat("/path or @name, ", kLongestSocket, " bytes at most"));
  }
  const std::string pid = Variable("WATCHDOG_PID"), usec = Variable("WATCHDOG_USEC");
  if (usec.empty()) return environment;
  int64_t watched = 0, microseconds = 0;
  if (!pid.empty() && !absl::SimpleAtoi(pid, &watched)) {
    return Senseless("WATCHDOG_PID", pid, "a process");
  }
  if (!absl::SimpleAtoi(usec, &microseconds) || microseconds <= 0) {
    return Senseless("WATCHDOG_USEC", usec, "microseconds, more than 0");
  }
  // Of another process's watchdog nobody here needs to know.
  if (pid.empty() || watched == getpid()) environment.watchdog = absl::Microseconds(microseconds);
  return environment;
}

/// The socket, and which question is open. Outlives the ServiceManager in answers that come late.
class ServiceManager::Line {
 public:
  explicit Line(const std::string& path) {
    if (path.empty()) return;
    address_.sun_family = AF_UNIX;
    memcpy(address_.sun_path, path.data(), std::min(path.size(), kLongestSocket));
    // The abstract namespace: a zero byte first, and the length says where the name ends.
    if (path[0] == '@') address_.sun_path[0] = '\0';
    length_ = offsetof(sockaddr_un, sun_path) + path.size() + (path[0] == '@' ? 0 : 1);
    socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0) Warn();
  }
  ~Line() {
    if (socket_ >= 0) close(socket_);
  }

  void Send(const std::string& message, int flags = MSG_DONTWAIT) {
    std::lock_guard<std::mutex> lock(mu_);
    SendLocked(message, flags);
  }
  /// False while a question is open, and once the line is closed.
  bool Ask() {
    std::lock_guard<std::mutex> lock(mu_);
    return !closed_ && !std::exchange(open_, true);
  }
  void Answered() {
    std::lock_guard<std::mutex> lock(mu_);
    if (closed_ || !std::exchange(open_, false)) return;
    SendLocked("WATCHDOG=1", MSG_DONTWAIT);
  }
  /// No more watchdog; true the first time.
  bool Close() {
    std::lock_guard<std::mutex> lock(mu_);
    changed_.notify_all();
    return !std::exchange(closed_, true);
  }
  /// True when the time is over, false when the line was closed meanwhile.
  bool Wait(absl::Duration time) {
    std::unique_lock<std::mutex> lock(mu_);
    return !changed_.wait_for(lock, absl::ToChronoNanoseconds(time), [this] { return closed_; });
  }

 private:
  // Who answers may be the node itself: a manager that does not read must not hold it up.
  void SendLocked(const std::string& message, int flags) {
    if (socket_ < 0) return;
    const ssize_t sent = sendto(socket_, message.data(), message.size(), MSG_NOSIGNAL | flags,
                                reinterpret_cast<const sockaddr*>(&address_), length_);
    if (sent < 0) Warn();
  }
  void Warn() {
    if (!std::exchange(warned_, true)) {
      spdlog::warn("the service manager hears nothing: {}", strerror(errno));
    }
  }

  std::mutex mu_;
  std::condition_variable changed_;
  sockaddr_un address_{};
  socklen_t length_ = 0;
  int socket_ = -1;
  bool warned_ = false, open_ = false, closed_ = false;
};

ServiceManager::ServiceManager(ServiceEnvironment environment)
    : watchdog_(environment.watchdog), line_(std::make_shared<Line>(environment.socket)) {}

ServiceManager::~ServiceManager() { Stopping(); }

void ServiceManager::Ready(Check check) {
  {
    std::lock_guard<std::mutex> lock(check_mu_);
    std::swap(check_, check);
  }
  if (check != nullptr) return;
  line_->Send("READY=1", /*flags=*/0);
  if (watchdog_ == absl::ZeroDuration()) return;
  std::lock_guard<std::mutex> lock(thread_mu_);
  thread_ = std::thread([this] { Loop(watchdog_ / 4); });
}

void ServiceManager::Say(const std::string& text) {
  std::string line = text.substr(0, text.find('\n'));
  line_->Send(absl::StrCat("STATUS=", line));
}

void ServiceManager::Stopping() {
  if (line_->Close()) line_->Send("STOPPING=1");
  std::lock_guard<std::mutex> lock(thread_mu_);
  if (thread_.joinable()) thread_.join();
}

void ServiceManager::Beat() {
  if (!line_->Ask()) return;
  std::lock_guard<std::mutex> lock(check_mu_);
  check_([line = line_] { line->Answered(); });
}

void ServiceManager::Loop(absl::Duration period) {
  do Beat();
  while (line_->Wait(period));
}

}  // namespace ddnn

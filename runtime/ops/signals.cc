#include "runtime/ops/signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

namespace ddnn {
namespace {

sigset_t EndSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

SignalWatcher::SignalWatcher() {
  const sigset_t set = EndSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signals_ = signalfd(-1, &set, SFD_CLOEXEC);
  stop_ = eventfd(0, EFD_CLOEXEC);
}

SignalWatcher::~SignalWatcher() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    while (write(stop_, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
    thread_.join();
  }
  close(signals_);
  close(stop_);
  const sigset_t set = EndSignals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void SignalWatcher::Watch(std::function<void(int)> on_first) {
  std::lock_guard<std::mutex> lock(mu_);
  on_first_ = std::move(on_first);
  if (!thread_.joinable()) thread_ = std::thread([this] { Loop(); });
  if (came_ != 0) on_first_(came_);
}

void SignalWatcher::Unwatch() {
  std::lock_guard<std::mutex> lock(mu_);
  on_first_ = nullptr;
}

void SignalWatcher::Loop() {
  bool first = true;
  while (true) {
    pollfd files[2] = {{signals_, POLLIN, 0}, {stop_, POLLIN, 0}};
    if (poll(files, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (files[1].revents != 0) return;
    signalfd_siginfo info;
    if (read(signals_, &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) continue;
    if (!std::exchange(first, false)) _exit(128 + static_cast<int>(info.ssi_signo));
    std::lock_guard<std::mutex> lock(mu_);
    came_ = static_cast<int>(info.ssi_signo);
    if (on_first_) on_first_(static_cast<int>(info.ssi_signo));
  }
}

}  // namespace ddnn

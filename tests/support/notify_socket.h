#ifndef DDNN_TESTS_SUPPORT_NOTIFY_SOCKET_H_
#define DDNN_TESTS_SUPPORT_NOTIFY_SOCKET_H_

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace ddnn {

/// What systemd is to a service. Datagrams on one machine have arrived when they have been sent.
class NotifySocket {
 public:
  /// \param name  a path, or "@name" in the abstract namespace
  explicit NotifySocket(const std::string& name) : name_(name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (name[0] == '@') address.sun_path[0] = '\0';
    socket_ = socket(AF_UNIX, SOCK_DGRAM, 0);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address),
                   offsetof(sockaddr_un, sun_path) + name.size()),
              0)
        << name;
  }
  ~NotifySocket() {
    close(socket_);
    if (name_[0] == '/') unlink(name_.c_str());
  }

  /// What has come so far.
  std::vector<std::string> Heard() {
    std::vector<std::string> messages;
    std::string message;
    while (!(message = Next(MSG_DONTWAIT)).empty()) messages.push_back(message);
    return messages;
  }
  /// The next one, whenever it comes.
  std::string Next(int flags = 0) {
    char buffer[256];
    const ssize_t got = recv(socket_, buffer, sizeof(buffer), flags);
    return got <= 0 ? "" : std::string(buffer, got);
  }

 private:
  const std::string name_;
  int socket_ = -1;
};

}  // namespace ddnn

#endif  // DDNN_TESTS_SUPPORT_NOTIFY_SOCKET_H_

#ifndef DDNN_TESTS_SUPPORT_CAMERA_SERVER_H_
#define DDNN_TESTS_SUPPORT_CAMERA_SERVER_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <utility>

#include "gtest/gtest.h"

namespace ddnn {

/// A camera on the network, for one client at a time: sends one JPEG (of at most 2040 pixels on a
/// side, each a multiple of 8, with 4:2:0 colours) again and again to whoever asks for it.
class CameraServer {
 public:
  enum class Protocol {
    kHttp,  ///< multipart/x-mixed-replace
    kRtsp,  ///< RTP in the same connection, pictures as RFC 2435 has them
  };

  CameraServer(Protocol protocol, std::string jpeg) : protocol_(protocol), jpeg_(std::move(jpeg)) {
    Start(0);
  }
  ~CameraServer() { Stop(); }
  CameraServer(const CameraServer&) = delete;
  CameraServer& operator=(const CameraServer&) = delete;

  /// Hangs up and is not there any more.
  void Stop() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    thread_.join();
    close(listener_);
  }
  /// Is there again, at the same port.
  void Restart() {
    Stop();
    Start(port_);
  }
  std::string url(const std::string& user = "") const {
    return (protocol_ == Protocol::kHttp ? "http://" : "rtsp://") + user +
           "127.0.0.1:" + std::to_string(port_) + "/";
  }

 private:
  void Start(int port) {
    stopping_ = false;
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    ASSERT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    ASSERT_EQ(listen(listener_, 8), 0);
    ASSERT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }

  void Serve() {
    while (!stopping_) {
      pollfd waits = {listener_, POLLIN, 0};
      if (poll(&waits, 1, kTickMs) <= 0) continue;
      const int client = accept(listener_, nullptr, nullptr);
      if (client < 0) continue;
      bool there = protocol_ == Protocol::kHttp ? GreetHttp(client) : GreetRtsp(client);
      while (there && !stopping_) {
        there = protocol_ == Protocol::kHttp ? ShowHttp(client) : ShowRtsp(client);
        poll(nullptr, 0, kTickMs);  // 200 pictures per second at most
      }
      close(client);
    }
  }

  // A request up to its empty line; empty if none comes.
  std::string Request(int client) {
    std::string request;
    while (request.find("\r\n\r\n") == std::string::npos) {
      pollfd waits = {client, POLLIN, 0};
      if (stopping_) return "";
      if (poll(&waits, 1, kTickMs) <= 0) continue;
      char bytes[4096];
      const ssize_t got = recv(client, bytes, sizeof(bytes), 0);
      if (got <= 0) return "";
      request.append(bytes, static_cast<size_t>(got));
    }
    return request;
  }

  bool GreetHttp(int client) {
    return !Request(client).empty() &&
           Send(client,
                "HTTP/1.0 200 OK\r\n"
                "Content-Type: multipart/x-mixed-replace; boundary=next\r\n\r\n");
  }

  bool ShowHttp(int client) {
    return Send(client, "--next\r\nContent-Type: image/jpeg\r\nContent-Length: " +
                            std::to_string(jpeg_.size()) + "\r\n\r\n" + jpeg_ + "\r\n");
  }

  bool GreetRtsp(int client) {
    const std::string sdp =
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        "m=video 0 RTP/AVP 26\r\na=control:track0\r\n";
    while (true) {
      const std::string request = Request(client);
      if (request.empty()) return false;
      const std::string method = request.substr(0, request.find(' '));
      const size_t number = request.find("CSeq:");
      if (number == std::string::npos) return false;
      std::string answer = "RTSP/1.0 200 OK\r\n" +
                           request.substr(number, request.find("\r\n", number) - number) +
                           "\r\nSession: 1\r\n";
      if (method == "OPTIONS") answer += "Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n";
      if (method == "SETUP") answer += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
      if (method == "DESCRIBE") {
        answer += "Content-Type: application/sdp\r\nContent-Length: " + std::to_string(sdp.size()) +
                  "\r\n\r\n" + sdp;
      } else {
        answer += "\r\n";
      }
      if (!Send(client, answer)) return false;
      if (method == "PLAY") return true;
    }
  }

  bool ShowRtsp(int client) {
    std::string tables, scan;
    char blocks_wide = 0, blocks_high = 0;
    for (size_t at = 2; at + 4 <= jpeg_.size();) {
      const uint8_t marker = static_cast<uint8_t>(jpeg_[at + 1]);
      const size_t length = Number(at + 2);
      if (marker == 0xdb) {  // tables of 64 bytes, a byte before each
        for (size_t table = at + 4; table < at + 2 + length; table += 65) {
          tables += jpeg_.substr(table + 1, 64);
        }
      } else if (marker == 0xc0) {
        blocks_high = static_cast<char>(Number(at + 5) / 8);
        blocks_wide = static_cast<char>(Number(at + 7) / 8);
      } else if (marker == 0xda) {
        scan = jpeg_.substr(at + 2 + length, jpeg_.size() - 2 - (at + 2 + length));
        break;
      }
      at += 2 + length;
    }
    stamp_ += 90000 / 200;
    for (size_t at = 0; at < scan.size();) {
      const size_t part = std::min<size_t>(scan.size() - at, 1000);
      const bool last = at + part == scan.size();
      std::string packet = {'\x80', static_cast<char>(last ? 0x80 | 26 : 26)};
      packet += Big(++packets_, 2) + Big(stamp_, 4) + Big(1, 4);
      // Offset, type 1 (4:2:0), tables in band, size.
      packet +=
          '\0' + Big(static_cast<uint32_t>(at), 3) + '\1' + '\xff' + blocks_wide + blocks_high;
      if (at == 0)
        packet += std::string(2, '\0') + Big(static_cast<uint32_t>(tables.size()), 2) + tables;
      packet += scan.substr(at, part);
      const std::string frame =
          std::string("$\0", 2) + Big(static_cast<uint32_t>(packet.size()), 2);
      if (!Send(client, frame + packet)) return false;
      at += part;
    }
    return true;
  }

  size_t Number(size_t at) const {
    return static_cast<size_t>(static_cast<uint8_t>(jpeg_[at])) << 8 |
           static_cast<uint8_t>(jpeg_[at + 1]);
  }

  static std::string Big(uint32_t value, int bytes) {
    std::string text;
    for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i));
    return text;
  }

  static bool Send(int client, const std::string& bytes) {
    for (size_t at = 0; at < bytes.size();) {
      const ssize_t sent = send(client, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return false;
      at += static_cast<size_t>(sent);
    }
    return true;
  }

  static constexpr int kTickMs = 5;

  const Protocol protocol_;
  const std::string jpeg_;
  int listener_ = -1;
  int port_ = 0;
  uint32_t packets_ = 0, stamp_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace ddnn

#endif  // DDNN_TESTS_SUPPORT_CAMERA_SERVER_H_

#ifndef DDNN_RUNTIME_NET_TCP_COUNTERS_H_
#define DDNN_RUNTIME_NET_TCP_COUNTERS_H_

#include <cstdint>
#include <mutex>
#include <string>

namespace ddnn {

/// What the kernel counted of a node's connections to its parent, all of them together: TCP payload
/// bytes, retransmissions included; IP and TCP headers not.
struct WireCounters {
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
  uint64_t segments_sent = 0;
  uint64_t segments_received = 0;
  uint64_t data_segments_sent = 0;  ///< of these, with bytes: the others only acknowledge
  uint64_t data_segments_received = 0;
};

/// Reads TCP_INFO of the socket that gRPC opened to one peer. gRPC does not tell its sockets, so
/// they are found among this process's open files by the address at their other end; the socket is
/// then duplicated, so that its last counts can be read after gRPC closed it. Several clients of
/// the same peer in one process each take a socket of their own, though not surely the right one of
/// them. Linux only. Safe to call from several threads.
class TcpCounters {
 public:
  TcpCounters() = default;
  ~TcpCounters();
  TcpCounters(const TcpCounters&) = delete;
  TcpCounters& operator=(const TcpCounters&) = delete;

  /// Looks for the socket to `peer` ("ipv4:127.0.0.1:7001" or "ipv6:[::1]:7001", as gRPC names it)
  /// and counts it from its first byte. Nothing happens if the one held still is connected there.
  void Attach(const std::string& peer);
  /// Keeps the counts and lets go of a socket that is not connected any more.
  void Release();

  WireCounters Read() const;

 private:
  void DetachLocked();

  mutable std::mutex mu_;
  int fd_ = -1;
  uint64_t inode_ = 0;
  WireCounters before_;  // of sockets let go
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_TCP_COUNTERS_H_

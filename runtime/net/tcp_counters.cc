#include "runtime/net/tcp_counters.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace ddnn {
namespace {

// Sockets that some TcpCounters of this process holds.
std::mutex claimed_mu;
std::set<uint64_t>& Claimed() {
  static auto* claimed = new std::set<uint64_t>;
  return *claimed;
}

// "127.0.0.1:7001" or "[::1]:7001"; IPv4 in IPv6 clothes counts as IPv4. Empty if not a TCP peer.
std::string PeerOf(int fd) {
  int type = 0;
  socklen_t length = sizeof(type);
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_STREAM) return "";
  sockaddr_storage address;
  length = sizeof(address);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "";
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
    return absl::StrCat(text, ":", ntohs(v4->sin_port));
  }
  if (address.ss_family != AF_INET6) return "";
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
  if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
    inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], text, sizeof(text));
    return absl::StrCat(text, ":", ntohs(v6->sin6_port));
  }
  inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
  return absl::StrCat("[", text, "]:", ntohs(v6->sin6_port));
}

// gRPC's "ipv4:..." and "ipv6:%5B::1%5D:7001" in the form of PeerOf.
std::string Normalise(const std::string& peer) {
  const size_t colon = peer.find(':');
  if (colon == std::string::npos || peer.compare(0, 2, "ip") != 0) return "";
  std::string rest = absl::StrReplaceAll(peer.substr(colon + 1), {{"%5B", "["}, {"%5D", "]"}});
  const bool mapped = rest.compare(0, 8, "[::ffff:") == 0 && rest.find('.') != std::string::npos;
  return mapped ? absl::StrReplaceAll(rest.substr(8), {{"]", ""}}) : rest;
}

uint64_t InodeOf(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode) ? info.st_ino : 0;
}

std::vector<int> OpenFiles() {
  std::vector<int> files;
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return files;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] != '.') files.push_back(std::atoi(entry->d_name));
  }
  closedir(folder);
  return files;
}

bool Info(int fd, tcp_info* info) {
  socklen_t length = sizeof(*info);
  std::memset(info, 0, sizeof(*info));
  return fd >= 0 && getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &length) == 0;
}

void Add(int fd, WireCounters* counters) {
  tcp_info info;
  if (!Info(fd, &info)) return;
  counters->bytes_sent += info.tcpi_bytes_sent;
  counters->bytes_received += info.tcpi_bytes_received;
  counters->segments_sent += info.tcpi_segs_out;
  counters->segments_received += info.tcpi_segs_in;
  counters->data_segments_sent += info.tcpi_data_segs_out;
  counters->data_segments_received += info.tcpi_data_segs_in;
}

constexpr int kEstablished = 1;  // TCP_ESTABLISHED of <netinet/tcp.h>, which excludes <linux/tcp.h>

bool Connected(int fd) {
  tcp_info info;
  return Info(fd, &info) && info.tcpi_state == kEstablished;
}

}  // namespace

TcpCounters::~TcpCounters() {
  std::lock_guard<std::mutex> lock(mu_);
  DetachLocked();
}

void TcpCounters::Attach(const std::string& peer) {
  const std::string wanted = Normalise(peer);
  std::lock_guard<std::mutex> lock(mu_);
  if (Connected(fd_)) return;
  DetachLocked();
  if (wanted.empty()) return;
  std::lock_guard<std::mutex> claimed_lock(claimed_mu);
  for (int fd : OpenFiles()) {
    const uint64_t inode = InodeOf(fd);
    if (inode == 0 || Claimed().count(inode) > 0 || PeerOf(fd) != wanted) continue;
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    // The number may have been given to another file since it was listed.
    if (copy < 0 || InodeOf(copy) != inode || !Connected(copy)) {
      if (copy >= 0) close(copy);
      continue;
    }
    fd_ = copy;
    inode_ = inode;
    Claimed().insert(inode);
    return;
  }
}

void TcpCounters::Release() {
  std::lock_guard<std::mutex> lock(mu_);
  if (!Connected(fd_)) DetachLocked();
}

WireCounters TcpCounters::Read() const {
  std::lock_guard<std::mutex> lock(mu_);
  WireCounters counters = before_;
  Add(fd_, &counters);
  return counters;
}

void TcpCounters::DetachLocked() {
  if (fd_ < 0) return;
  Add(fd_, &before_);
  {
    std::lock_guard<std::mutex> lock(claimed_mu);
    Claimed().erase(inode_);
  }
  // If gRPC dropped a connection without shutting it down, the peer must still see it end.
  close(fd_);
  fd_ = -1;
}

}  // namespace ddnn

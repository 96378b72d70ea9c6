#include "runtime/net/listener.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

// gRPC does not say why it could not listen; binding once more does.
absl::Status WhyNot(const std::string& address) {
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.size() > 1 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                 address.substr(colon + 1).c_str(), &hints, &found);
  if (failed != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen at \"", address, "\": ", gai_strerror(failed)));
  }
  int error = 0;
  for (const addrinfo* each = found; each != nullptr && error == 0; each = each->ai_next) {
    const int fd = socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, each->ai_addr, each->ai_addrlen) != 0 || listen(fd, 1) != 0) {
      error = errno;
    }
    if (fd >= 0) close(fd);
  }
  freeaddrinfo(found);
  const std::string message = absl::StrCat("cannot listen at ", address, ": ",
                                           error == 0 ? "gRPC refused it" : std::strerror(error));
  return error == EADDRINUSE ? absl::AlreadyExistsError(message)
                             : absl::InvalidArgumentError(message);
}

// gRPC would take port 443 where none is given.
bool HasPort(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = -1;
  return colon != std::string::npos && absl::SimpleAtoi(address.substr(colon + 1), &port) &&
         port >= 0 && port <= 65535;
}

void EnablePlugins() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

}  // namespace

absl::StatusOr<Listener> Listen(const std::string& address, size_t max_receive_bytes,
                                const std::vector<grpc::Service*>& services) {
  if (!HasPort(address)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen at \"", address, "\": expected HOST:PORT"));
  }
  EnablePlugins();
  Listener listener;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &listener.port);
  for (grpc::Service* service : services) builder.RegisterService(service);
  builder.SetMaxReceiveMessageSize(static_cast<int>(max_receive_bytes));
  // Two servers on one port would share its children at random.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Finds children whose machine or network is gone; and lets them look for us. Their questions
  // come every 10 s and are a sign of life, too: later than that, or two would ask where one is
  // enough.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 15000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // No measuring of the link with pings: a window of 64 KiB is enough for what a tree says.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  listener.server = builder.BuildAndStart();
  if (listener.server == nullptr || listener.port == 0) return WhyNot(address);
  return listener;
}

}  // namespace ddnn

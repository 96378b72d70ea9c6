#ifndef DDNN_RUNTIME_NET_LISTENER_H_
#define DDNN_RUNTIME_NET_LISTENER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace ddnn {

struct Listener {
  std::unique_ptr<grpc::Server> server;
  int port = 0;
};

/// Serves `services`, the standard health service and reflection at HOST:PORT; port 0 lets the
/// kernel choose. Messages above `max_receive_bytes` are refused before they are read.
///
/// ALREADY_EXISTS when the port is taken, by a server of ours too; INVALID_ARGUMENT for an address
/// that cannot be listened at, naming it and the reason.
absl::StatusOr<Listener> Listen(const std::string& address, size_t max_receive_bytes,
                                const std::vector<grpc::Service*>& services);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_LISTENER_H_

#ifndef DDNN_RUNTIME_NET_STATUS_H_
#define DDNN_RUNTIME_NET_STATUS_H_

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"

namespace ddnn {

/// Longest error message that goes over the wire, bytes.
inline constexpr size_t kMaxStatusMessage = 1024;

/// The first `bytes` of a text at most, ending before a UTF-8 character that would be cut in two.
std::string CutText(std::string text, size_t bytes);

/// The one place where our errors become gRPC's: same code, message cut at kMaxStatusMessage.
grpc::Status ToGrpc(const absl::Status& status);
/// The way back, with the same cut: a peer's message is not trusted to be short either.
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_STATUS_H_

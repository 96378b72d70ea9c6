#include "runtime/net/status.h"

#include <utility>

namespace ddnn {

std::string CutText(std::string text, size_t bytes) {
  if (text.size() <= bytes) return text;
  // Bytes 10xxxxxx continue a character.
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  text.resize(bytes);
  return text;
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  // The codes are the same numbers in both.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      CutText(std::string(status.message()), kMaxStatusMessage));
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  int code = status.error_code();
  if (code < 1 || code > 16) code = static_cast<int>(absl::StatusCode::kUnknown);
  return absl::Status(static_cast<absl::StatusCode>(code),
                      CutText(status.error_message(), kMaxStatusMessage));
}

}  // namespace ddnn

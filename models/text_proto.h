#ifndef DDNN_MODELS_TEXT_PROTO_H_
#define DDNN_MODELS_TEXT_PROTO_H_

#include <string>

#include "absl/status/status.h"
#include "google/protobuf/message.h"

namespace ddnn {

/// Parses a text-format message. INVALID_ARGUMENT says "<name>:<line>:<column>: <what is wrong>"
/// for the first thing that is: an unknown field, a wrong type, a missing brace.
///
/// \param name  of the file or flag, for the error.
absl::Status ParseTextProto(const std::string& text, const std::string& name,
                            google::protobuf::Message* message);

}  // namespace ddnn

#endif  // DDNN_MODELS_TEXT_PROTO_H_

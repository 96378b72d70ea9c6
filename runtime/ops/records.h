#ifndef DDNN_RUNTIME_OPS_RECORDS_H_
#define DDNN_RUNTIME_OPS_RECORDS_H_

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/status.h"
#include "ddnn/v1/report.pb.h"
#include "models/network_plan.h"
#include "runtime/core/answer.h"

namespace ddnn {

/// An answer as it is reported: indices become names, the presence mask a list of views. Class and
/// exit stay empty where the sample was not answered.
v1::AnswerRecord ToRecord(const NetworkPlan& plan, const Answer& answer);

/// One line of JSON without a line end: field names as in the .proto, all of them printed.
std::string ToJson(const google::protobuf::Message& message);

/// One line for people, in columns that line up from answer to answer of one network.
std::string ToLine(const NetworkPlan& plan, const v1::AnswerRecord& record);

/// Writes to `path` through a temporary name: a reader sees the whole file or none.
absl::Status WriteStats(const std::string& path, const v1::NodeStats& stats);

/// Prints a line to stdout at once and whole, from any thread.
void PrintLine(const std::string& line);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_OPS_RECORDS_H_

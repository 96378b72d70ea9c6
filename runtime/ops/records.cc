#include "runtime/ops/records.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdio>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "runtime/core/bundle.h"

namespace ddnn {
namespace {

const char* OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kAnswered:
      return "answered";
    case Outcome::kShed:
      return "shed";
    case Outcome::kExpired:
      return "expired";
  }
  return "";
}

int Widest(const NetworkPlan& plan) {
  size_t width = 0;
  for (const std::string& name : plan.spec().class_name()) width = std::max(width, name.size());
  return static_cast<int>(width);
}

int WidestExit(const NetworkPlan& plan) {
  size_t width = 0;
  for (const ExitPlan& exit : plan.exits()) width = std::max(width, exit.name.size());
  return static_cast<int>(width);
}

// "0-2,5": short whatever the number of views.
std::string Views(const v1::AnswerRecord& record) {
  std::string text;
  for (int i = 0; i < record.present_view_size();) {
    int last = i;
    while (last + 1 < record.present_view_size() &&
           record.present_view(last + 1) == record.present_view(last) + 1) {
      ++last;
    }
    absl::StrAppend(&text, text.empty() ? "" : ",", record.present_view(i));
    if (last > i) absl::StrAppend(&text, last > i + 1 ? "-" : ",", record.present_view(last));
    i = last + 1;
  }
  return text.empty() ? "none" : text;
}

}  // namespace

v1::AnswerRecord ToRecord(const NetworkPlan& plan, const Answer& answer) {
  v1::AnswerRecord record;
  record.set_stream(answer.sample.stream);
  record.set_sequence(answer.sample.sequence);
  record.set_outcome(OutcomeName(answer.outcome));
  if (answer.outcome == Outcome::kAnswered) {
    record.set_class_index(answer.class_index);
    if (answer.class_index >= 0 && answer.class_index < plan.classes()) {
      record.set_class_name(plan.spec().class_name(answer.class_index));
    }
    if (answer.exit >= 0 && answer.exit < static_cast<int>(plan.exits().size())) {
      record.set_exit(plan.exits()[answer.exit].name);
    }
    record.set_entropy(answer.entropy);
  }
  for (int view = 0; view < plan.views(); ++view) {
    if (answer.presence >> view & 1) record.add_present_view(view);
  }
  record.set_degraded(answer.degraded);
  record.set_payload_bytes(static_cast<uint32_t>(answer.payload_bytes));
  record.set_latency_ms(absl::ToDoubleMilliseconds(answer.latency));
  record.set_reason(answer.reason);
  record.set_hard(answer.hard);
  return record;
}

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(message, &json, options).ok()) return "{}";
  return json;
}

std::string ToLine(const NetworkPlan& plan, const v1::AnswerRecord& record) {
  std::string line = absl::StrFormat("%6d  ", record.sequence());
  if (record.outcome() == "answered") {
    absl::StrAppendFormat(&line, "%-*s  at %-*s  entropy %.3f  views %-7s  %5d B  %7.1f ms",
                          Widest(plan), record.class_name(), WidestExit(plan), record.exit(),
                          record.entropy(), Views(record), record.payload_bytes(),
                          record.latency_ms());
  } else {
    absl::StrAppendFormat(&line, "%-*s", Widest(plan), record.outcome());
  }
  if (record.hard()) absl::StrAppend(&line, "  hard");
  if (record.degraded()) absl::StrAppend(&line, "  degraded");
  if (!record.reason().empty()) absl::StrAppend(&line, "  (", record.reason(), ")");
  return line;
}

absl::Status WriteStats(const std::string& path, const v1::NodeStats& stats) {
  return WriteFileAtomically(path, ToJson(stats) + "\n");
}

void PrintLine(const std::string& line) {
  static std::mutex mu;
  std::lock_guard<std::mutex> lock(mu);
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

}  // namespace ddnn

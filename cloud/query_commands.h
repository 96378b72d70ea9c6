#ifndef DDNN_CLOUD_QUERY_COMMANDS_H_
#define DDNN_CLOUD_QUERY_COMMANDS_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ddnn/v1/query.grpc.pb.h"

namespace ddnn {

/// What ddnn-query was asked: its command, arguments and flags.
struct QueryArguments {
  std::string command;                        ///< hard, show, label, export, classify or watch
  std::vector<std::string> arguments;         ///< behind the command
  std::string cloud;                          ///< HOST:PORT, for messages
  absl::Duration timeout = absl::Seconds(5);  ///< of one call; a stream only has to begin by then
  bool json = false;

  int page_size = 20;
  std::string page_token;
  std::string since, until;  ///< see ParseWhen
  std::string class_name;
  double min_entropy = 0;
  bool labelled = false, unlabelled = false;
  bool clear = false;
  bool labelled_only = false;
  int64_t samples = 0;  ///< watch: stop after that many; 0: never
  absl::Time now;
};

/// Runs one command against a cloud. Results go to `out`, remarks to `remarks`; errors are one
/// sentence for a person.
absl::Status RunQuery(v1::QueryService::StubInterface* cloud, const QueryArguments& arguments,
                      std::ostream& out, std::ostream& remarks);

/// "1h", "30m", "2d" before `now`, or a date, "2026-03-01" or "2026-03-01T12:00:00Z" (without a
/// zone: UTC). Microseconds of Unix time; 0 for empty text.
absl::StatusOr<int64_t> ParseWhen(absl::string_view flag, absl::string_view text, absl::Time now);

/// Which picture goes to which view of a network with `views` views.
struct ViewFile {
  int view = 0;
  std::string file;
};
/// "a.png - b.png": views 0 and 2. "4=c.png": view 4.
absl::StatusOr<std::vector<ViewFile>> ParseViewFiles(const std::vector<std::string>& arguments,
                                                     int views);

}  // namespace ddnn

#endif  // DDNN_CLOUD_QUERY_COMMANDS_H_

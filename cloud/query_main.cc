// ddnn-query: asks the cloud of a running tree. `ddnn-query --help` says all.

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "cloud/query_commands.h"
#include "cloud/query_help.h"
#include "runtime/ops/program_flags.h"

ABSL_FLAG(std::string, cloud, "127.0.0.1:7200", "HOST:PORT where ddnn-cloud listens");
ABSL_FLAG(absl::Duration, timeout, absl::Seconds(5), "how long to wait for an answer");
ABSL_FLAG(bool, json, false, "JSON for scripts instead of tables");
ABSL_FLAG(std::string, since, "", "hard: kept since then (1h, 2d, 2026-03-01)");
ABSL_FLAG(std::string, until, "", "hard: kept before then");
ABSL_FLAG(std::string, class, "", "hard: the network took it for this class");
ABSL_FLAG(double, min_entropy, 0, "hard: at least this unsure, 0 to 1");
ABSL_FLAG(bool, labelled, false, "hard: somebody labelled it");
ABSL_FLAG(bool, unlabelled, false, "hard: nobody labelled it");
ABSL_FLAG(int32_t, page_size, 20, "hard: rows on a page, 1 to 1000");
ABSL_FLAG(std::string, page_token, "", "hard: token of the page before");
ABSL_FLAG(bool, clear, false, "label: take the label back");
ABSL_FLAG(bool, labelled_only, false, "export: only labelled samples");
ABSL_FLAG(int64_t, samples, 0, "watch: end after this many answers");

namespace ddnn {
namespace {

int Fail(const absl::Status& status) {
  std::cerr << "ddnn-query: " << std::string(status.message()) << "\n";
  return 1;
}

// Pictures and features of one sample, with room; a list of 1000 is far smaller.
constexpr int kMaxMessage = 64 << 20;

bool WantsHelp(const std::string& argument) {
  return argument == "--help" || argument == "-help" || argument == "-h" || argument == "--h" ||
         argument == "help";
}

// A flag that another command owns would be ignored silently; say so instead.
absl::Status CheckFlags(const std::string& command) {
  for (const QueryHelp& help : QueryHelps()) {
    if (help.name == command) continue;
    for (const std::string& name : help.flags) {
      const auto* flag = absl::FindCommandLineFlag(name);
      if (flag == nullptr || flag->CurrentValue() == flag->DefaultValue()) continue;
      return absl::InvalidArgumentError(absl::StrCat("--", name, " belongs to `ddnn-query ",
                                                     help.name, "`, not to `", command, "`"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckAddress(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon != std::string::npos && colon > 0 &&
      absl::SimpleAtoi(address.substr(colon + 1), &port) && port > 0 && port < 65536) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--cloud is \"", address, "\"; expected HOST:PORT, such as cloud.example:7200"));
}

QueryArguments FromFlags(const std::vector<std::string>& positional) {
  QueryArguments arguments;
  arguments.command = positional[0];
  arguments.arguments.assign(positional.begin() + 1, positional.end());
  arguments.cloud = absl::GetFlag(FLAGS_cloud);
  arguments.timeout = absl::GetFlag(FLAGS_timeout);
  arguments.json = absl::GetFlag(FLAGS_json);
  arguments.page_size = absl::GetFlag(FLAGS_page_size);
  arguments.page_token = absl::GetFlag(FLAGS_page_token);
  arguments.since = absl::GetFlag(FLAGS_since);
  arguments.until = absl::GetFlag(FLAGS_until);
  arguments.class_name = absl::GetFlag(FLAGS_class);
  arguments.min_entropy = absl::GetFlag(FLAGS_min_entropy);
  arguments.labelled = absl::GetFlag(FLAGS_labelled);
  arguments.unlabelled = absl::GetFlag(FLAGS_unlabelled);
  arguments.clear = absl::GetFlag(FLAGS_clear);
  arguments.labelled_only = absl::GetFlag(FLAGS_labelled_only);
  arguments.samples = absl::GetFlag(FLAGS_samples);
  arguments.now = absl::Now();
  return arguments;
}

int Main(int argc, char** argv) {
  // Before Abseil, whose own help lists flags and not what to do with them.
  std::string command;
  for (int i = 1; i < argc && std::string(argv[i]) != "--"; ++i) {
    const std::string argument = argv[i];
    const auto& helps = QueryHelps();
    if (command.empty() && std::any_of(helps.begin(), helps.end(), [&](const QueryHelp& help) {
          return help.name == argument;
        })) {
      command = argument;
    }
  }
  for (int i = 1; i < argc && std::string(argv[i]) != "--"; ++i) {
    // The bare word only in front: "help" may also be a file's name.
    if (!WantsHelp(argv[i]) || (i > 1 && argv[i][0] != '-')) continue;
    std::cout << HelpText(command);
    return 0;
  }
  absl::SetProgramUsageMessage(HelpText(""));
  UnderscoresInFlags(argc, argv);
  std::vector<std::string> positional;
  for (char* argument : absl::ParseCommandLine(argc, argv)) positional.emplace_back(argument);
  positional.erase(positional.begin());
  if (positional.empty()) {
    std::cerr << HelpText("");
    return 1;
  }
  const QueryArguments arguments = FromFlags(positional);
  absl::Status valid = CheckFlags(arguments.command);
  if (valid.ok()) valid = CheckAddress(arguments.cloud);
  if (valid.ok() && arguments.timeout <= absl::ZeroDuration()) {
    valid = absl::InvalidArgumentError("--timeout must be more than 0, such as 5s");
  }
  if (!valid.ok()) return Fail(valid);

  std::signal(SIGPIPE, SIG_IGN);  // `watch | head` ends by its output failing
  grpc::ChannelArguments channel_arguments;
  channel_arguments.SetMaxReceiveMessageSize(kMaxMessage);
  channel_arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // as the rest of the tree
  auto stub = v1::QueryService::NewStub(grpc::CreateCustomChannel(
      arguments.cloud, grpc::InsecureChannelCredentials(), channel_arguments));
  absl::Status status = RunQuery(stub.get(), arguments, std::cout, std::cerr);
  return status.ok() ? 0 : Fail(status);
}

}  // namespace
}  // namespace ddnn

int main(int argc, char** argv) { return ddnn::Main(argc, argv); }

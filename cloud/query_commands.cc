#include "cloud/query_commands.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cloud/export_folder.h"
#include "cloud/pictures.h"
#include "cloud/query_print.h"
#include "cloud/table.h"
#include "runtime/ops/records.h"

namespace ddnn {
namespace {

using Stub = v1::QueryService::StubInterface;

// What a person can do about it. Messages of the service are meant for people already.
absl::Status Explain(const QueryArguments& arguments, const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = Printable(status.error_message()).substr(0, 300);
  // The service's own words; all else comes from the way to it.
  const bool from_cloud = absl::StartsWith(message, "the cloud ");
  const bool silent = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
  if (!from_cloud && (silent || status.error_code() == grpc::StatusCode::UNAVAILABLE)) {
    return absl::UnavailableError(absl::StrCat(
        "no answer from a cloud at ", arguments.cloud, " (",
        silent ? absl::StrCat("nothing within ", absl::FormatDuration(arguments.timeout),
                              "; --timeout allows more")
               : message,
        ").\nCheck that ddnn-cloud runs there, that it printed \"listening on\" with this port, "
        "and "
        "that no firewall is in between; --cloud=HOST:PORT names another."));
  }
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
    return absl::UnimplementedError(absl::StrCat(
        arguments.cloud, " answers, but is no ddnn-cloud (an edge has no queries to answer)"));
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), message);
}

void SetDeadline(const QueryArguments& arguments, grpc::ClientContext* context) {
  context->set_deadline(absl::ToChronoTime(absl::Now() + arguments.timeout));
}

absl::StatusOr<v1::DescribeResponse> Describe(Stub* cloud, const QueryArguments& arguments) {
  grpc::ClientContext context;
  SetDeadline(arguments, &context);
  v1::DescribeResponse response;
  grpc::Status status = cloud->Describe(&context, {}, &response);
  if (!status.ok()) return Explain(arguments, status);
  const int64_t size = int64_t{1} * response.channels() * response.height() * response.width();
  if (response.views() < 1 || response.views() > 64 || response.channels() < 1 ||
      response.height() < 1 || response.width() < 1 || size > (int64_t{1} << 26)) {
    return absl::InvalidArgumentError(absl::StrCat(
        arguments.cloud, " describes a network that cannot be: ", response.views(), " views of ",
        response.channels(), "x", response.height(), "x", response.width()));
  }
  return response;
}

Shape ViewShape(const v1::DescribeResponse& network) {
  return {network.channels(), network.height(), network.width()};
}

absl::Status CheckCount(const QueryArguments& arguments, size_t count, const char* usage) {
  if (arguments.arguments.size() == count) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("usage: ddnn-query ", usage, " (", arguments.arguments.size(),
                   " arguments given); see ddnn-query ", arguments.command, " --help"));
}

absl::StatusOr<int64_t> ParseId(const std::string& text) {
  int64_t id = 0;
  if (absl::SimpleAtoi(text, &id) && id > 0) return id;
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is no id; expected a number from `ddnn-query hard`"));
}

absl::Status Hard(Stub* cloud, const QueryArguments& arguments, std::ostream& out) {
  absl::Status count = CheckCount(arguments, 0, "hard [flags]");
  if (!count.ok()) return count;
  v1::ListHardRequest request;
  request.set_page_size(arguments.page_size);
  request.set_page_token(arguments.page_token);
  auto since = ParseWhen("--since", arguments.since, arguments.now);
  if (!since.ok()) return since.status();
  auto until = ParseWhen("--until", arguments.until, arguments.now);
  if (!until.ok()) return until.status();
  request.set_since_us(*since);
  request.set_until_us(*until);
  request.set_class_name(arguments.class_name);
  request.set_min_entropy(arguments.min_entropy);
  request.set_only_labelled(arguments.labelled);
  request.set_only_unlabelled(arguments.unlabelled);
  grpc::ClientContext context;
  SetDeadline(arguments, &context);
  v1::ListHardResponse response;
  absl::Status status = Explain(arguments, cloud->ListHard(&context, request, &response));
  if (!status.ok()) return status;
  out << (arguments.json ? ToJson(response) + "\n" : PrintHardList(response, arguments.now));
  return absl::OkStatus();
}

absl::Status Show(Stub* cloud, const QueryArguments& arguments, std::ostream& out) {
  absl::Status count = CheckCount(arguments, 1, "show ID");
  if (!count.ok()) return count;
  auto id = ParseId(arguments.arguments[0]);
  if (!id.ok()) return id.status();
  auto network = Describe(cloud, arguments);
  if (!network.ok()) return network.status();
  v1::GetHardRequest request;
  request.set_id(*id);
  grpc::ClientContext context;
  SetDeadline(arguments, &context);
  v1::HardSample sample;
  absl::Status status = Explain(arguments, cloud->GetHard(&context, request, &sample));
  if (!status.ok()) return status;
  out << (arguments.json ? ToJson(sample) + "\n"
                         : PrintHardSample(sample, *network, arguments.now));
  return absl::OkStatus();
}

absl::Status Label(Stub* cloud, const QueryArguments& arguments, std::ostream& out) {
  absl::Status count = arguments.clear ? CheckCount(arguments, 1, "label ID --clear")
                                       : CheckCount(arguments, 2, "label ID CLASS");
  if (!count.ok()) return count;
  auto id = ParseId(arguments.arguments[0]);
  if (!id.ok()) return id.status();
  v1::LabelHardRequest request;
  request.set_id(*id);
  if (!arguments.clear) request.set_label(arguments.arguments[1]);
  if (!arguments.clear && request.label().empty()) {
    return absl::InvalidArgumentError("CLASS is empty; --clear takes a label back");
  }
  grpc::ClientContext context;
  SetDeadline(arguments, &context);
  v1::HardSample sample;
  absl::Status status = Explain(arguments, cloud->LabelHard(&context, request, &sample));
  if (!status.ok()) return status;
  if (arguments.json) {
    out << ToJson(sample) << "\n";
  } else if (arguments.clear) {
    out << "Sample " << sample.id() << " has no label any more.\n";
  } else {
    out << "Sample " << sample.id() << " is labelled " << Printable(sample.label())
        << " (the network said "
        << (sample.class_name().empty() ? "nothing" : Printable(sample.class_name())) << ").\n";
  }
  return absl::OkStatus();
}

std::string ExportJson(const std::string& directory, const std::string& data,
                       const ExportFolder::Counts& counts) {
  v1::ExportReport report;
  report.set_directory(directory);
  report.set_data(data);
  report.set_samples(static_cast<uint32_t>(counts.written));
  report.set_pictures(static_cast<uint32_t>(counts.pictures));
  report.set_without_pictures(static_cast<uint32_t>(counts.without_pictures));
  report.set_other_size(static_cast<uint32_t>(counts.other_size));
  report.set_without_class(static_cast<uint32_t>(counts.without_class));
  return ToJson(report) + "\n";
}

absl::Status Export(Stub* cloud, const QueryArguments& arguments, std::ostream& out) {
  absl::Status count = CheckCount(arguments, 1, "export DIR");
  if (!count.ok()) return count;
  const std::string& directory = arguments.arguments[0];
  auto network = Describe(cloud, arguments);
  if (!network.ok()) return network.status();
  auto folder = ExportFolder::Create(directory, ViewShape(*network), network->views());
  if (!folder.ok()) return folder.status();
  v1::ExportHardRequest request;
  request.set_only_labelled(arguments.labelled_only);
  grpc::ClientContext context;
  auto reader = cloud->ExportHard(&context, request);
  v1::HardSample sample;
  while (reader->Read(&sample)) {
    absl::Status added = folder->Add(sample);
    if (!added.ok()) {
      context.TryCancel();
      return added;
    }
  }
  absl::Status status = Explain(arguments, reader->Finish());
  if (status.ok()) status = folder->Commit();
  if (!status.ok()) return status;
  const ExportFolder::Counts& counts = folder->counts();
  const std::string data = ExportFolder::DataSpec(directory, *network);
  if (arguments.json) {
    out << ExportJson(directory, data, counts);
    return absl::OkStatus();
  }
  out << "Wrote " << counts.written << " samples, " << counts.pictures << " pictures, to "
      << directory << ".\n";
  if (counts.without_pictures > 0) {
    out << "Skipped " << counts.without_pictures
        << " without pictures (devices send them with --share_pixels).\n";
  }
  if (counts.other_size > 0) {
    out << "Skipped " << counts.other_size << " with pictures of another size.\n";
  }
  if (counts.without_class > 0) {
    out << "Skipped " << counts.without_class << " without an answer or a label.\n";
  }
  out << "Train with them: --data='" << Printable(data) << "'\n";
  return absl::OkStatus();
}

absl::Status Classify(Stub* cloud, const QueryArguments& arguments, std::ostream& out) {
  if (arguments.arguments.empty()) {
    return absl::InvalidArgumentError(
        "usage: ddnn-query classify IMAGE...; see ddnn-query classify --help");
  }
  auto network = Describe(cloud, arguments);
  if (!network.ok()) return network.status();
  auto files = ParseViewFiles(arguments.arguments, network->views());
  if (!files.ok()) return files.status();
  v1::ClassifyRequest request;
  for (const ViewFile& file : *files) {
    auto pixels = LoadPicture(file.file, ViewShape(*network));
    if (!pixels.ok()) return pixels.status();
    v1::ClassifyView* view = request.add_view();
    view->set_view(file.view);
    view->set_pixels(*std::move(pixels));
  }
  grpc::ClientContext context;
  SetDeadline(arguments, &context);
  v1::ClassifyResponse response;
  absl::Status status = Explain(arguments, cloud->Classify(&context, request, &response));
  if (!status.ok()) return status;
  out << (arguments.json ? ToJson(response) + "\n" : PrintClassify(response, *network));
  return absl::OkStatus();
}

absl::Status Watch(Stub* cloud, const QueryArguments& arguments, std::ostream& out,
                   std::ostream& remarks) {
  absl::Status count = CheckCount(arguments, 0, "watch [--samples=N]");
  if (!count.ok()) return count;
  auto network = Describe(cloud, arguments);
  if (!network.ok()) return network.status();
  const Table table = WatchTable(*network);
  grpc::ClientContext context;
  auto reader = cloud->Watch(&context, {});
  reader->WaitForInitialMetadata();
  if (!arguments.json) {
    remarks << "Watching " << Printable(network->network()) << " at " << arguments.cloud
            << "; Ctrl-C ends.\n";
    out << table.TitleLine() << std::flush;
  }
  v1::AnswerRecord answer;
  int64_t seen = 0;
  while (reader->Read(&answer)) {
    // A line at a time, so that a script behind a pipe can act on it.
    out << (arguments.json ? ToJson(answer) + "\n" : PrintAnswer(table, answer)) << std::flush;
    if (!out) break;
    if (answer.outcome() != "lost" && ++seen == arguments.samples) break;
  }
  if (!out || (arguments.samples > 0 && seen == arguments.samples)) {
    context.TryCancel();
    return absl::OkStatus();
  }
  return Explain(arguments, reader->Finish());
}

absl::Status Status(Stub* cloud, const QueryArguments& arguments, std::ostream& out) {
  absl::Status count = CheckCount(arguments, 0, "status");
  if (!count.ok()) return count;
  grpc::ClientContext context;
  SetDeadline(arguments, &context);
  v1::StatusResponse response;
  absl::Status status = Explain(arguments, cloud->Status(&context, {}, &response));
  if (!status.ok()) return status;
  out << (arguments.json ? ToJson(response) + "\n" : PrintStatus(response, arguments.now));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int64_t> ParseWhen(absl::string_view flag, absl::string_view text, absl::Time now) {
  if (text.empty()) return 0;
  absl::Duration age;
  int64_t days = 0;
  if (absl::ParseDuration(text, &age) && age >= absl::ZeroDuration()) {
    return std::max<int64_t>(1, absl::ToUnixMicros(now - age));
  }
  if (absl::EndsWith(text, "d") && absl::SimpleAtoi(text.substr(0, text.size() - 1), &days) &&
      days >= 0 && days < 1000000) {
    return std::max<int64_t>(1, absl::ToUnixMicros(now - absl::Hours(24) * days));
  }
  absl::Time time;
  std::string error;
  for (const char* format :
       {"%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", absl::RFC3339_full}) {
    if (absl::ParseTime(format, text, absl::UTCTimeZone(), &time, &error)) {
      return std::max<int64_t>(1, absl::ToUnixMicros(time));
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat(flag, " is \"", text,
                   "\"; expected how long ago (90s, 30m, 1h, 2d) or a date "
                   "(2026-03-01, 2026-03-01T12:00:00Z)"));
}

absl::StatusOr<std::vector<ViewFile>> ParseViewFiles(const std::vector<std::string>& arguments,
                                                     int views) {
  std::map<int, std::string> files;
  int position = 0;
  for (const std::string& argument : arguments) {
    const size_t equals = argument.find('=');
    int view = position;
    std::string file = argument;
    // "4=c.png" names a view; "a=b.png" is just a file.
    const bool named = equals != std::string::npos &&
                       absl::SimpleAtoi(absl::string_view(argument).substr(0, equals), &view);
    if (named) {
      file = argument.substr(equals + 1);
    } else {
      view = position++;
    }
    if (!named && file == "-") continue;
    if (view < 0 || view >= views) {
      return absl::InvalidArgumentError(absl::StrCat(argument, " would be view ", view,
                                                     "; this network has ", views, " views, 0 to ",
                                                     views - 1));
    }
    if (!files.emplace(view, file).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("view ", view, " is given twice: ", files[view], " and ", file));
    }
  }
  if (files.empty()) {
    return absl::InvalidArgumentError("no picture given; expected at least one view");
  }
  std::vector<ViewFile> result;
  for (auto& [view, file] : files) result.push_back({view, file});
  return result;
}

absl::Status RunQuery(Stub* cloud, const QueryArguments& arguments, std::ostream& out,
                      std::ostream& remarks) {
  if (arguments.command == "hard") return Hard(cloud, arguments, out);
  if (arguments.command == "show") return Show(cloud, arguments, out);
  if (arguments.command == "label") return Label(cloud, arguments, out);
  if (arguments.command == "export") return Export(cloud, arguments, out);
  if (arguments.command == "classify") return Classify(cloud, arguments, out);
  if (arguments.command == "watch") return Watch(cloud, arguments, out, remarks);
  if (arguments.command == "status") return Status(cloud, arguments, out);
  return absl::InvalidArgumentError(absl::StrCat(
      "there is no command \"", arguments.command,
      "\"; expected hard, show, label, export, classify, watch or status (see ddnn-query "
      "--help)"));
}

}  // namespace ddnn

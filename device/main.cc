// ddnn-device: runs one view's section beside its camera. See --help.
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "datasets/frame_source.h"
#include "device/device.h"
#include "runtime/core/bundle.h"
#include "runtime/lite/lite_engine.h"
#include "runtime/net/node_host.h"
#include "runtime/ops/config.h"
#include "runtime/ops/logging.h"
#include "runtime/ops/records.h"
#include "runtime/ops/signals.h"

namespace ddnn {
namespace {

constexpr char kHelp[] =
    R"(ddnn-device runs the first layers of a network beside a camera, sends class scores up, and
features only when the scores were not sure enough. Each answer is one line on stdout.

  ddnn-device --bundle out/bundle --view 0 --parent edge.local:7100 --source camera:0 --rate 10
  ddnn-device --bundle out/bundle --view 2 --parent localhost:7100 --samples 100 --json \
      --source six-cameras:fashion-mnist
  ddnn-device --config /etc/ddnn/device.textproto --log_level debug

SIGTERM or Ctrl-C: no new frames; those under way are answered, then it ends. Twice: at once.
Ends with 0 when the source ended and all is answered, with 1 for an error, 2 for wrong flags.

Flags (defaults in parentheses):
)";

absl::StatusOr<Bundle> LoadView(const v1::NodeConfig& config) {
  // The manifest first: a wrong view should be told as such, not as a section that is missing.
  absl::StatusOr<Bundle> bundle = LoadBundle(config.bundle(), {0, 0});
  if (!bundle.ok()) return bundle;
  if (config.view() >= bundle->plan.views()) {
    return absl::OutOfRangeError(absl::StrCat("--view ", config.view(), ": network \"",
                                              bundle->plan.spec().name(), "\" has views 0 to ",
                                              bundle->plan.views() - 1));
  }
  return LoadBundle(config.bundle(), {0, config.view()});
}

void PrintSummary(const NetworkPlan& plan, const DeviceSummary& summary) {
  std::string text = absl::StrFormat("%d samples: %d answered", summary.samples, summary.answered);
  for (size_t exit = 0; exit < summary.by_exit.size(); ++exit) {
    absl::StrAppendFormat(&text, "%s%s %d", exit == 0 ? " (" : ", ", plan.exits()[exit].name,
                          summary.by_exit[exit]);
  }
  absl::StrAppendFormat(&text, "; %d degraded), %d shed, %d expired", summary.degraded,
                        summary.shed, summary.expired);
  for (const auto& [reason, count] : summary.reason) {
    absl::StrAppendFormat(&text, " [%s: %d]", reason, count);
  }
  absl::StrAppendFormat(&text, "; %d payload bytes; latency p50 %.1f ms, p99 %.1f ms",
                        summary.payload_bytes, absl::ToDoubleMilliseconds(summary.latency_p50),
                        absl::ToDoubleMilliseconds(summary.latency_p99));
  std::cerr << text << std::endl;
}

Device::Options DeviceOptions(const v1::NodeConfig& config, const NetworkPlan& plan) {
  Device::Options options;
  options.stream = config.stream();
  options.rate = config.rate();
  options.samples = config.samples();
  options.max_in_flight = config.max_in_flight();
  options.wait_for_tree = config.wait_for_tree();
  options.drain_limit = absl::Milliseconds(config.sample_deadline_ms()) + absl::Seconds(1);
  options.on_answer = [json = config.json(), &plan](const Answer& answer) {
    const v1::AnswerRecord record = ToRecord(plan, answer);
    PrintLine(json ? ToJson(record) : ToLine(plan, record));
  };
  return options;
}

absl::Status Run(const v1::NodeConfig& config) {
  SignalWatcher signals;
  absl::Status status =
      SetUpLogging(absl::StrCat("ddnn-device ", config.view()), config.log_level());
  if (!status.ok()) return status;
  absl::StatusOr<Bundle> bundle = LoadView(config);
  if (!bundle.ok()) return bundle.status();
  absl::StatusOr<std::unique_ptr<FrameSource>> source =
      OpenFrameSource(config.source(), config.view(), bundle->plan.view_shape());
  if (!source.ok()) return source.status();
  absl::StatusOr<NodeHost::Options> options = HostOptions(config, *bundle, 0, config.view());
  if (!options.ok()) return options.status();

  Device device(bundle->plan, DeviceOptions(config, bundle->plan));
  absl::StatusOr<std::unique_ptr<NodeHost>> host =
      NodeHost::Start(*bundle, CreateLiteEngine, *options, &device);
  if (!host.ok()) return host.status();
  signals.Watch([&device](int) { device.Stop(); });
  status = device.Run(host->get(), source->get());
  (*host)->Stop();
  if (!config.stats_file().empty()) {
    status.Update(WriteStats(config.stats_file(), (*host)->Stats()));
  }
  PrintSummary(bundle->plan, device.summary());
  signals.Unwatch();
  return status;
}

}  // namespace
}  // namespace ddnn

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const auto line = ddnn::ParseCommandLine(ddnn::Role::kDevice, args);
  if (!line.ok()) {
    std::cerr << "ddnn-device: " << line.status().message() << std::endl;
    return 2;
  }
  if (line->help) {
    std::cout << ddnn::kHelp << ddnn::FlagsHelp(ddnn::Role::kDevice);
    return 0;
  }
  const absl::Status status = ddnn::Run(line->config);
  if (status.ok()) return 0;
  std::cerr << "ddnn-device: " << status.message() << std::endl;
  return 1;
}

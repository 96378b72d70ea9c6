// ddnn-device: runs one view's section beside its camera. See --help.
#include <spdlog/spdlog.h>

#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "datasets/frame_source.h"
#include "datasets/framing.h"
#include "device/device.h"
#include "device/forwarder.h"
#include "runtime/core/bundle.h"
#include "runtime/lite/lite_engine.h"
#include "runtime/net/node_host.h"
#include "runtime/ops/config.h"
#include "runtime/ops/logging.h"
#include "runtime/ops/records.h"
#include "runtime/ops/service_manager.h"
#include "runtime/ops/signals.h"
#include "runtime/update/child_bundles.h"
#include "runtime/update/generations.h"
#include "runtime/update/trial.h"

namespace ddnn {
namespace {

constexpr char kHelp[] =
    R"(ddnn-device runs the first layers of a network beside a camera, sends class scores up, and
features only when the scores were not sure enough. Each answer is one line on stdout.

  ddnn-device --bundle out/bundle --view 0 --parent edge.local:7100 --source camera:0 --rate 10
  ddnn-device --bundle out/bundle --view 1 --parent edge.local:7100 --rate 10 --resize crop \
      --source rtsp://camera1.local/stream
  ddnn-device --bundle out/bundle --view 2 --parent localhost:7100 --samples 100 --json \
      --source six-cameras:fashion-mnist
  ddnn-device --view 0 --parent edge.local:7100 --source camera:0 --state /var/lib/ddnn
  ddnn-device --config /etc/ddnn/device.textproto --log_level debug

Without --bundle it asks the parent, waits for it if need be, and keeps what it gets in --state: the
next start needs no parent. A new bundle of the parent's is taken into use while frames go on.
With --spool DIR, samples that it was not sure about while its parent was away wait there, on disk,
until the parent is back and the cloud has stored them.

Sources: a dataset; images:DIR and video:FILE, from the first to the last; and live ones:
camera:N or camera:/dev/NAME (V4L2), rtsp:// and http:// URLs, watch:DIR (pictures newly put into a
folder), video:FILE?live=true (at its own speed, again and again). Pictures of a live source are
named by the clock, one in each period of 1 / rate, so all devices of a scene need the same --rate
and clocks that are right to a part of it (NTP). A camera that is not there, or goes, is tried
again; meanwhile its view is absent.

SIGTERM or Ctrl-C: no new frames; those under way are answered, then it ends. Twice: at once.
Ends with 0 when the source ended and all is answered, with 1 for an error, 2 for wrong flags.

Flags (defaults in parentheses):
)";

FindPlace PlaceOfView(int view) {
  return [view](const NetworkPlan& plan) -> absl::StatusOr<std::pair<int, int>> {
    if (view < plan.views()) return std::make_pair(0, view);
    return absl::OutOfRangeError(absl::StrCat("--view ", view, ": network \"", plan.spec().name(),
                                              "\" has views 0 to ", plan.views() - 1));
  };
}

// From --bundle; or from the parent, which `fetched` follows then. CANCELLED after a signal.
absl::StatusOr<SharedFiles> ObtainBundle(const v1::NodeConfig& config, SignalWatcher* signals,
                                         std::unique_ptr<ChildBundles>* fetched) {
  const FindPlace place = PlaceOfView(config.view());
  if (!config.bundle().empty()) return ReadBundleFiles(config.bundle(), place);
  absl::StatusOr<std::unique_ptr<ChildBundles>> opened =
      ChildBundles::Open(config.state(), config.parent(), place);
  if (!opened.ok()) return opened.status();
  *fetched = *std::move(opened);
  signals->Watch([bundles = fetched->get()](int) { bundles->Cancel(); });
  absl::StatusOr<SharedFiles> files = (*fetched)->First();
  signals->Unwatch();
  return files;
}

// One version of the device. What that answered alone goes into the spool under its bundle's name.
class VersionObserver : public PassingObserver {
 public:
  /// `forwarder` may be null.
  VersionObserver(NodeObserver* device, Forwarder* forwarder, std::string bundle)
      : PassingObserver(device), forwarder_(forwarder), bundle_(std::move(bundle)) {}
  void OnAlone(const KeepAlone& alone) override {
    if (forwarder_ != nullptr) forwarder_->OnAlone(bundle_, alone);
  }
  void OnKeptAck(const v1::KeptAck& ack) override {
    if (forwarder_ != nullptr) forwarder_->OnAck(ack);
  }
  void OnParent(bool up) override {
    if (forwarder_ != nullptr) forwarder_->OnParent(up);
    PassingObserver::OnParent(up);
  }

 private:
  Forwarder* const forwarder_;
  const std::string bundle_;
};

Generations::Options VersionOptions(const v1::NodeConfig& config, bool live, NodeObserver* device,
                                    Forwarder* forwarder) {
  Generations::Options options;
  options.factory = CreateLiteEngine;
  options.observer = [device, forwarder](const SharedFiles& files) {
    return std::make_unique<VersionObserver>(device, forwarder, files->bundle.sha256);
  };
  options.host = [&config, live](const SharedFiles& files) {
    absl::StatusOr<NodeHost::Options> host = HostOptions(config, files->bundle, 0, config.view());
    if (!host.ok()) return host;
    host->tell_clock = live;
    host->node.keep_alone = !config.spool().empty();
    host->wait_for_bundle = config.bundle().empty();
    return host;
  };
  return options;
}

void AppendReasons(const std::map<std::string, uint64_t>& reasons, std::string* text) {
  for (const auto& [reason, count] : reasons)
    absl::StrAppendFormat(text, " [%s: %d]", reason, count);
}

void AppendFrames(const FrameCounts& frames, std::string* text) {
  absl::StrAppendFormat(text, "\n%d pictures captured: %d offered, the rest dropped",
                        frames.captured, frames.named);
  AppendReasons(frames.dropped, text);
  absl::StrAppend(text, "; periods without one");
  AppendReasons(frames.absent, text);
  absl::StrAppendFormat(text, ", %d skipped; the camera went %d times", frames.skipped,
                        frames.losses);
}

v1::FrameStats ToProto(const FrameCounts& frames) {
  v1::FrameStats stats;
  stats.set_captured(static_cast<uint32_t>(frames.captured));
  stats.set_named(static_cast<uint32_t>(frames.named));
  stats.set_losses(static_cast<uint32_t>(frames.losses));
  stats.set_skipped(static_cast<uint32_t>(frames.skipped));
  stats.mutable_dropped()->insert(frames.dropped.begin(), frames.dropped.end());
  stats.mutable_absent()->insert(frames.absent.begin(), frames.absent.end());
  return stats;
}

void PrintSummary(const NetworkPlan& plan, const DeviceSummary& summary,
                  const v1::NodeStats& stats) {
  std::string text = absl::StrFormat("%d samples: %d answered", summary.samples, summary.answered);
  for (size_t exit = 0; exit < summary.by_exit.size(); ++exit) {
    absl::StrAppendFormat(&text, "%s%s %d", exit == 0 ? " (" : ", ", plan.exits()[exit].name,
                          summary.by_exit[exit]);
  }
  absl::StrAppendFormat(&text, "; %d degraded), %d shed, %d expired", summary.degraded,
                        summary.shed, summary.expired);
  AppendReasons(summary.reason, &text);
  absl::StrAppendFormat(&text, "; %d payload bytes; latency p50 %.1f ms, p99 %.1f ms",
                        summary.payload_bytes, absl::ToDoubleMilliseconds(summary.latency_p50),
                        absl::ToDoubleMilliseconds(summary.latency_p99));
  if (stats.has_frames()) AppendFrames(summary.frames, &text);
  if (stats.has_spool()) absl::StrAppend(&text, "\n", ToLine(stats.spool()));
  std::cerr << text << std::endl;
}

Device::Options DeviceOptions(const v1::NodeConfig& config, const NetworkPlan& plan,
                              ServiceManager* manager) {
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
  options.on_parent = [manager, parent = config.parent()](bool up) {
    manager->Say(absl::StrCat(up ? "connected to " : "waiting for ", parent));
  };
  return options;
}

absl::StatusOr<std::unique_ptr<FrameSource>> OpenSource(const v1::NodeConfig& config,
                                                        const NetworkPlan& plan) {
  const absl::StatusOr<Framing> framing = ParseFraming(config.roi(), config.resize());
  if (!framing.ok()) return framing.status();
  SourceOptions options;
  options.rate = config.rate();
  options.framing = *framing;
  options.say = [](const std::string& text) { spdlog::warn("{}", text); };
  return OpenFrameSource(config.source(), config.view(), plan.view_shape(), options);
}

// Null without --spool.
absl::StatusOr<std::unique_ptr<Forwarder>> OpenSpool(const v1::NodeConfig& config,
                                                     const NetworkPlan& plan) {
  if (config.spool().empty()) return std::unique_ptr<Forwarder>();
  Forwarder::Options options;
  options.directory = config.spool();
  options.max_bytes = config.spool_bytes();
  options.view = config.view();
  options.window.rate = config.spool_rate();
  return Forwarder::Open(plan, std::move(options));
}

absl::Status Run(const v1::NodeConfig& config) {
  SignalWatcher signals;
  absl::Status status =
      SetUpLogging(absl::StrCat("ddnn-device ", config.view()), config.log_level());
  if (!status.ok()) return status;
  absl::StatusOr<ServiceEnvironment> environment = ReadServiceEnvironment();
  if (!environment.ok()) return environment.status();
  ServiceManager manager(*environment);
  manager.Say(absl::StrCat("waiting for ", config.parent()));
  // Without a bundle it waits for its parent, however long that takes: nobody else should.
  if (config.bundle().empty()) manager.Ready([](std::function<void()> works) { works(); });
  std::unique_ptr<ChildBundles> fetched;
  absl::StatusOr<SharedFiles> files = ObtainBundle(config, &signals, &fetched);
  if (absl::IsCancelled(files.status())) return absl::OkStatus();
  if (!files.ok()) return files.status();
  const Bundle* const bundle = &(*files)->bundle;
  absl::StatusOr<std::unique_ptr<FrameSource>> source = OpenSource(config, bundle->plan);
  if (!source.ok()) return source.status();
  const bool live = (*source)->live();

  absl::StatusOr<std::unique_ptr<Forwarder>> spool = OpenSpool(config, bundle->plan);
  if (!spool.ok()) return spool.status();

  Device device(bundle->plan, DeviceOptions(config, bundle->plan, &manager));
  absl::StatusOr<std::unique_ptr<Generations>> host =
      Generations::Start(VersionOptions(config, live, &device, spool->get()), *files);
  if (!host.ok()) return host.status();
  if (fetched != nullptr) {
    fetched->Follow(host->get(), nullptr, absl::Milliseconds(config.update_limit_ms()),
                    [&device](const absl::Status& why) { device.OnRefused(why); });
  }
  signals.Watch([&](int) {
    manager.Stopping();
    device.Stop();
  });
  manager.Ready([&](std::function<void()> works) { (*host)->WhenWorking(std::move(works)); });
  if (*spool != nullptr) {
    (*spool)->SendTo({[&host] { return (*host)->preferred()->bundle.sha256; },
                      [&host](const std::string& version, v1::KeptSample kept) {
                        (*host)->SendKept(version, std::move(kept));
                      }});
  }
  status = device.Run(host->get(), source->get());
  manager.Stopping();
  if (fetched != nullptr) fetched->Stop();
  const SharedFiles last = (*host)->preferred();
  (*host)->Stop();
  const DeviceSummary summary = device.summary();
  v1::NodeStats stats = (*host)->Stats();
  stats.set_bundle_sha256(last->bundle.sha256_hex());
  if (live) *stats.mutable_frames() = ToProto(summary.frames);
  if (*spool != nullptr) {
    (*spool)->Stop();
    stats.mutable_spool()->MergeFrom((*spool)->stats());
  }
  if (!config.stats_file().empty()) status.Update(WriteStats(config.stats_file(), stats));
  PrintSummary(bundle->plan, summary, stats);
  signals.Unwatch();
  return status;
}

}  // namespace
}  // namespace ddnn

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (const auto tried = ddnn::TrialMain(args, ddnn::CreateLiteEngine)) return *tried;
  const auto line = ddnn::ParseCommandLine(ddnn::Role::kDevice, args);
  if (!line.ok()) {
    std::cerr << "ddnn-device: " << line.status().message() << std::endl;
    return 2;
  }
  if (line->help) {
    std::cout << ddnn::kHelp << ddnn::FlagsHelp(ddnn::Role::kDevice);
    return 0;
  }
  const absl::Status framing =
      ddnn::ParseFraming(line->config.roi(), line->config.resize()).status();
  if (!framing.ok()) {
    std::cerr << "ddnn-device: " << framing.message() << std::endl;
    return 2;
  }
  const absl::Status status = ddnn::Run(line->config);
  if (status.ok()) return 0;
  std::cerr << "ddnn-device: " << status.message() << std::endl;
  return 1;
}

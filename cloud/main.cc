// ddnn-cloud: the root of a tree. It runs the last section, answers always, keeps what it was
// unsure about, and answers ddnn-query.

#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cloud/hard_store.h"
#include "cloud/query_service.h"
#include "runtime/core/bundle.h"
#include "runtime/net/node_host.h"
#include "runtime/net/protocol.h"
#include "runtime/ops/config.h"
#include "runtime/ops/logging.h"
#include "runtime/ops/records.h"
#include "runtime/ops/service_manager.h"
#include "runtime/ops/signals.h"
#include "runtime/torch/torch_engine.h"
#include "runtime/update/bundle_service.h"
#include "runtime/update/generations.h"
#include "runtime/update/root_updater.h"
#include "runtime/update/trial.h"

namespace ddnn {
namespace {

constexpr char kUsage[] =
    R"(ddnn-cloud runs the last layers of a network for the edges and devices below, keeps the samples that even
it was unsure about, and answers ddnn-query.

usage: ddnn-cloud --bundle DIR --listen HOST:PORT [flags]

)";

constexpr char kExample[] = R"(
A bundle that takes the place of DIR (as ddnn-train and ddnn-calibrate put it there) is taken into use by the
whole tree while samples go on; one that a node refuses is withdrawn, and `ddnn-query status` and the log say why.
Prints "listening on HOST:PORT" on stdout once children may join; SIGTERM answers what is under way and ends.
Ends with 0 after a signal, with 1 for an error, 2 for wrong flags.

example
  ddnn-cloud --bundle out/bundle --listen 0.0.0.0:7200 --store hard.sqlite
)";

/// Takes the store's word to the devices, as long as there is a host; the store's thread may still
/// have something to say when there is none any more.
class KeptAnswers {
 public:
  void SendWith(Generations* host) {
    std::lock_guard<std::mutex> lock(mutex_);
    host_ = host;
  }
  void Send(const v1::KeptAck& ack) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (host_ != nullptr) host_->AckKept(ack);
  }

 private:
  std::mutex mutex_;
  Generations* host_ = nullptr;
};

/// What happens in one version of the root goes to watchers, the store and stdout.
class CloudObserver : public NodeObserver {
 public:
  CloudObserver(SharedFiles files, QueryService* service, std::shared_ptr<KeptAnswers> answers,
                bool json)
      : files_(std::move(files)),
        plan_(files_->bundle.plan),
        bundle_(files_->bundle.sha256_hex()),
        service_(service),
        answers_(std::move(answers)),
        json_(json) {}

  void OnAnswer(const Answer& answer) override {
    const v1::AnswerRecord record = ToRecord(plan_, answer);
    service_->Publish(record);
    if (json_) PrintLine(ToJson(record));
  }
  void OnHard(const KeepHard& hard) override {
    if (service_->Keep(hard.answer, hard.features, bundle_) || warned_) return;
    warned_ = true;
    spdlog::warn("the store does not keep up: hard samples are being dropped");
  }
  void OnPixels(const KeepPixels& pixels) override {
    service_->KeepPixels(pixels.sample, pixels.pixels);
  }
  void OnKept(const v1::KeptSample& kept) override {
    service_->KeepAlone(kept, bundle_,
                        [answers = answers_](const v1::KeptAck& ack) { answers->Send(ack); });
  }
  void OnTreeReady() override { spdlog::info("the whole tree is connected"); }

 private:
  const SharedFiles files_;
  const NetworkPlan& plan_;
  const std::string bundle_;
  QueryService* const service_;
  const std::shared_ptr<KeptAnswers> answers_;
  const bool json_;
  bool warned_ = false;  // events come one at a time
};

// The address children use: the host that was asked for with the port that was given.
std::string Address(const std::string& listen, int port) {
  return absl::StrCat(listen.substr(0, listen.rfind(':')), ":", port);
}

void WaitForSignal(SignalWatcher* signals) {
  std::mutex mutex;
  std::condition_variable changed;
  bool ended = false;
  signals->Watch([&](int signal) {
    std::lock_guard<std::mutex> lock(mutex);
    ended = true;
    changed.notify_all();
  });
  std::unique_lock<std::mutex> lock(mutex);
  changed.wait(lock, [&] { return ended; });
}

// Takes a store away again that was made for a start that then failed.
class NewStore {
 public:
  explicit NewStore(const std::string& path) {
    std::error_code error;
    if (!path.empty() && !std::filesystem::exists(path, error)) path_ = path;
  }
  ~NewStore() {
    if (path_.empty()) return;
    for (const char* suffix : {"", "-wal", "-shm"}) {
      std::error_code ignored;
      std::filesystem::remove(path_ + suffix, ignored);
    }
  }
  void Keep() { path_.clear(); }

 private:
  std::string path_;
};

absl::StatusOr<std::unique_ptr<HardStore>> OpenStore(const v1::NodeConfig& config) {
  if (config.store().empty()) {
    spdlog::info("hard samples are only counted; --store FILE keeps them");
    return std::unique_ptr<HardStore>();
  }
  HardStoreOptions options;
  options.path = config.store();
  options.max_bytes = config.store_bytes();
  auto store = HardStore::Open(std::move(options));
  if (store.ok()) {
    spdlog::info("{} holds {} hard samples", config.store(), (*store)->counters().database.samples);
  }
  return store;
}

void Report(const v1::NodeStats& stats, const QueryService& service, HardStore* store) {
  spdlog::info("{} samples: {} answered, {} shed, {} expired; {} were hard", stats.entered(),
               stats.answered(), stats.shed(), stats.expired(), service.hard_seen());
  if (stats.child_clock_size() > 1) {
    spdlog::info("the clocks of its children were {:.1f} ms apart", stats.clock_skew_ms());
  }
  if (store == nullptr) return;
  store->Flush();
  const HardStoreCounters counters = store->counters();
  spdlog::info("the store holds {} hard samples", counters.database.samples);
  if (counters.database.alone + counters.database.repeated > 0) {
    spdlog::info("{} of them came from devices that had kept them; {} came again and were known",
                 counters.database.alone, counters.database.repeated);
  }
  if (counters.dropped > 0) {
    spdlog::error("{} hard samples or pictures could not be stored: {}", counters.dropped,
                  store->write_error().ok() ? "the disk was too slow"
                                            : std::string(store->write_error().message()));
  }
}

Generations::Options VersionOptions(const v1::NodeConfig& config, QueryService* service,
                                    std::shared_ptr<KeptAnswers> answers, BundleService* bundles) {
  Generations::Options options;
  options.factory = CreateTorchEngine;
  options.observer = [&config, service, answers](const SharedFiles& files) {
    return std::make_unique<CloudObserver>(files, service, answers, config.json());
  };
  options.host = [&config](const SharedFiles& files) {
    return HostOptions(config, files->bundle, files->tier, files->node);
  };
  options.services = {service, bundles};
  return options;
}

v1::NodeStats StatsOf(const Generations& host, const RootUpdater& updater) {
  v1::NodeStats stats = host.Stats();
  stats.set_bundle_sha256(host.preferred()->bundle.sha256_hex());
  for (const std::string& refused : updater.refusals()) stats.add_refused_bundle(refused);
  return stats;
}

v1::StatusResponse StatusOf(const Generations& host, const RootUpdater& updater,
                            absl::Time started) {
  v1::StatusResponse now;
  now.set_started_us(absl::ToUnixMicros(started));
  const std::string preferred = host.preferred()->bundle.sha256;
  std::vector<Generations::Version> versions = host.versions();
  std::stable_partition(versions.begin(), versions.end(), [&](const Generations::Version& version) {
    return version.files->bundle.sha256 == preferred;
  });
  for (const Generations::Version& version : versions) {
    const NetworkPlan& plan = version.files->bundle.plan;
    const int tier = plan.root_tier();
    const std::vector<int>& children = plan.node(tier, 0).children;
    v1::RunningBundle* bundle = now.add_bundle();
    bundle->set_sha256(version.files->bundle.sha256_hex());
    bundle->set_under_way(static_cast<uint32_t>(version.under_way));
    for (size_t i = 0; i < children.size(); ++i) {
      *(version.children[i] ? bundle->add_connected() : bundle->add_missing()) =
          NodeName(plan, tier - 1, children[i]);
    }
  }
  *now.mutable_node() = StatsOf(host, updater);
  return now;
}

// From now on, what ddnn-query asks.
void AnswerQueriesBy(const v1::NodeConfig& config, const SharedFiles& files,
                     Generations* generations, QueryService* service) {
  absl::StatusOr<NodeHost::Options> options =
      HostOptions(config, files->bundle, files->tier, files->node);
  absl::Status status = options.status();
  if (status.ok()) {
    status = service->Use(files->bundle, CreateTorchEngine, options->node.thresholds);
  }
  // The bundle before must not run on: its executor ends with it.
  service->Attach(status.ok() ? generations->executor() : nullptr);
  if (!status.ok()) spdlog::error("ddnn-query cannot classify any more: {}", status.ToString());
}

std::unique_ptr<RootUpdater> Watch(const v1::NodeConfig& config, Generations* generations,
                                   QueryService* service, BundleService* bundles) {
  Updater::Options options;
  options.limit = absl::Milliseconds(config.update_limit_ms());
  options.try_bundle = [&config](const SharedFiles& files) {
    return TryInProcess(config.bundle(), files->tier, files->node);
  };
  options.on_preferred = [&config, generations, service](const SharedFiles& files) {
    AnswerQueriesBy(config, files, generations, service);
  };
  RootUpdater::RootOptions root;
  root.folder = config.bundle();
  auto updater = std::make_unique<RootUpdater>(options, root, generations, bundles);
  updater->Start();
  return updater;
}

absl::Status Serve(const v1::NodeConfig& config, SignalWatcher* signals) {
  absl::StatusOr<ServiceEnvironment> environment = ReadServiceEnvironment();
  if (!environment.ok()) return environment.status();
  SetTorchThreads(config.threads());
  const auto root = [](const NetworkPlan& plan) { return std::make_pair(plan.root_tier(), 0); };
  absl::StatusOr<SharedFiles> files = ReadBundleFiles(config.bundle(), root);
  if (!files.ok()) return files.status();
  const Bundle* const bundle = &(*files)->bundle;
  absl::StatusOr<NodeHost::Options> options =
      HostOptions(config, *bundle, bundle->plan.root_tier(), 0);
  if (!options.ok()) return options.status();
  NewStore new_store(config.store());
  absl::StatusOr<std::unique_ptr<HardStore>> store = OpenStore(config);
  if (!store.ok()) return store.status();

  QueryService::Options query;
  query.store = store->get();
  query.thresholds = options->node.thresholds;
  absl::StatusOr<std::unique_ptr<QueryService>> service =
      QueryService::Create(*bundle, CreateTorchEngine, query);
  if (!service.ok()) return service.status();
  BundleService bundles;
  const auto answers = std::make_shared<KeptAnswers>();
  absl::StatusOr<std::unique_ptr<Generations>> host =
      Generations::Start(VersionOptions(config, service->get(), answers, &bundles), *files);
  if (!host.ok()) return host.status();
  new_store.Keep();
  (*service)->Attach((*host)->executor());
  answers->SendWith(host->get());
  spdlog::info("{} ({}), bundle {}", bundle->plan.spec().name(), config.bundle(),
               bundle->sha256_hex().substr(0, 12));
  PrintLine(absl::StrCat("listening on ", Address(config.listen(), (*host)->port())));
  const auto updater = Watch(config, host->get(), service->get(), &bundles);
  (*service)->TellStatusBy(
      [&host, &updater, started = absl::Now()] { return StatusOf(**host, *updater, started); });
  ServiceManager manager(*environment);
  manager.Ready([&](std::function<void()> works) { (*host)->WhenWorking(std::move(works)); });

  WaitForSignal(signals);
  manager.Stopping();
  spdlog::info("draining");
  (*service)->TellStatusBy(nullptr);
  updater->Stop();
  (*host)->Drain(absl::Milliseconds(config.sample_deadline_ms()) + absl::Seconds(1));
  (*service)->Shutdown();
  bundles.Shutdown();
  (*service)->Attach(nullptr);
  const v1::NodeStats stats = StatsOf(**host, *updater);
  (*host)->Stop();
  answers->SendWith(nullptr);
  Report(stats, **service, store->get());
  return config.stats_file().empty() ? absl::OkStatus() : WriteStats(config.stats_file(), stats);
}

int Main(int argc, char** argv) {
  SignalWatcher signals;
  absl::StatusOr<CommandLine> line =
      ParseCommandLine(Role::kCloud, std::vector<std::string>(argv + 1, argv + argc));
  if (line.ok() && line->help) {
    std::cout << kUsage << "flags\n" << FlagsHelp(Role::kCloud) << kExample;
    return 0;
  }
  if (!line.ok()) {
    std::cerr << "ddnn-cloud: " << line.status().message() << "\n";
    return 2;
  }
  absl::Status status = SetUpLogging("ddnn-cloud", line->config.log_level());
  if (status.ok()) status = Serve(line->config, &signals);
  if (status.ok()) return 0;
  std::cerr << "ddnn-cloud: " << std::string(status.message()) << "\n";
  return 1;
}

}  // namespace
}  // namespace ddnn

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (const auto tried = ddnn::TrialMain(args, ddnn::CreateTorchEngine)) return *tried;
  return ddnn::Main(argc, argv);
}

// ddnn-cloud: the root of a tree. It runs the last section, answers always, keeps what it was
// unsure about, and answers ddnn-query.

#include <spdlog/spdlog.h>

#include <condition_variable>
#include <filesystem>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cloud/hard_store.h"
#include "cloud/query_service.h"
#include "runtime/core/bundle.h"
#include "runtime/net/node_host.h"
#include "runtime/ops/config.h"
#include "runtime/ops/logging.h"
#include "runtime/ops/records.h"
#include "runtime/ops/signals.h"
#include "runtime/torch/torch_engine.h"

namespace ddnn {
namespace {

constexpr char kUsage[] =
    R"(ddnn-cloud runs the last layers of a network for the edges and devices below, keeps the samples that even
it was unsure about, and answers ddnn-query.

usage: ddnn-cloud --bundle DIR --listen HOST:PORT [flags]

)";

constexpr char kExample[] = R"(
Prints "listening on HOST:PORT" on stdout once children may join; SIGTERM answers what is under way and ends.
Ends with 0 after a signal, with 1 for an error, 2 for wrong flags.

example
  ddnn-cloud --bundle out/bundle --listen 0.0.0.0:7200 --store hard.sqlite
)";

/// What happens at the root goes to watchers, the store and stdout.
class CloudObserver : public NodeObserver {
 public:
  CloudObserver(const NetworkPlan& plan, QueryService* service, bool json)
      : plan_(plan), service_(service), json_(json) {}

  void OnAnswer(const Answer& answer) override {
    const v1::AnswerRecord record = ToRecord(plan_, answer);
    service_->Publish(record);
    if (json_) PrintLine(ToJson(record));
  }
  void OnHard(const KeepHard& hard) override {
    if (service_->Keep(hard.answer, hard.features) || warned_) return;
    warned_ = true;
    spdlog::warn("the store does not keep up: hard samples are being dropped");
  }
  void OnPixels(const KeepPixels& pixels) override {
    service_->KeepPixels(pixels.sample, pixels.pixels);
  }
  void OnTreeReady() override { spdlog::info("the whole tree is connected"); }

 private:
  const NetworkPlan& plan_;
  QueryService* const service_;
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
  if (store == nullptr) return;
  store->Flush();
  const HardStoreCounters counters = store->counters();
  spdlog::info("the store holds {} hard samples", counters.database.samples);
  if (counters.dropped > 0) {
    spdlog::error("{} hard samples or pictures could not be stored: {}", counters.dropped,
                  store->write_error().ok() ? "the disk was too slow"
                                            : std::string(store->write_error().message()));
  }
}

absl::Status Serve(const v1::NodeConfig& config, SignalWatcher* signals) {
  SetTorchThreads(config.threads());
  absl::StatusOr<Bundle> bundle = LoadBundle(config.bundle());
  if (!bundle.ok()) return bundle.status();
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
  CloudObserver observer(bundle->plan, service->get(), config.json());
  absl::StatusOr<std::unique_ptr<NodeHost>> host =
      NodeHost::Start(*bundle, CreateTorchEngine, *options, &observer, {service->get()});
  if (!host.ok()) return host.status();
  new_store.Keep();
  (*service)->Attach((*host)->executor());
  spdlog::info("{} ({}), bundle {}", bundle->plan.spec().name(), config.bundle(),
               bundle->sha256_hex().substr(0, 12));
  PrintLine(absl::StrCat("listening on ", Address(config.listen(), (*host)->port())));

  WaitForSignal(signals);
  spdlog::info("draining");
  (*host)->Drain(absl::Milliseconds(config.sample_deadline_ms()) + absl::Seconds(1));
  (*service)->Shutdown();
  (*service)->Attach(nullptr);
  const v1::NodeStats stats = (*host)->Stats();
  (*host)->Stop();
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

int main(int argc, char** argv) { return ddnn::Main(argc, argv); }

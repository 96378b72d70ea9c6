// ddnn-local: a whole tree of device, edge and cloud processes on this machine, fed from a dataset
// and held against the same network run whole in this process.

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "datasets/network_data.h"
#include "runtime/core/bundle.h"
#include "runtime/core/files.h"
#include "runtime/node/whole_network.h"
#include "runtime/ops/program_flags.h"
#include "runtime/torch/torch_engine.h"
#include "tools/local/answer_book.h"
#include "tools/local/local_tree.h"
#include "tools/local/schedule.h"
#include "tools/local/summary.h"

ABSL_FLAG(std::string, topology, "", "tools/topologies/*.textproto: settings of each kind of node");
ABSL_FLAG(std::string, bundle, "", "folder that ddnn-train wrote");
ABSL_FLAG(std::string, data, "", "dataset whose test split is fed to the devices, see ddnn-train");
ABSL_FLAG(int64_t, samples, 0, "how many samples; 0: the whole test split");
ABSL_FLAG(std::string, json, "", "write a summary to this file");
ABSL_FLAG(std::string, log_dir, "",
          "keep each node's configuration, log and counters here, and all answers");
ABSL_FLAG(std::string, bin_dir, "",
          "where ddnn-device, -edge and -cloud are; else beside this one");
ABSL_FLAG(double, rate, 0, "samples per second; 0: as the topology says, or as fast as they go");
ABSL_FLAG(std::vector<std::string>, kill, {},
          "TIER=NODE@SAMPLES,...: kill -9 a node once so many samples have ended");
ABSL_FLAG(std::vector<std::string>, restart, {},
          "TIER=NODE@SAMPLES,...: start an edge or the cloud again that was killed before");
ABSL_FLAG(absl::Duration, stall, absl::Seconds(60), "give up when no sample ends for this long");

namespace ddnn {
namespace {

constexpr char kUsage[] = R"(runs every node of a network as a process of its own on this machine.

  ddnn-local --topology tools/topologies/six_cameras.textproto --bundle out/bundles/six_cameras \
    --data six-cameras:fashion-mnist --samples 2000 --json out/summary.json

The devices get the dataset's test split. Each answer is compared with what the network says when it
is run whole; one that differs is named and makes the exit status 1.)";

constexpr size_t kMaxTopologyBytes = 1 << 20;

volatile sig_atomic_t interrupted = 0;

void OnSignal(int) { interrupted = 1; }

void CatchSignals() {
  struct sigaction action {};
  action.sa_handler = OnSignal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGHUP, &action, nullptr);
}

// One line that is overwritten, on a terminal; nothing elsewhere.
class ProgressLine {
 public:
  ~ProgressLine() { Clear(); }
  void Show(const std::string& text) {
    const absl::Time now = absl::Now();
    if (!terminal_ || now - shown_ < absl::Milliseconds(100)) return;
    shown_ = now;
    std::cerr << "\r\033[K" << text << std::flush;
  }
  void Clear() {
    if (terminal_ && shown_ != absl::InfinitePast()) std::cerr << "\r\033[K" << std::flush;
    shown_ = absl::InfinitePast();
  }

 private:
  const bool terminal_ = isatty(STDERR_FILENO) != 0;
  absl::Time shown_ = absl::InfinitePast();
};

// The folder for logs: the one that was asked for, else one that goes when all went well.
class LogFolder {
 public:
  absl::Status Open(const std::string& wanted) {
    if (wanted.empty()) {
      std::string name = (std::filesystem::temp_directory_path() / "ddnn-local-XXXXXX").string();
      if (mkdtemp(name.data()) == nullptr) {
        return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", name));
      }
      path_ = name;
      temporary_ = true;
      return absl::OkStatus();
    }
    std::error_code error;
    std::filesystem::create_directories(wanted, error);
    if (error) {
      return absl::UnavailableError(absl::StrCat("cannot make ", wanted, ": ", error.message()));
    }
    path_ = wanted;
    return absl::OkStatus();
  }
  ~LogFolder() {
    std::error_code ignored;
    if (temporary_ && !keep_) std::filesystem::remove_all(path_, ignored);
  }
  void Keep() { keep_ = true; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  bool temporary_ = false;
  bool keep_ = false;
};

// A spec named in a topology: a path from here, or from a folder above the topology file.
std::string FindSpec(const std::string& spec, const std::filesystem::path& topology) {
  std::error_code ignored;
  if (std::filesystem::exists(spec, ignored)) return spec;
  std::filesystem::path folder = std::filesystem::absolute(topology).parent_path();
  while (true) {
    const std::filesystem::path candidate = folder / spec;
    if (std::filesystem::exists(candidate, ignored)) return candidate.string();
    if (folder == folder.parent_path()) return "";
    folder = folder.parent_path();
  }
}

absl::StatusOr<v1::Topology> LoadTopology(const std::string& path, const std::string& network) {
  v1::Topology topology;
  if (path.empty()) return topology;
  auto text = ReadFile(path, kMaxTopologyBytes);
  if (!text.ok()) return text.status();
  if (!google::protobuf::TextFormat::ParseFromString(*text, &topology)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is not a text-format ddnn.v1.Topology message"));
  }
  const std::string spec = topology.network().empty() ? "" : FindSpec(topology.network(), path);
  if (spec.empty()) return topology;
  auto plan = LoadNetwork(spec);
  if (!plan.ok()) return plan.status();
  if (plan->spec().name() != network) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is for the network '",
                                                   plan->spec().name(), "' (", spec,
                                                   "), the bundle holds '", network, "'"));
  }
  return topology;
}

// How many samples were asked for, of those there are.
absl::StatusOr<int64_t> CountSamples(const Dataset& dataset, int64_t samples) {
  const int64_t size = dataset.size(Split::kTest);
  if (samples < 0 || samples > size || size == 0) {
    return absl::OutOfRangeError(absl::StrCat("--samples=", samples, ", but the test split of ",
                                              dataset.info().spec, " has ", size));
  }
  return samples == 0 ? size : samples;
}

struct Inputs {
  Bundle bundle;
  std::unique_ptr<Dataset> dataset;
  std::vector<ExitThreshold> thresholds;
  LocalTreeOptions tree;
};

std::string DefaultBinDir() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

absl::StatusOr<Inputs> ReadInputs() {
  for (const auto& [name, value] : {std::make_pair("--bundle", absl::GetFlag(FLAGS_bundle)),
                                    std::make_pair("--data", absl::GetFlag(FLAGS_data))}) {
    if (value.empty()) return absl::InvalidArgumentError(absl::StrCat(name, " is missing"));
  }
  Inputs inputs;
  auto bundle = LoadBundle(absl::GetFlag(FLAGS_bundle));
  if (!bundle.ok()) return bundle.status();
  inputs.bundle = *std::move(bundle);
  const NetworkPlan& plan = inputs.bundle.plan;
  auto topology = LoadTopology(absl::GetFlag(FLAGS_topology), plan.spec().name());
  if (!topology.ok()) return topology.status();
  auto dataset = OpenDatasetFor(plan, absl::GetFlag(FLAGS_data));
  if (!dataset.ok()) return dataset.status();
  inputs.dataset = *std::move(dataset);
  auto samples = CountSamples(*inputs.dataset, absl::GetFlag(FLAGS_samples));
  if (!samples.ok()) return samples.status();
  auto events = ParseEvents(plan, absl::GetFlag(FLAGS_kill), absl::GetFlag(FLAGS_restart));
  if (!events.ok()) return events.status();

  inputs.thresholds = EffectiveThresholds(inputs.bundle, *topology);
  inputs.tree.topology = *std::move(topology);
  inputs.tree.bundle = std::filesystem::absolute(absl::GetFlag(FLAGS_bundle)).string();
  inputs.tree.source = inputs.dataset->info().spec;
  inputs.tree.samples = *samples;
  inputs.tree.rate = absl::GetFlag(FLAGS_rate);
  inputs.tree.bin_dir = absl::GetFlag(FLAGS_bin_dir);
  if (inputs.tree.bin_dir.empty()) inputs.tree.bin_dir = DefaultBinDir();
  inputs.tree.events = *std::move(events);
  inputs.tree.stall_timeout = absl::GetFlag(FLAGS_stall);
  inputs.tree.interrupted = [] { return interrupted != 0; };
  return inputs;
}

// Runs the tree to its end, whatever happens on the way.
absl::Status RunTree(const Inputs& inputs, const LocalTreeOptions& options, AnswerBook* book,
                     std::vector<v1::NodeStats>* stats) {
  LocalTree tree(inputs.bundle.plan, options);
  ProgressLine progress;
  progress.Show("starting the nodes");
  absl::Status status = tree.Start();
  if (status.ok()) {
    const auto sink = [&](int view, const v1::AnswerRecord& record) {
      absl::Status added = book->Add(view, record, absl::Now());
      const double seconds = absl::ToDoubleSeconds(book->time_span());
      progress.Show(
          absl::StrFormat("%d of %d samples, %.0f a second", book->samples(), options.samples,
                          seconds > 0 ? static_cast<double>(book->samples()) / seconds : 0.0));
      return added;
    };
    status = tree.Run(sink, [book] { return book->samples(); });
  }
  const absl::Status stopped = tree.Stop();
  status.Update(stopped);
  *stats = tree.Stats();
  return status;
}

absl::StatusOr<Comparison> Compare(const Inputs& inputs, const AnswerBook& book) {
  auto whole = WholeNetwork::Create(inputs.bundle, &CreateTorchEngine);
  if (!whole.ok()) return whole.status();
  ProgressLine progress;
  return CompareWithWhole(
      book, *inputs.dataset, inputs.thresholds, whole->get(), [&](int64_t done) {
        progress.Show(absl::StrFormat("comparing with the whole network: %d of %d samples", done,
                                      book.samples()));
        return interrupted == 0;
      });
}

std::string ToJson(const google::protobuf::Message& message, bool pretty) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = pretty;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  // Cannot fail: the messages hold no Any and no timestamps.
  (void)google::protobuf::util::MessageToJsonString(message, &json, options);
  return json;
}

absl::Status WriteJson(const std::string& path, const v1::RunSummary& summary) {
  if (absl::Status made = MakeFolders(ParentFolder(path)); !made.ok()) return made;
  return WriteFileAtomically(path, ToJson(summary, true));
}

// One line for each sample, as the book has it.
absl::Status WriteAnswers(const std::string& path, const AnswerBook& book) {
  std::string lines;
  for (const auto& [sequence, entry] : book.entries()) {
    absl::StrAppend(&lines, ToJson(entry.answer, false), "\n");
  }
  return WriteFileAtomically(path, lines);
}

// What must not happen in any run, in words; empty if all is well.
std::string Faults(const v1::RunSummary& summary, const Comparison& comparison) {
  std::string faults;
  for (const std::string& mismatch : comparison.first_mismatches) {
    absl::StrAppend(&faults, "mismatch: ", mismatch, "\n");
  }
  if (summary.disagreements() > 0) {
    absl::StrAppend(&faults, "devices were told different answers for ", summary.disagreements(),
                    " samples\n");
  }
  return faults;
}

absl::Status RunAll(const Inputs& inputs, LocalTreeOptions options) {
  AnswerBook book;
  std::vector<v1::NodeStats> stats;
  absl::Status status = RunTree(inputs, options, &book, &stats);
  if (!status.ok()) return status;
  status = WriteAnswers(absl::StrCat(options.log_dir, "/answers.jsonl"), book);
  if (!status.ok()) return status;
  auto summary = Summarize(inputs.bundle, *inputs.dataset, inputs.thresholds, book, stats);
  if (!summary.ok()) return summary.status();
  auto comparison = Compare(inputs, book);
  if (!comparison.ok()) return comparison.status();
  summary->set_parity_compared(static_cast<uint32_t>(comparison->compared));
  summary->set_parity_mismatches(static_cast<uint32_t>(comparison->mismatches));
  for (double accuracy : comparison->single_view_accuracy) {
    summary->add_single_view_accuracy(accuracy);
  }
  PrintSummary(inputs.bundle.plan, *summary, std::cout);
  if (const std::string json = absl::GetFlag(FLAGS_json); !json.empty()) {
    status = WriteJson(json, *summary);
    if (!status.ok()) return status;
    std::cout << "\nwritten to " << json << "\n";
  }
  const std::string faults = Faults(*summary, *comparison);
  return faults.empty() ? absl::OkStatus() : absl::DataLossError(faults);
}

int Main() {
  CatchSignals();
  auto inputs = ReadInputs();
  if (!inputs.ok()) {
    std::cerr << "ddnn-local: " << inputs.status().message() << "\n";
    return 2;
  }
  LogFolder folder;
  absl::Status status = folder.Open(absl::GetFlag(FLAGS_log_dir));
  if (status.ok()) {
    inputs->tree.log_dir = folder.path();
    status = RunAll(*inputs, inputs->tree);
  }
  if (status.ok()) return 0;
  if (absl::IsCancelled(status)) {
    std::cerr << "ddnn-local: interrupted; every node has ended\n";
    return 130;
  }
  folder.Keep();
  std::cerr << "ddnn-local: " << status.message() << "\nlogs are in " << folder.path() << "\n";
  return 1;
}

}  // namespace
}  // namespace ddnn

int main(int argc, char** argv) {
  const absl::Status flags = ddnn::ReadFlags(argc, argv, ddnn::kUsage);
  if (flags.ok()) return ddnn::Main();
  std::cerr << "ddnn-local: " << flags.message() << "\n";
  return 2;
}

// ddnn-train: trains a network on a dataset and writes the bundle that every daemon loads.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "datasets/network_data.h"
#include "runtime/core/bundle.h"
#include "runtime/torch/torch_engine.h"
#include "train/checkpoint.h"
#include "train/evaluate.h"
#include "train/interrupt.h"
#include "train/process_group.h"
#include "train/run_program.h"
#include "train/train_bundle.h"
#include "train/training_log.h"
#include "train/tune_process.h"

ABSL_FLAG(std::string, network, "", "the network, models/*.textproto");
ABSL_FLAG(std::string, data, "", "the dataset, such as six-cameras:fashion-mnist");
ABSL_FLAG(std::string, out, "", "where the bundle goes; a bundle that is there is replaced");
ABSL_FLAG(int32_t, epochs, 0, "how often to go through the data; 0: as the network says");
ABSL_FLAG(int32_t, batch, 0, "samples per step, of all ranks together; 0: as the network says");
ABSL_FLAG(double, learning_rate, 0, "of Adam at its highest; 0: as the network says");
ABSL_FLAG(int64_t, samples, 0, "train on at most this many per epoch; 0: as the network says");
ABSL_FLAG(uint64_t, seed, 1, "first weights and order; same seed and threads, same bundle");
ABSL_FLAG(int32_t, threads, 0,
          "of each rank; 0: the processors it may use, of which ranks of one machine "
          "get equal shares by LOCAL_WORLD_SIZE, 16 at most");
ABSL_FLAG(std::string, precision, "",
          "of float convolutions in training, float32 or bfloat16; empty: as the network says");
ABSL_FLAG(std::string, init, "", "a bundle to start from, instead of random weights");
ABSL_FLAG(bool, resume, false, "go on from the checkpoint OUT.checkpoint");
ABSL_FLAG(bool, restart, false, "delete the checkpoint that is there and start again");
ABSL_FLAG(std::string, device, "cpu", "cpu or cuda");
ABSL_FLAG(std::string, logdir, "", "also write scalars there for TensorBoard");

namespace ddnn::train {
namespace {

constexpr char kUsage[] =
    R"(trains a network with all its exits on a dataset and writes a bundle.

  ddnn-train --network models/six_cameras.textproto --data six-cameras:fashion-mnist --out out/six
  ddnn-train --network models/mnist_grid.textproto --data grid:mnist --out out/grid --epochs 3
  ddnn-train --network my.textproto --data folder:pictures --out out/mine --seed 7 --threads 4

Datasets: fashion-mnist, mnist, six-cameras:BASE, grid:BASE, cifar10:DIR (the original binary files),
mvmc:TRAIN.npz[,TEST.npz], folder:DIR (DIR/train/<class>/<sample>.jpg, or <sample>/<view>.jpg for
several views; likewise test and calibration, which are split off train where they are missing).
A folder's pictures may have any size; they are resized to the network's input. Views and classes of
the network may be missing in it.
The epoch that is best on the calibration split is kept, the exits' thresholds are chosen there, and
the bundle's report.json holds what the test split says. Open its report.html in a browser to see
whether to deploy it.

How it trains is in the network's training { ... }: schedule of the learning rate, weight decay,
patience (early stopping), class weights, augmentation. docs/training.md shows it.

--init BUNDLE fine-tunes: its input, tree and layers must be those of --network. The first step goes
on from what the bundle computes; the optimiser begins anew. Where no epoch is better than the start,
its sections are kept.

  ddnn-train --network mine.textproto --data folder:pictures --init out/six --out out/mine

After every epoch the whole state of the training is in OUT.checkpoint, until the bundle is written.
Ctrl-C and SIGTERM finish the step, write it, and exit with 130; a second one ends at once. The same
command with --resume goes on, also after a power cut, to the same bundle bit for bit as without the
pause. It must be the same network, data, options and number of threads; --restart starts again.

To watch loss, accuracy and exits in TensorBoard, every tenth step and after each epoch:

  ddnn-train ... --logdir logs/six &  tensorboard --logdir logs

Several processes, on one machine or many, train one network when MASTER_ADDR, MASTER_PORT, RANK and
WORLD_SIZE are in the environment, as torchrun and Slurm wrappers set them. --batch is then of all
of them together, and each takes its part; rank 0 writes everything. docs/training.md has examples.

  torchrun --no_python --nproc_per_node 4 ddnn-train ... --threads 2)";

absl::Status Required(const std::string& name, const std::string& value) {
  if (!value.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--", name, " is missing; see --help"));
}

// The network with what the flags say of it, as it goes into the bundle.
absl::StatusOr<NetworkPlan> NetworkAsAsked() {
  absl::StatusOr<NetworkPlan> plan = LoadNetwork(absl::GetFlag(FLAGS_network));
  const std::string precision = absl::GetFlag(FLAGS_precision);
  if (!plan.ok() || precision.empty()) return plan;
  if (precision != "float32" && precision != "bfloat16") {
    return absl::InvalidArgumentError(
        absl::StrCat("--precision=", precision, ": float32 or bfloat16"));
  }
  v1::NetworkSpec spec = plan->spec();
  spec.mutable_training()->set_precision(precision == "float32" ? v1::FLOAT32 : v1::BFLOAT16);
  return NetworkPlan::Create(spec);
}

absl::StatusOr<TrainOptions> Options(const NetworkPlan& plan, int processes) {
  TrainOptions options = DefaultOptions(plan);
  const auto up_to = [](const char* name, int64_t value, int64_t most) {
    if (value >= 0 && value <= most) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("--", name, "=", value, ": expected 0 to ", most));
  };
  // As a network's training may have them.
  absl::Status status = up_to("epochs", absl::GetFlag(FLAGS_epochs), 1000000);
  status.Update(up_to("batch", absl::GetFlag(FLAGS_batch), 65536));
  status.Update(up_to("samples", absl::GetFlag(FLAGS_samples), 2147483647));
  status.Update(CheckThreads(absl::GetFlag(FLAGS_threads)));
  const double rate = absl::GetFlag(FLAGS_learning_rate);
  if (!(rate >= 0 && rate <= 10)) {
    status.Update(
        absl::InvalidArgumentError(absl::StrCat("--learning_rate=", rate, ": between 0 and 10")));
  }
  const std::string device = absl::GetFlag(FLAGS_device);
  if (device != "cpu" && device != "cuda") {
    status.Update(absl::InvalidArgumentError(absl::StrCat("--device=", device, ": cpu or cuda")));
  }
  if (absl::GetFlag(FLAGS_resume) && absl::GetFlag(FLAGS_restart)) {
    status.Update(absl::InvalidArgumentError("--resume and --restart: one of them"));
  }
  if (!status.ok()) return status;
  if (absl::GetFlag(FLAGS_epochs) > 0) options.epochs = absl::GetFlag(FLAGS_epochs);
  if (absl::GetFlag(FLAGS_batch) > 0) options.batch = absl::GetFlag(FLAGS_batch);
  if (rate > 0) options.learning_rate = static_cast<float>(rate);
  if (absl::GetFlag(FLAGS_samples) > 0) options.samples_per_epoch = absl::GetFlag(FLAGS_samples);
  options.seed = absl::GetFlag(FLAGS_seed);
  options.threads = absl::GetFlag(FLAGS_threads);
  if (options.threads == 0) {
    // Ranks of one machine that were bound to processors of their own share none of them.
    const long share = std::max(sysconf(_SC_NPROCESSORS_ONLN) / processes, 1L);
    options.threads = static_cast<int>(std::min({share, long{AllowedProcessors()}, 16L}));
  }
  options.resume = absl::GetFlag(FLAGS_resume);
  options.restart = absl::GetFlag(FLAGS_restart);
  options.cuda = device == "cuda";
  if (options.cuda && !CudaAvailable()) {
    return absl::FailedPreconditionError(
        "--device=cuda: this LibTorch has no CUDA, or there is no GPU; use --device=cpu");
  }
  return options;
}

// Better now than after minutes of training. Folders are made when there is a bundle to put there.
absl::Status CheckWritable(const std::string& out) {
  std::error_code error;
  std::filesystem::path parent = std::filesystem::absolute(out, error).parent_path();
  while (!std::filesystem::exists(parent, error) && parent != parent.parent_path()) {
    parent = parent.parent_path();
  }
  if (!std::filesystem::is_directory(parent, error) || access(parent.c_str(), W_OK) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("--out=", out, ": cannot write to ", parent.string()));
  }
  return CheckReplaceable(out);
}

// Null without --logdir.
absl::StatusOr<std::unique_ptr<TrainingLog>> OpenLog() {
  const std::string folder = absl::GetFlag(FLAGS_logdir);
  if (folder.empty()) return nullptr;
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') std::strcpy(host, "localhost");
  absl::StatusOr<std::unique_ptr<EventFile>> events =
      EventFile::Create(folder, host, getpid(), absl::Now());
  if (!events.ok()) {
    return absl::Status(events.status().code(),
                        absl::StrCat("--logdir: ", events.status().message()));
  }
  return std::make_unique<TrainingLog>(*std::move(events));
}

int TellInterrupted(const std::string& out) {
  std::error_code ignored;
  const std::string checkpoint = CheckpointPath(out);
  absl::FPrintF(stderr, "\nddnn-train: interrupted; %s\n",
                std::filesystem::exists(checkpoint, ignored)
                    ? absl::StrCat("what was done is in ", checkpoint,
                                   ": the same command with --resume goes on from there")
                    : "no step was done, nothing was written");
  return 130;
}

// What only the rank does that writes: opens the log, tells how it goes and how it ended.
absl::StatusOr<int> TrainAndTell(const NetworkPlan& plan, const Dataset& dataset,
                                 const std::string& out, const TrainOptions& options) {
  const std::string ranks =
      options.group == nullptr ? "" : absl::StrCat(options.group->size(), " ranks, each ");
  absl::PrintF("%s on %s: %d epochs, batches of %d, %s%d %s; reading samples\n", plan.spec().name(),
               dataset.info().spec, options.epochs, options.batch, ranks, options.threads,
               options.threads == 1 ? "thread" : "threads");
  std::fflush(stdout);
  if (plan.spec().training().precision() == v1::BFLOAT16 && absl::GetFlag(FLAGS_device) == "cpu" &&
      !ProcessorHasBfloat16()) {
    absl::FPrintF(stderr,
                  "ddnn-train: this processor has no bfloat16 instructions: --precision float32 "
                  "would be faster\n");
  }
  absl::StatusOr<std::unique_ptr<TrainingLog>> log = OpenLog();
  if (!log.ok()) return log.status();
  Progress progress(stdout, isatty(STDOUT_FILENO), log->get());
  absl::StatusOr<BundleResult> result =
      TrainBundle(plan, dataset, out, options, CreateTorchEngine, &progress);
  if (*log != nullptr) (*log)->Flush();
  if (*log != nullptr && !(*log)->status().ok()) {
    absl::FPrintF(stderr, "ddnn-train: --logdir is not complete: %s\n", (*log)->status().message());
  }
  if (absl::IsCancelled(result.status())) return TellInterrupted(out);
  if (!result.ok()) return result.status();
  if (result->trained.epochs < options.epochs) {
    absl::PrintF("ended early: no better for %d epochs (training.patience)\n",
                 plan.spec().training().patience());
  }
  const int best = result->trained.best_epoch;
  absl::PrintF("\n%s\nreading samples took %.1f s before the first step\n",
               ToText(plan, result->summary), absl::ToDoubleSeconds(result->reading));
  absl::PrintF("%s of %d is in %s; %s/report.html says whether to deploy it\n",
               best > 0 ? absl::StrCat("epoch ", best) : "--init, better than every epoch",
               result->trained.epochs, out, out);
  return 0;
}

absl::StatusOr<int> Train(const RankEnvironment& environment, ProcessGroup* group) {
  absl::StatusOr<NetworkPlan> plan = NetworkAsAsked();
  if (!plan.ok()) return plan.status();
  absl::StatusOr<TrainOptions> options = Options(*plan, environment.local_size);
  if (!options.ok()) return options.status();
  options->group = group;
  options->stop = &g_interrupted;
  std::string out = absl::GetFlag(FLAGS_out);
  while (out.size() > 1 && out.back() == '/') out.pop_back();
  const bool writes = environment.rank == 0;
  if (absl::Status status = writes ? CheckWritable(out) : absl::OkStatus(); !status.ok()) {
    return status;
  }
  absl::StatusOr<std::unique_ptr<Dataset>> dataset =
      OpenDatasetFor(*plan, absl::GetFlag(FLAGS_data));
  if (!dataset.ok()) return dataset.status();

  absl::StatusOr<Bundle> init = Bundle{};
  if (const std::string path = absl::GetFlag(FLAGS_init); !path.empty()) {
    init = LoadBundle(path);
    if (!init.ok()) return init.status();
    options->init = &*init;
  }
  if (writes) return TrainAndTell(*plan, **dataset, out, *options);
  Progress silent(nullptr, false);
  absl::StatusOr<BundleResult> result =
      TrainBundle(*plan, **dataset, out, *options, CreateTorchEngine, &silent);
  if (absl::IsCancelled(result.status())) return 130;
  if (!result.ok()) return result.status();
  return 0;
}

absl::StatusOr<int> TrainTogether(const RankEnvironment& environment) {
  absl::StatusOr<std::unique_ptr<ProcessGroup>> group =
      ProcessGroup::Join(environment, &g_interrupted, absl::GetFlag(FLAGS_device) == "cuda");
  if (!group.ok()) return group.status();
  absl::StatusOr<int> code = 0;
  // Whatever ends this rank, the others are told.
  try {
    code = Train(environment, group->get());
  } catch (const std::exception& error) {
    code = absl::InternalError(error.what());
  }
  (*group)->Leave(!code.ok()     ? code.status()
                  : *code == 130 ? absl::CancelledError("interrupted")
                                 : absl::OkStatus());
  return code;
}

absl::StatusOr<int> Main() {
  absl::Status status = Required("network", absl::GetFlag(FLAGS_network));
  status.Update(Required("data", absl::GetFlag(FLAGS_data)));
  status.Update(Required("out", absl::GetFlag(FLAGS_out)));
  if (!status.ok()) return status;
  const absl::StatusOr<RankEnvironment> environment =
      ReadRankEnvironment([](const char* name) { return std::getenv(name); });
  if (!environment.ok()) return environment.status();
  CatchInterrupts();
  if (environment->world_size == 1) return Train(*environment, nullptr);
  const absl::StatusOr<int> code = TrainTogether(*environment);
  if (code.ok() || environment->rank == 0) return code;
  return absl::Status(code.status().code(),
                      absl::StrCat("rank ", environment->rank, ": ", code.status().message()));
}

}  // namespace
}  // namespace ddnn::train

int main(int argc, char** argv) {
  return ddnn::train::RunProgram(argc, argv, "ddnn-train", ddnn::train::kUsage, &ddnn::train::Main);
}

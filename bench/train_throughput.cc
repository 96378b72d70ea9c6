// How many samples a second a network trains on: the step of ddnn-train itself, with random views.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <exception>
#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "models/network_plan.h"
#include "train/epoch_record.h"
#include "train/learner.h"
#include "train/tune_process.h"

ABSL_FLAG(std::string, network, "models/ddnn_mvmc.textproto", "the network");
ABSL_FLAG(int32_t, batch, 64, "samples per step");
ABSL_FLAG(int32_t, steps, 60, "steps that are timed, after five that are not");
ABSL_FLAG(int32_t, threads, 2, "of LibTorch");
ABSL_FLAG(double, present, 1, "chance of each view to be there");

namespace ddnn::train {
namespace {

double Wall() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

// Of all threads of this process.
double Cpu() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

int Main() {
  const absl::StatusOr<NetworkPlan> plan = LoadNetwork(absl::GetFlag(FLAGS_network));
  if (!plan.ok()) {
    std::fprintf(stderr, "%s\n", plan.status().ToString().c_str());
    return 2;
  }
  const int64_t batch = std::max(absl::GetFlag(FLAGS_batch), 1);
  const int steps = std::max(absl::GetFlag(FLAGS_steps), 1);
  const int threads = std::max(absl::GetFlag(FLAGS_threads), 1);
  at::set_num_threads(threads);
  at::manual_seed(1);
  const Shape shape = plan->view_shape();
  const at::Tensor pixels = at::randint(
      0, 256, {batch, plan->views(), shape.channels, shape.height, shape.width}, at::kByte);
  at::Tensor presence = at::rand({batch, plan->views()}) < absl::GetFlag(FLAGS_present);
  presence.select(1, 0).fill_(true);
  const at::Tensor labels = at::randint(0, plan->classes(), {batch}, at::kLong);
  const at::Tensor view_labels = at::where(presence, labels.unsqueeze(1), plan->classes());

  Learner learner(*plan, at::kCPU);
  v1::EpochRecord record = NewEpochRecord(*plan, 1);
  double wall = 0, cpu = 0;
  for (int i = -5; i < steps; ++i) {
    if (i == 0) wall = Wall(), cpu = Cpu();
    const double loss = learner.Step({pixels, presence, labels, view_labels}, 1e-3, &record);
    if (!std::isfinite(loss)) {
      std::fprintf(stderr, "the loss is %f in step %d\n", loss, i);
      return 1;
    }
  }
  wall = Wall() - wall;
  cpu = Cpu() - cpu;
  const double samples = static_cast<double>(batch) * steps;
  std::printf("%s threads %d batch %d: %.0f samples/s, %.3f ms of processor a sample\n",
              plan->spec().name().c_str(), threads, static_cast<int>(batch), samples / wall,
              cpu / samples * 1e3);
  return 0;
}

}  // namespace
}  // namespace ddnn::train

int main(int argc, char** argv) {
  ddnn::train::TuneProcess(argv);
  absl::ParseCommandLine(argc, argv);
  try {
    return ddnn::train::Main();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train_throughput: %s\n", error.what());
    return 1;
  }
}

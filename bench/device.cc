// How fast a device's section runs, batch 1, one thread: this runtime against LibTorch, and its
// kernels against what the machine can do. All in one process, repetitions in turns; ratios of
// medians at the end. --benchmark_format=json or --benchmark_out=FILE for programs.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "models/network_plan.h"
#include "runtime/lite/aligned.h"
#include "runtime/lite/binary_block.h"
#include "runtime/lite/bit_kernels.h"
#include "runtime/lite/lite_engine.h"
#include "runtime/lite/winograd.h"
#include "runtime/lite/xnnpack_ops.h"
#include "runtime/torch/torch_engine.h"
#include "tests/engine/section_values.h"

namespace ddnn {
namespace {

// Weights and pictures are random: nothing here takes longer for some values than for others.
constexpr unsigned kSeed = 1;
constexpr int kChannels = 64, kSize = 32, kKernel = 3;

NetworkPlan PlanOf(const std::string& network) {
  const char* source = std::getenv("DDNN_SOURCE_DIR");
  const std::string path =
      std::string(source == nullptr ? "." : source) + "/models/" + network + ".textproto";
  absl::StatusOr<NetworkPlan> plan = LoadNetwork(path);
  if (!plan.ok()) {
    std::fprintf(stderr, "device: %s\n", std::string(plan.status().message()).c_str());
    std::exit(1);
  }
  return *std::move(plan);
}

void Section(benchmark::State& state, const std::string& network, EngineFactory make) {
  const NetworkPlan plan = PlanOf(network);
  std::mt19937 rng(kSeed);
  const v1::Section section = testing::RandomSection(plan, 0, 0, testing::Weights::kReal, &rng);
  auto engine = make(plan, section);
  const std::vector<SectionInput> sample = testing::RandomBatch(plan.node(0, 0), 1, &rng);
  for (auto _ : state) {
    auto out = (*engine)->Run(sample);
    benchmark::DoNotOptimize(out);
  }
}

// 64 binary filters of 3x3 over 64 channels, 32x32, with the threshold: bits in, bits out.
void BinaryConv(benchmark::State& state) {
  std::mt19937 rng(kSeed);
  v1::SectionConv conv;
  conv.set_filters(kChannels);
  conv.set_kernel(kKernel);
  conv.set_padding(1);
  for (int i = 0; i < kChannels * kChannels * kKernel * kKernel / 8; ++i) {
    conv.mutable_weights()->push_back(static_cast<char>(rng()));
  }
  v1::Threshold threshold;
  for (int f = 0; f < kChannels; ++f) threshold.add_at(0);
  const Shape shape{kChannels, kSize, kSize};
  const lite::BinaryBlock block = {&conv, nullptr, &threshold, shape, shape};
  const std::unique_ptr<lite::Op> op = lite::MakeBitBlock(block, shape);
  lite::Values in = lite::MakeValues(shape, lite::Form::kPixelBits), out = in;
  for (uint64_t& word : in.bits) word = uint64_t{rng()} << 32 | rng();
  for (auto _ : state) {
    benchmark::DoNotOptimize(op->Run(in, &out));
    benchmark::ClobberMemory();
  }
  const double bits = double{kChannels} * kChannels * kKernel * kKernel * kSize * kSize;
  state.counters["bits/s"] =
      benchmark::Counter(bits, benchmark::Counter::kIsIterationInvariantRate);
}

// What popcount can do at most: over 8 KiB, which stay in the first cache.
void CountedBits(benchmark::State& state) {
  std::mt19937_64 rng(kSeed);
  lite::AlignedVector<uint64_t> words(1024);
  for (uint64_t& word : words) word = rng();
  for (auto _ : state) {
    benchmark::DoNotOptimize(words.data());
    benchmark::DoNotOptimize(lite::CountOnes(words.data(), words.size()));
  }
  state.counters["bits/s"] =
      benchmark::Counter(64.0 * words.size(), benchmark::Counter::kIsIterationInvariantRate);
}

// By how much Winograd's convolution is faster than XNNPACK's, from where it begins to be used.
struct FloatShape {
  int channels, filters, size;

  std::string Name() const {
    const std::string side = std::to_string(size);
    return std::to_string(channels) + "-" + std::to_string(filters) + "/" + side + "x" + side;
  }
};
constexpr FloatShape kFloatShapes[] = {{16, 24, 3},  {16, 24, 7},  {64, 64, 7},  {128, 128, 8},
                                       {24, 64, 16}, {64, 64, 16}, {16, 24, 32}, {24, 24, 32}};

void FloatConv(benchmark::State& state, const FloatShape& size, bool winograd) {
  std::mt19937 rng(kSeed);
  std::normal_distribution<float> normal;
  lite::FloatWeights weights;
  weights.kernel.resize(size.channels * size.filters * kKernel * kKernel);
  for (float& w : weights.kernel) w = normal(rng);
  const Shape from{size.channels, size.size, size.size}, to{size.filters, size.size, size.size};
  const auto op = winograd ? lite::MakeWinogradConv(1, weights, from, to)
                           : *lite::MakeFloatConv({kKernel, 1, 1}, weights, from, to);
  // As between two layers.
  lite::Values in = lite::MakeValues(from, lite::Form::kPixelFloats);
  lite::Values out = lite::MakeValues(to, lite::Form::kPixelFloats);
  for (float& x : in.floats) x = normal(rng);
  for (auto _ : state) {
    benchmark::DoNotOptimize(op->Run(in, &out));
    benchmark::ClobberMemory();
  }
}

void TorchConv(benchmark::State& state, at::MemoryFormat format) {
  const at::NoGradGuard no_gradient;
  at::manual_seed(kSeed);
  // What it takes depends on where its tensors lie, by a third: elsewhere in every repetition.
  static std::mt19937 places(kSeed);
  const at::Tensor gap = at::empty({1 + static_cast<int64_t>(places() % (1 << 16))});
  const at::Tensor x = at::randn({1, kChannels, kSize, kSize}).contiguous(format);
  const at::Tensor w = at::randn({kChannels, kChannels, kKernel, kKernel}).contiguous(format);
  for (auto _ : state) benchmark::DoNotOptimize(at::conv2d(x, w, {}, 1, 1));
}

void RegisterAll() {
  for (const char* network : {"ddnn_mvmc", "six_cameras", "cifar10", "lenet_branchy"}) {
    const std::string name = std::string("section/") + network;
    benchmark::RegisterBenchmark((name + "/lite").c_str(), Section, network, CreateLiteEngine);
    benchmark::RegisterBenchmark((name + "/torch").c_str(), Section, network, CreateTorchEngine);
  }
  benchmark::RegisterBenchmark("popcount", CountedBits);
  benchmark::RegisterBenchmark("conv/binary", BinaryConv);
  const FloatShape usual = {kChannels, kChannels, kSize};
  benchmark::RegisterBenchmark("conv/float", FloatConv, usual, true);
  benchmark::RegisterBenchmark("conv/float_xnnpack", FloatConv, usual, false);
  benchmark::RegisterBenchmark("conv/torch", TorchConv, at::MemoryFormat::Contiguous);
  benchmark::RegisterBenchmark("conv/torch_channels_last", TorchConv,
                               at::MemoryFormat::ChannelsLast);
  for (const FloatShape& shape : kFloatShapes) {
    const std::string name = shape.Name();
    benchmark::RegisterBenchmark(("float/" + name).c_str(), FloatConv, shape, true);
    benchmark::RegisterBenchmark(("float_xnnpack/" + name).c_str(), FloatConv, shape, false);
  }
}

class Medians : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      if (run.aggregate_name != "median") continue;
      seconds_[run.run_name.function_name] = run.GetAdjustedRealTime() * 1e-9;
      const auto bits = run.counters.find("bits/s");
      if (bits != run.counters.end()) rate_[run.run_name.function_name] = bits->second;
    }
  }

  void PrintRatios() const {
    Ratio("section of ddnn_mvmc", "section/ddnn_mvmc/torch", "section/ddnn_mvmc/lite");
    Ratio("section of six_cameras", "section/six_cameras/torch", "section/six_cameras/lite");
    Ratio("section of lenet_branchy", "section/lenet_branchy/torch", "section/lenet_branchy/lite");
    Ratio("section of cifar10", "section/cifar10/torch", "section/cifar10/lite");
    for (const char* torch : {"conv/torch", "conv/torch_channels_last"}) {
      Ratio("binary convolution", torch, "conv/binary");
      Ratio("float convolution", torch, "conv/float");
    }
    Ratio("float convolution", "conv/float_xnnpack", "conv/float", "XNNPACK's");
    for (const FloatShape& shape : kFloatShapes) {
      const std::string name = shape.Name();
      Ratio("float convolution " + name, "float_xnnpack/" + name, "float/" + name, "XNNPACK's");
    }
    if (rate_.count("popcount") > 0 && rate_.count("conv/binary") > 0) {
      std::printf("binary convolution: %.2f of the popcount rate\n",
                  rate_.at("conv/binary") / rate_.at("popcount"));
    }
  }

 private:
  double Seconds(const std::string& name) const {
    const auto found = seconds_.find(name);
    return found == seconds_.end() ? 0 : found->second;
  }
  void Ratio(const std::string& what, const std::string& slow, const std::string& fast,
             const char* whose = "LibTorch's") const {
    if (Seconds(slow) == 0 || Seconds(fast) == 0) return;
    std::printf("%s: %.2f times as fast as %s (%s)\n", what.c_str(), Seconds(slow) / Seconds(fast),
                whose, slow.c_str());
  }

  std::map<std::string, double> seconds_, rate_;
};

int Main(int argc, char** argv) {
  std::string defaults[] = {"--benchmark_repetitions=9",
                            "--benchmark_enable_random_interleaving=true",
                            "--benchmark_report_aggregates_only=true", "--benchmark_min_time=0.1"};
  std::vector<char*> arguments = {argv[0]};
  for (std::string& flag : defaults) arguments.push_back(flag.data());
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  int count = static_cast<int>(arguments.size());
  at::set_num_threads(1);
  RegisterAll();
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 1;
  benchmark::AddCustomContext("instructions", lite::KernelTarget());
  // For programs the library's own reporter, which knows the formats.
  const bool people = std::none_of(argv + 1, argv + argc, [](const std::string& argument) {
    return argument.rfind("--benchmark_format=", 0) == 0 &&
           argument != "--benchmark_format=console";
  });
  Medians reporter;
  benchmark::RunSpecifiedBenchmarks(people ? &reporter : nullptr);
  if (people) reporter.PrintRatios();
  return 0;
}

}  // namespace
}  // namespace ddnn

int main(int argc, char** argv) { return ddnn::Main(argc, argv); }

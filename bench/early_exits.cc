// How much time early exits save where one machine runs the whole network, a sample at a time:
// every sample as far up as its entropy says, against every sample all the way through the same
// layers without early exits. Both in one process, in turns.

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/strings/str_cat.h"
#include "datasets/network_data.h"
#include "runtime/core/aggregate.h"
#include "runtime/core/bundle.h"
#include "runtime/lite/lite_engine.h"
#include "runtime/torch/torch_engine.h"
#include "train/sample_store.h"

ABSL_FLAG(std::string, bundle, "", "of a network with one node in each tier");
ABSL_FLAG(std::string, data, "mnist", "the dataset; its test split is used");
ABSL_FLAG(std::string, engine, "lite", "lite or torch");
ABSL_FLAG(int32_t, samples, 2000, "a round is so many");
ABSL_FLAG(int32_t, rounds, 9, "of both, in turns");

namespace ddnn {
namespace {

/// The tiers of a network one behind the other.
class Chain {
 public:
  static absl::StatusOr<Chain> Create(const Bundle& bundle, bool exits, EngineFactory factory) {
    v1::NetworkSpec spec = bundle.plan.spec();
    for (int t = 0; !exits && t + 1 < spec.tier_size(); ++t) spec.mutable_tier(t)->clear_exit();
    absl::StatusOr<NetworkPlan> plan = NetworkPlan::Create(spec);
    if (!plan.ok()) return plan.status();
    Chain chain(*std::move(plan));
    if (exits) chain.thresholds_ = bundle.thresholds;
    for (int t = 0; t <= chain.plan_.root_tier(); ++t) {
      if (chain.plan_.tiers()[t].nodes.size() != 1) {
        return absl::InvalidArgumentError(
            absl::StrCat("tier ", chain.plan_.tiers()[t].name, " has several nodes, expected one"));
      }
      v1::Section section = bundle.sections.at({t, 0});
      if (chain.plan_.tiers()[t].exit < 0) section.clear_head();
      absl::StatusOr<std::unique_ptr<Engine>> engine = factory(chain.plan_, section);
      if (!engine.ok()) return engine.status();
      chain.engines_.push_back(*std::move(engine));
    }
    return chain;
  }

  /// The class, and how many tiers it took.
  absl::StatusOr<std::pair<int, int>> Run(const std::string& pixels) const {
    SectionInput input{pixels, {}};
    for (int t = 0;; ++t) {
      auto outputs = engines_[t]->Run({&input, 1});
      if (!outputs.ok()) return outputs.status();
      SectionOutput& output = outputs->front();
      const int exit = plan_.tiers()[t].exit;
      const bool root = t == plan_.root_tier();
      if (root || (exit >= 0 && Exits(Uncertainty(thresholds_[exit], output.scores),
                                      thresholds_[exit].entropy))) {
        return std::make_pair(ArgMax(output.scores), t + 1);
      }
      auto joined = JoinFeatures(plan_, t + 1, 0, {{std::move(output.features), 1}});
      if (!joined.ok()) return joined.status();
      input = SectionInput{"", *std::move(joined)};
    }
  }

 private:
  explicit Chain(NetworkPlan plan) : plan_(std::move(plan)) {}

  NetworkPlan plan_;
  std::vector<ExitThreshold> thresholds_;
  std::vector<std::unique_ptr<Engine>> engines_;
};

struct Round {
  double milliseconds = 0;  // a sample
  double right = 0, first = 0;
};

absl::StatusOr<Round> RunAll(const Chain& chain, const train::SampleStore& samples) {
  Round round;
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < samples.size(); ++i) {
    const auto answer = chain.Run(samples.Input(i, samples.presence[i]).pixels);
    if (!answer.ok()) return answer.status();
    round.right += answer->first == samples.labels[i];
    round.first += answer->second == 1;
  }
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  const auto count = static_cast<double>(samples.size());
  return Round{took.count() / count, round.right / count, round.first / count};
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

absl::Status Main() {
  const std::string engine = absl::GetFlag(FLAGS_engine);
  if (engine != "lite" && engine != "torch") {
    return absl::InvalidArgumentError(
        absl::StrCat("--engine: \"", engine, "\", expected lite or torch"));
  }
  const EngineFactory factory = engine == "lite" ? CreateLiteEngine : CreateTorchEngine;
  at::set_num_threads(1);
  absl::StatusOr<Bundle> bundle = LoadBundle(absl::GetFlag(FLAGS_bundle));
  if (!bundle.ok()) return bundle.status();
  absl::StatusOr<std::unique_ptr<Dataset>> dataset =
      OpenDatasetFor(bundle->plan, absl::GetFlag(FLAGS_data));
  if (!dataset.ok()) return dataset.status();
  const int64_t size =
      std::min<int64_t>((*dataset)->size(Split::kTest), std::max(absl::GetFlag(FLAGS_samples), 1));
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < size; ++i) indices.push_back(i);
  absl::StatusOr<train::SampleStore> samples =
      train::LoadSamples(**dataset, Split::kTest, indices, 2);
  if (!samples.ok()) return samples.status();
  absl::StatusOr<Chain> early = Chain::Create(*bundle, true, factory);
  if (!early.ok()) return early.status();
  absl::StatusOr<Chain> whole = Chain::Create(*bundle, false, factory);
  if (!whole.ok()) return whole.status();

  std::vector<double> with, without;
  Round a, b;
  for (int round = 0; round <= std::max(absl::GetFlag(FLAGS_rounds), 1); ++round) {
    for (auto [chain, result] : {std::make_pair(&*early, &a), std::make_pair(&*whole, &b)}) {
      absl::StatusOr<Round> ran = RunAll(*chain, *samples);
      if (!ran.ok()) return ran.status();
      *result = *ran;
    }
    if (round == 0) continue;  // both are warm now
    with.push_back(a.milliseconds);
    without.push_back(b.milliseconds);
  }
  std::printf(
      "{\"engine\": \"%s\", \"samples\": %lld, \"ms_with_exits\": %.4f, \"ms_without\": %.4f, "
      "\"ratio\": %.2f, \"accuracy_with_exits\": %.4f, \"accuracy_without\": %.4f, "
      "\"leave_first\": %.4f}\n",
      engine.c_str(), static_cast<long long>(samples->size()), Median(with), Median(without),
      Median(without) / Median(with), a.right, b.right, a.first);
  return absl::OkStatus();
}

}  // namespace
}  // namespace ddnn

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = ddnn::Main();
  if (!status.ok()) std::fprintf(stderr, "early_exits: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}

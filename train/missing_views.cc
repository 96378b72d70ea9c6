#include "train/missing_views.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <random>

#include "runtime/core/exit_criterion.h"
#include "train/thresholds.h"

namespace ddnn::train {
namespace {

constexpr int64_t kMostSamples = 2000;

// `presence` without random views, until `missing` of `views` are; 0 where more are already.
uint64_t Hide(uint64_t presence, int views, int missing, std::mt19937_64* engine) {
  int lacking = ViewsMissing(views, presence);
  if (lacking > missing) return 0;
  while (lacking < missing) {
    const uint64_t view = uint64_t{1} << (*engine)() % views;
    if ((presence & view) == 0) continue;
    presence &= ~view;
    ++lacking;
  }
  return presence;
}

struct Stopped {
  int64_t count = 0, wrong = 0;
};

Stopped CountStopped(const ExitRecords& records, absl::Span<const ExitThreshold> thresholds,
                     size_t exit) {
  Stopped stopped;
  for (int64_t i = 0; i < records.samples; ++i) {
    if (ExitOf(records, thresholds, i) != exit) continue;
    ++stopped.count;
    stopped.wrong += records.right[exit][i] ? 0 : 1;
  }
  return stopped;
}

// The highest threshold up to `most` at which at most this share of those that stop is wrong.
float Highest(const ExitRecords& records, const std::vector<int64_t>& reached, size_t exit,
              float most, const Stopped& allowed) {
  const std::vector<float>& entropy = records.entropy[exit];
  std::vector<int64_t> order;
  for (int64_t i : reached) {
    if (Exits(entropy[i], most)) order.push_back(i);
  }
  std::sort(order.begin(), order.end(),
            [&entropy](int64_t a, int64_t b) { return entropy[a] < entropy[b]; });
  float highest = -1;
  Stopped here;
  for (size_t n = 0; n < order.size(); ++n) {
    ++here.count;
    here.wrong += records.right[exit][order[n]] ? 0 : 1;
    const bool last = n + 1 == order.size();
    if (!last && entropy[order[n + 1]] == entropy[order[n]]) continue;
    // here.wrong / here.count <= allowed.wrong / allowed.count
    if (here.wrong * allowed.count > allowed.wrong * here.count) continue;
    highest = last ? most : Midway(entropy[order[n]], entropy[order[n + 1]]);
  }
  return order.empty() ? most : highest;
}

}  // namespace

absl::StatusOr<std::vector<ExitRecords>> RecordWithViewsHidden(const Bundle& bundle,
                                                               EngineFactory factory,
                                                               const SampleStore& samples,
                                                               uint64_t seed, int threads,
                                                               const std::atomic<bool>* stop) {
  const int views = bundle.plan.views();
  const int64_t step = std::max<int64_t>(1, (samples.size() + kMostSamples - 1) / kMostSamples);
  std::vector<ExitRecords> hidden;
  for (int missing = 1; missing < views; ++missing) {
    std::mt19937_64 engine(seed + static_cast<uint64_t>(missing));
    std::vector<uint64_t> presence(samples.size());
    for (int64_t i = 0; i < samples.size(); i += step) {
      presence[i] = Hide(samples.presence[i], views, missing, &engine);
    }
    absl::StatusOr<ExitRecords> records =
        RecordExits(bundle, factory, samples, presence, threads, stop);
    if (!records.ok()) return records.status();
    hidden.push_back(*std::move(records));
  }
  return hidden;
}

void FitMissing(const ExitRecords& records, absl::Span<const ExitRecords> hidden,
                std::vector<ExitThreshold>* thresholds) {
  for (ExitThreshold& threshold : *thresholds) threshold.missing.clear();
  const std::vector<ExitThreshold> whole = *thresholds;
  std::vector<std::vector<int64_t>> reached(hidden.size());
  for (size_t k = 0; k < hidden.size(); ++k) {
    reached[k].resize(hidden[k].samples);
    std::iota(reached[k].begin(), reached[k].end(), int64_t{0});
  }
  for (size_t exit = 0; exit + 1 < thresholds->size(); ++exit) {
    Stopped allowed = CountStopped(records, whole, exit);
    if (allowed.count == 0) allowed = {1, 0};  // nothing speaks for any wrong answer
    ExitThreshold& threshold = (*thresholds)[exit];
    float most = threshold.entropy;
    for (size_t k = 0; k < hidden.size(); ++k) {
      most = Highest(hidden[k], reached[k], exit, most, allowed);
      threshold.missing.push_back(most);
      std::vector<int64_t> onward;
      for (int64_t i : reached[k]) {
        if (!Exits(hidden[k].entropy[exit][i], most)) onward.push_back(i);
      }
      reached[k] = std::move(onward);
    }
    const auto same = [&](float value) { return value == threshold.entropy; };
    if (std::all_of(threshold.missing.begin(), threshold.missing.end(), same)) {
      threshold.missing.clear();
    }
  }
}

}  // namespace ddnn::train

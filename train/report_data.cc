#include "train/report_data.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace ddnn::train {
namespace {

constexpr int64_t kStride = 3;
constexpr int kBins = 10;
constexpr int kTrials = 50;
constexpr size_t kPictures = 6;

SampleStore EveryThird(const SampleStore& all) {
  SampleStore some;
  some.views = all.views;
  some.classes = all.classes;
  some.view_bytes = all.view_bytes;
  const size_t bytes = all.sample_bytes();
  for (int64_t i = 0; i < all.size(); i += kStride) {
    const auto pixels = all.pixels.begin() + static_cast<ptrdiff_t>(i * bytes);
    some.pixels.insert(some.pixels.end(), pixels, pixels + static_cast<ptrdiff_t>(bytes));
    some.presence.push_back(all.presence[i]);
    some.labels.push_back(all.labels[i]);
    const auto labels = all.view_labels.begin() + i * all.views;
    some.view_labels.insert(some.view_labels.end(), labels, labels + all.views);
  }
  return some;
}

// Of the views that are seen, the worst first; empty where nothing says which that is.
std::vector<int> Ranking(int views, uint64_t seen, const v1::RunSummary& summary) {
  std::vector<double> worth;
  if (summary.single_view_accuracy_size() == views) {
    worth.assign(summary.single_view_accuracy().begin(), summary.single_view_accuracy().end());
  } else if (summary.missing_view_accuracy_size() == views) {
    for (const double without : summary.missing_view_accuracy()) worth.push_back(-without);
  }
  std::vector<int> order;
  for (int v = 0; v < static_cast<int>(worth.size()); ++v) {
    if ((seen >> v & 1) != 0) order.push_back(v);
  }
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return worth[a] < worth[b]; });
  return order;
}

Reliability MeasureReliability(const ExitRecords& records, size_t exit) {
  std::vector<double> count(kBins), confidence(kBins), right(kBins);
  for (int64_t i = 0; i < records.samples; ++i) {
    const double c = records.confidence[exit][i];
    const int bin = std::clamp(static_cast<int>(c * kBins), 0, kBins - 1);
    ++count[bin];
    confidence[bin] += c;
    right[bin] += records.right[exit][i];
  }
  Reliability result;
  for (int b = 0; b < kBins; ++b) {
    if (count[b] == 0) continue;
    const auto all = static_cast<double>(records.samples);
    result.bins.push_back({confidence[b] / count[b], right[b] / count[b], count[b] / all});
    result.ece += std::abs(confidence[b] - right[b]) / all;
    result.excess += (confidence[b] - right[b]) / all;
  }
  return result;
}

std::vector<Trial> Try(const ReportInput& input, size_t exit) {
  std::vector<Trial> trials;
  std::vector<ExitThreshold> thresholds = input.bundle.thresholds;
  thresholds[exit].missing.clear();
  for (int step = 0; step <= kTrials; ++step) {
    thresholds[exit].entropy = static_cast<float>(step) / kTrials;
    const Operation operation = Operate(input.bundle.plan, input.records, thresholds);
    Trial trial{static_cast<double>(step) / kTrials, 0, operation.payload_bytes,
                operation.accuracy};
    for (size_t e = exit + 1; e < operation.exit_fraction.size(); ++e) {
      trial.goes_on += operation.exit_fraction[e];
    }
    trials.push_back(trial);
  }
  return trials;
}

void CountAnswers(const ReportInput& input, ReportData* data) {
  data->classes.resize(input.bundle.plan.classes());
  for (int64_t i = 0; i < input.records.samples; ++i) {
    const int label = input.samples.labels[input.records.index[i]];
    const int answer = input.records.answer[data->taken[i]][i];
    ++data->answers[{label, answer}];
    ++data->classes[label].samples;
    data->classes[label].right += label == answer;
  }
  for (const auto& [pair, times] : data->answers) {
    const auto [label, answer] = pair;
    int& most = data->classes[label].taken_for;
    if (answer != label && (most < 0 || times > data->answers[{label, most}])) most = answer;
  }
}

std::vector<int64_t> Spread(const std::vector<int64_t>& from) {
  std::vector<int64_t> some;
  const size_t count = std::min(from.size(), kPictures);
  for (size_t k = 0; k < count; ++k) some.push_back(from[k * from.size() / count]);
  return some;
}

void ChooseExamples(const ReportInput& input, ReportData* data) {
  const ExitRecords& records = input.records;
  const size_t last = input.bundle.plan.exits().size() - 1;
  std::vector<int64_t> early, late, wrong;
  for (int64_t i = 0; i < records.samples; ++i) {
    const size_t exit = data->taken[i];
    if (!records.right[exit][i]) {
      wrong.push_back(i);
    } else if (exit == last) {
      late.push_back(i);
    } else if (exit == 0) {
      early.push_back(i);
    }
  }
  std::stable_sort(wrong.begin(), wrong.end(), [&](int64_t a, int64_t b) {
    return records.confidence[data->taken[a]][a] > records.confidence[data->taken[b]][b];
  });
  wrong.resize(std::min(wrong.size(), kPictures));
  data->early = Spread(early);
  data->late = Spread(late);
  data->wrong = std::move(wrong);
}

bool HistoryFits(const NetworkPlan& plan, const v1::TrainingHistory& history) {
  for (const v1::EpochRecord& epoch : history.epoch()) {
    if (epoch.exit_size() != static_cast<int>(plan.exits().size())) return false;
    for (int e = 0; e < epoch.exit_size(); ++e) {
      if (epoch.exit(e).exit() != plan.exits()[e].name) return false;
    }
  }
  return history.epoch_size() > 0;
}

}  // namespace

absl::StatusOr<std::vector<ViewCount>> AccuracyByViews(const Bundle& bundle, EngineFactory factory,
                                                       const SampleStore& samples,
                                                       const v1::RunSummary& summary, int threads,
                                                       const std::atomic<bool>* stop) {
  std::vector<ViewCount> counts;
  if (samples.views < 2) return counts;
  const SampleStore some = EveryThird(samples);
  uint64_t missing = bundle.plan.all_views();
  for (const int view : Ranking(samples.views, samples.views_seen(), summary)) {
    missing &= ~(uint64_t{1} << view);
    absl::StatusOr<ExitRecords> records =
        RecordExits(bundle, factory, some, missing, threads, stop);
    if (!records.ok()) return records.status();
    ViewCount count;
    count.views = static_cast<int>(counts.size()) + 1;
    count.overall = Operate(bundle.plan, *records, bundle.thresholds).accuracy;
    for (size_t e = 0; e < bundle.plan.exits().size(); ++e) {
      count.exits.push_back(ExitAccuracy(*records, static_cast<int>(e)));
    }
    counts.push_back(std::move(count));
  }
  return counts;
}

Interval Wilson(double share, double samples) {
  if (!(samples > 0)) return {};
  constexpr double kZ = 1.959964;
  const double z = kZ * kZ / samples;
  const double middle = (share + z / 2) / (1 + z);
  const double half = kZ * std::sqrt(share * (1 - share) / samples + z / (4 * samples)) / (1 + z);
  return {std::max(middle - half, 0.0), std::min(middle + half, 1.0)};
}

ReportData CollectReportData(const ReportInput& input) {
  ReportData data;
  const size_t exits = input.bundle.plan.exits().size();
  for (int64_t i = 0; i < input.records.samples; ++i) {
    data.taken.push_back(ExitOf(input.records, input.bundle.thresholds, i));
  }
  for (size_t e = 0; e < exits; ++e) {
    data.reliability.push_back(MeasureReliability(input.records, e));
    if (e + 1 < exits) data.trials.push_back(Try(input, e));
  }
  CountAnswers(input, &data);
  ChooseExamples(input, &data);
  data.history_fits = HistoryFits(input.bundle.plan, input.history);
  return data;
}

bool KeptTheStart(const v1::Provenance& provenance) {
  return provenance.best_epoch() == 0 && !provenance.init().empty();
}

}  // namespace ddnn::train

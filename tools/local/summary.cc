#include "tools/local/summary.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "runtime/core/exit_criterion.h"
#include "tools/local/local_tree.h"

namespace ddnn {
namespace {

constexpr double kEntropyTolerance = 1e-4;
constexpr size_t kMaxMismatchesShown = 5;
constexpr size_t kBatch = 64;

uint64_t PresenceOf(const v1::AnswerRecord& record) {
  uint64_t presence = 0;
  for (int view : record.present_view()) {
    if (view >= 0 && view < 64) presence |= uint64_t{1} << view;
  }
  return presence;
}

std::string ExitName(const NetworkPlan& plan, int exit) { return plan.exits()[exit].name; }

// One answered sample on its way through the whole network.
struct Item {
  uint64_t sequence = 0;
  const AnswerBook::Entry* entry = nullptr;
  DatasetSample sample;
};

// How right each view is by itself, with its own label, over the samples it sees.
class ViewCounter {
 public:
  explicit ViewCounter(int views) : right_(views), total_(views) {}

  void Add(const DatasetSample& sample, const WholeOutput& output) {
    for (size_t v = 0; v < right_.size(); ++v) {
      if (v >= output.view_scores.size() || output.view_scores[v].empty()) continue;
      ++total_[v];
      if (ArgMax(output.view_scores[v]) == sample.view_labels[v]) ++right_[v];
    }
  }

  std::vector<double> Accuracy() const {
    std::vector<double> accuracy;
    if (std::all_of(total_.begin(), total_.end(), [](int64_t n) { return n == 0; })) {
      return accuracy;
    }
    for (size_t v = 0; v < right_.size(); ++v) {
      accuracy.push_back(total_[v] == 0 ? 0 : static_cast<double>(right_[v]) / total_[v]);
    }
    return accuracy;
  }

 private:
  std::vector<int64_t> right_, total_;
};

void AddMismatch(const Item& item, const std::string& why, Comparison* comparison) {
  ++comparison->mismatches;
  if (comparison->first_mismatches.size() >= kMaxMismatchesShown) return;
  comparison->first_mismatches.push_back(absl::StrCat(
      "sample ", item.sequence, " (views ", absl::StrJoin(item.entry->answer.present_view(), ","),
      ", told to view ", item.entry->best_view, "): ", why));
}

// Runs one batch whole: once with all views that saw it, and once more, where other views went into
// the answer, with those.
absl::Status CompareBatch(const std::vector<Item>& items,
                          const std::vector<ExitThreshold>& thresholds, WholeNetwork* whole,
                          ViewCounter* views, Comparison* comparison) {
  const NetworkPlan& plan = whole->plan();
  std::vector<WholeInput> inputs;
  std::vector<size_t> answer_input(items.size());
  for (const Item& item : items) inputs.push_back({item.sample.pixels, item.sample.presence});
  for (size_t i = 0; i < items.size(); ++i) {
    const uint64_t presence = PresenceOf(items[i].entry->answer);
    answer_input[i] = i;
    if (presence == items[i].sample.presence || presence == 0 ||
        (presence & ~items[i].sample.presence) != 0) {
      continue;
    }
    answer_input[i] = inputs.size();
    inputs.push_back({items[i].sample.pixels, presence});
  }
  auto outputs = whole->Run(inputs);
  if (!outputs.ok()) return outputs.status();
  for (size_t i = 0; i < items.size(); ++i) {
    const v1::AnswerRecord& told = items[i].entry->answer;
    views->Add(items[i].sample, (*outputs)[i]);
    if (told.degraded()) continue;
    ++comparison->compared;
    const uint64_t presence = PresenceOf(told);
    if (presence == 0 || (presence & ~items[i].sample.presence) != 0) {
      AddMismatch(items[i], "views that did not see the sample went into the answer", comparison);
      continue;
    }
    double difference = 0;
    const std::string why = Difference(plan, thresholds, told, (*outputs)[answer_input[i]],
                                       items[i].sample.presence, &difference);
    comparison->largest_entropy_difference =
        std::max(comparison->largest_entropy_difference, difference);
    if (!why.empty()) AddMismatch(items[i], why, comparison);
  }
  return absl::OkStatus();
}

double Percentile(std::vector<double> values, double fraction) {
  if (values.empty()) return 0;
  const size_t rank = static_cast<size_t>(std::ceil(fraction * static_cast<double>(values.size())));
  const size_t index = std::min(values.size(), std::max<size_t>(rank, 1)) - 1;
  std::nth_element(values.begin(), values.begin() + index, values.end());
  return values[index];
}

// Stats of "device-3": view 3; -1 for other nodes.
int ViewOf(const NetworkPlan& plan, const v1::NodeStats& stats) {
  for (int view = 0; view < plan.views(); ++view) {
    if (stats.node() == NodeName(plan, 0, view)) return view;
  }
  return -1;
}

absl::Status AddOutcomes(const NetworkPlan& plan, const Dataset& dataset, const AnswerBook& book,
                         v1::RunSummary* summary, std::vector<int64_t>* sightings) {
  std::vector<int64_t> stopped(plan.exits().size()), right(plan.exits().size());
  sightings->assign(plan.views(), 0);
  for (const auto& [sequence, entry] : book.entries()) {
    DatasetSample sample;
    absl::Status status = dataset.Read(Split::kTest, static_cast<int64_t>(sequence), &sample);
    if (!status.ok()) return status;
    for (int v = 0; v < plan.views(); ++v) (*sightings)[v] += (sample.presence >> v) & 1;
    const v1::AnswerRecord& answer = entry.answer;
    if (answer.outcome() == "shed") summary->set_shed(summary->shed() + 1);
    if (answer.outcome() == "expired") summary->set_expired(summary->expired() + 1);
    if (answer.outcome() != "answered") continue;
    summary->set_answered(summary->answered() + 1);
    if (answer.degraded()) summary->set_degraded(summary->degraded() + 1);
    const auto exit = plan.FindExit(answer.exit());
    if (!exit.ok()) return exit.status();
    ++stopped[*exit];
    if (answer.class_index() == sample.label) ++right[*exit];
  }
  int64_t all_right = 0;
  const double answered = std::max<double>(1, summary->answered());
  for (size_t e = 0; e < stopped.size(); ++e) {
    all_right += right[e];
    (*summary->mutable_accuracy())[ExitName(plan, e)] =
        stopped[e] == 0 ? 0 : static_cast<double>(right[e]) / static_cast<double>(stopped[e]);
    (*summary->mutable_exit_fraction())[ExitName(plan, e)] =
        static_cast<double>(stopped[e]) / answered;
  }
  (*summary->mutable_accuracy())["overall"] = static_cast<double>(all_right) / answered;
  return absl::OkStatus();
}

void AddBytes(const NetworkPlan& plan, const std::vector<v1::NodeStats>& stats,
              const std::vector<int64_t>& sightings, v1::RunSummary* summary) {
  double payload = 0, wire = 0, pairs = 0;
  for (const v1::NodeStats& node : stats) {
    *summary->add_node() = node;
    const int view = ViewOf(plan, node);
    if (view < 0) continue;
    payload += node.payload_bytes();
    wire += node.wire_bytes_sent();
    pairs += static_cast<double>(sightings[view]);
  }
  if (pairs > 0) {
    summary->set_payload_bytes_per_view_sample(payload / pairs);
    summary->set_wire_bytes_per_view_sample(wire / pairs);
  }
  summary->set_raw_bytes_per_view_sample(plan.view_shape().size());
}

std::string Percent(double fraction) { return absl::StrFormat("%.2f %%", 100 * fraction); }

void PrintRow(const std::string& name, const std::string& value, std::ostream& out) {
  out << absl::StrFormat("  %-26s %s\n", name, value);
}

double Lookup(const google::protobuf::Map<std::string, double>& map, const std::string& key) {
  const auto found = map.find(key);
  return found == map.end() ? 0 : found->second;
}

}  // namespace

std::vector<ExitThreshold> EffectiveThresholds(const Bundle& bundle, const v1::Topology& topology) {
  std::vector<ExitThreshold> thresholds = bundle.thresholds;
  for (size_t e = 0; e < thresholds.size(); ++e) {
    const ExitPlan& exit = bundle.plan.exits()[e];
    const v1::NodeConfig& role = RoleConfig(bundle.plan, topology, exit.decided_tier);
    const auto own = role.threshold().find(exit.name);
    if (own == role.threshold().end()) continue;
    thresholds[e].entropy = own->second;
    thresholds[e].missing.clear();
  }
  return thresholds;
}

std::string Difference(const NetworkPlan& plan, const std::vector<ExitThreshold>& thresholds,
                       const v1::AnswerRecord& told, const WholeOutput& output, uint64_t seen,
                       double* entropy_difference) {
  const uint64_t presence = PresenceOf(told);
  const auto told_exit = plan.FindExit(told.exit());
  if (!told_exit.ok()) return std::string(told_exit.status().message());
  Answer expected = Decide(plan, thresholds, output, presence);
  if (expected.exit != *told_exit && presence != seen) {
    const std::vector<float>& scores = output.exit_scores[*told_exit];
    expected.exit = *told_exit;
    expected.class_index = ArgMax(scores);
    expected.entropy = Uncertainty(thresholds[*told_exit], scores);
    expected.hard =
        !Exits(expected.entropy, thresholds[*told_exit].At(ViewsMissing(plan.views(), presence)));
  }
  const double difference = std::abs(static_cast<double>(expected.entropy) - told.entropy());
  if (expected.exit == *told_exit) *entropy_difference = difference;
  if (expected.class_index == told.class_index() && expected.exit == *told_exit &&
      expected.hard == told.hard() && difference <= kEntropyTolerance) {
    return "";
  }
  const auto describe = [&plan](int class_index, int exit, double entropy, bool hard) {
    return absl::StrFormat("class %d at %s with entropy %.9g%s", class_index, ExitName(plan, exit),
                           entropy, hard ? ", hard" : "");
  };
  return absl::StrCat(
      "the tree said ", describe(told.class_index(), *told_exit, told.entropy(), told.hard()),
      ", the whole network says ",
      describe(expected.class_index, expected.exit, expected.entropy, expected.hard));
}

absl::StatusOr<Comparison> CompareWithWhole(const AnswerBook& book, const Dataset& dataset,
                                            const std::vector<ExitThreshold>& thresholds,
                                            WholeNetwork* whole,
                                            const std::function<bool(int64_t)>& progress) {
  Comparison comparison;
  ViewCounter views(whole->plan().views());
  std::vector<Item> items;
  int64_t done = 0;
  const auto flush = [&]() -> absl::Status {
    if (items.empty()) return absl::OkStatus();
    absl::Status status = CompareBatch(items, thresholds, whole, &views, &comparison);
    done += static_cast<int64_t>(items.size());
    items.clear();
    if (status.ok() && progress && !progress(done)) return absl::CancelledError("interrupted");
    return status;
  };
  for (const auto& [sequence, entry] : book.entries()) {
    if (entry.answer.outcome() != "answered") continue;
    Item item;
    item.sequence = sequence;
    item.entry = &entry;
    absl::Status status = dataset.Read(Split::kTest, static_cast<int64_t>(sequence), &item.sample);
    if (!status.ok()) return status;
    items.push_back(std::move(item));
    if (items.size() < kBatch) continue;
    if (absl::Status flushed = flush(); !flushed.ok()) return flushed;
  }
  if (absl::Status flushed = flush(); !flushed.ok()) return flushed;
  comparison.single_view_accuracy = views.Accuracy();
  return comparison;
}

absl::StatusOr<v1::RunSummary> Summarize(const Bundle& bundle, const Dataset& dataset,
                                         const std::vector<ExitThreshold>& thresholds,
                                         const AnswerBook& book,
                                         const std::vector<v1::NodeStats>& stats) {
  v1::RunSummary summary;
  summary.set_network(bundle.manifest.network().name());
  summary.set_bundle_sha256(bundle.sha256_hex());
  summary.set_data(dataset.info().spec);
  summary.set_samples(static_cast<uint32_t>(book.samples()));
  summary.set_disagreements(static_cast<uint32_t>(book.disagreements()));
  std::vector<int64_t> sightings;
  absl::Status status = AddOutcomes(bundle.plan, dataset, book, &summary, &sightings);
  if (!status.ok()) return status;
  AddBytes(bundle.plan, stats, sightings, &summary);
  summary.mutable_latency_ms()->set_p50(Percentile(book.latencies(), 0.50));
  summary.mutable_latency_ms()->set_p99(Percentile(book.latencies(), 0.99));
  const double seconds = absl::ToDoubleSeconds(book.time_span());
  if (seconds > 0) summary.set_samples_per_second(static_cast<double>(book.samples()) / seconds);
  for (size_t e = 0; e < thresholds.size(); ++e) {
    (*summary.mutable_threshold())[ExitName(bundle.plan, e)] = thresholds[e].entropy;
  }
  return summary;
}

void PrintSummary(const NetworkPlan& plan, const v1::RunSummary& summary, std::ostream& out) {
  out << absl::StrFormat("\n%s on %s, bundle %s\n\n", summary.network(), summary.data(),
                         summary.bundle_sha256().substr(0, 12));
  PrintRow("samples",
           absl::StrFormat("%d = %d answered + %d shed + %d expired", summary.samples(),
                           summary.answered(), summary.shed(), summary.expired()),
           out);
  if (summary.degraded() > 0) PrintRow("degraded", absl::StrCat(summary.degraded()), out);
  PrintRow("accuracy overall", Percent(Lookup(summary.accuracy(), "overall")), out);
  for (const ExitPlan& exit : plan.exits()) {
    const double fraction = Lookup(summary.exit_fraction(), exit.name);
    PrintRow(absl::StrCat("exit ", exit.name),
             absl::StrFormat("%s of the samples, accuracy %s, threshold %.3f", Percent(fraction),
                             fraction > 0 ? Percent(Lookup(summary.accuracy(), exit.name)) : "-",
                             Lookup(summary.threshold(), exit.name)),
             out);
  }
  if (summary.single_view_accuracy_size() > 0) {
    PrintRow("accuracy of each view alone",
             absl::StrJoin(summary.single_view_accuracy(), ", ",
                           [](std::string* s, double a) { absl::StrAppend(s, Percent(a)); }),
             out);
  }
  const double raw = summary.raw_bytes_per_view_sample();
  const auto bytes = [raw](double n) {
    if (n <= 0) return absl::StrFormat("%.1f", n);
    return absl::StrFormat("%.1f (%.1f times less than raw)", n, raw / n);
  };
  out << "  bytes up per view and sample\n";
  PrintRow("  raw pixels", absl::StrFormat("%.1f", raw), out);
  PrintRow("  payload", bytes(summary.payload_bytes_per_view_sample()), out);
  PrintRow("  on the wire", bytes(summary.wire_bytes_per_view_sample()), out);
  PrintRow("latency",
           absl::StrFormat("p50 %.2f ms, p99 %.2f ms", summary.latency_ms().p50(),
                           summary.latency_ms().p99()),
           out);
  PrintRow("samples per second", absl::StrFormat("%.1f", summary.samples_per_second()), out);
  PrintRow("same as the whole network",
           absl::StrFormat("%d of %d answers, %d mismatches",
                           summary.parity_compared() - summary.parity_mismatches(),
                           summary.parity_compared(), summary.parity_mismatches()),
           out);
  if (summary.disagreements() > 0) {
    PrintRow("devices told differently", absl::StrCat(summary.disagreements(), " samples"), out);
  }
}

}  // namespace ddnn

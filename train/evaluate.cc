#include "train/evaluate.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver.h>
#include <google/protobuf/util/type_resolver_util.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "runtime/core/exit_criterion.h"
#include "runtime/core/feature_code.h"

namespace ddnn::train {
namespace {

constexpr int64_t kBatch = 128;
constexpr int kSweepSteps = 10;

double Fraction(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

std::string Percent(double fraction) { return absl::StrFormat("%6.2f %%", 100 * fraction); }

void RecordViews(const SampleStore& samples, int64_t index, const WholeOutput& output,
                 ExitRecords* records) {
  for (int v = 0; v < samples.views; ++v) {
    const int label = samples.view_labels[index * samples.views + v];
    if (output.view_scores[v].empty() || label >= samples.classes) continue;
    ++records->view_seen[v];
    records->view_right[v] += ArgMax(output.view_scores[v]) == label;
  }
}

void AddSweep(const NetworkPlan& plan, const ExitRecords& records,
              absl::Span<const ExitThreshold> thresholds, v1::RunSummary* summary) {
  for (size_t e = 0; e + 1 < plan.exits().size(); ++e) {
    std::vector<ExitThreshold> tried(thresholds.begin(), thresholds.end());
    tried[e].missing.clear();
    for (int step = 0; step <= kSweepSteps; ++step) {
      tried[e].entropy = static_cast<float>(step) / kSweepSteps;
      const Operation operation = Operate(plan, records, tried);
      v1::SweepPoint* point = summary->add_sweep();
      point->set_exit(plan.exits()[e].name);
      point->set_threshold(step / static_cast<double>(kSweepSteps));
      point->set_exit_fraction(operation.exit_fraction[e]);
      point->set_overall_accuracy(operation.accuracy);
      point->set_payload_bytes_per_view_sample(operation.payload_bytes);
      point->set_coded_payload_bytes_per_view_sample(operation.coded_payload_bytes);
      for (size_t x = 0; x < plan.exits().size(); ++x) {
        (*point->mutable_exit_fractions())[plan.exits()[x].name] = operation.exit_fraction[x];
      }
    }
  }
}

// The softmax of one class; 0 where a score is not finite.
float Confidence(const std::vector<float>& scores, int answer, double temperature) {
  double sum = 0;
  for (const float score : scores) {
    sum += std::exp((static_cast<double>(score) - scores[answer]) / temperature);
  }
  return std::isfinite(sum) ? static_cast<float>(1 / sum) : 0;
}

// Of all views that are there.
float CodingSaves(const NetworkPlan& plan, std::vector<std::string> view_features) {
  size_t views = 0, saved = 0;
  for (std::string& features : view_features) {
    if (features.empty()) continue;
    ++views;
    const size_t packed = features.size();
    saved += packed - CodeFeatures(plan.node(0, 0).features, std::move(features)).size();
  }
  return views == 0 ? 0 : static_cast<float>(saved) / static_cast<float>(views);
}

// What is run: the samples from `next` to `end` with these views.
struct Range {
  int64_t next = 0, end = 0;
  absl::Span<const uint64_t> presence;
};

absl::StatusOr<ExitRecords> RecordRange(WholeNetwork* network, const SampleStore& samples,
                                        absl::Span<const ExitThreshold> rules, Range range,
                                        const std::atomic<bool>* stop) {
  const size_t exits = network->plan().exits().size();
  ExitRecords records;
  records.scores.resize(exits);
  records.entropy.resize(exits);
  records.right.resize(exits);
  records.answer.resize(exits);
  records.confidence.resize(exits);
  records.view_seen.resize(samples.views);
  records.view_right.resize(samples.views);
  std::vector<WholeInput> batch;
  while (range.next < range.end) {
    if (stop != nullptr && *stop) return absl::CancelledError("interrupted");
    batch.clear();
    const size_t begin = records.index.size();
    for (; range.next < range.end && static_cast<int64_t>(batch.size()) < kBatch; ++range.next) {
      const uint64_t presence = range.presence[range.next];
      if (presence == 0) continue;
      batch.push_back(samples.Input(range.next, presence));
      records.index.push_back(range.next);
      records.missing.push_back(static_cast<uint8_t>(ViewsMissing(samples.views, presence)));
      records.label.push_back(samples.labels[range.next]);
    }
    if (batch.empty()) continue;
    absl::StatusOr<std::vector<WholeOutput>> outputs = network->Run(batch);
    if (!outputs.ok()) return outputs.status();
    for (size_t i = 0; i < batch.size(); ++i) {
      WholeOutput& output = (*outputs)[i];
      for (size_t e = 0; e < exits; ++e) {
        const std::vector<float>& scores = output.exit_scores[e];
        const int answer = ArgMax(scores);
        records.scores[e].insert(records.scores[e].end(), scores.begin(), scores.end());
        records.entropy[e].push_back(Uncertainty(rules[e], scores));
        records.right[e].push_back(answer == records.label[begin + i]);
        records.answer[e].push_back(answer);
        records.confidence[e].push_back(Confidence(scores, answer, rules[e].temperature));
      }
      RecordViews(samples, records.index[begin + i], output, &records);
      records.coding_saves.push_back(CodingSaves(network->plan(), std::move(output.view_features)));
    }
    records.samples += static_cast<int64_t>(batch.size());
  }
  return records;
}

template <typename T>
void Append(const std::vector<T>& from, std::vector<T>* to) {
  to->insert(to->end(), from.begin(), from.end());
}

void Append(const ExitRecords& part, ExitRecords* whole) {
  whole->samples += part.samples;
  Append(part.label, &whole->label);
  Append(part.index, &whole->index);
  Append(part.missing, &whole->missing);
  Append(part.coding_saves, &whole->coding_saves);
  for (size_t e = 0; e < part.entropy.size(); ++e) {
    Append(part.scores[e], &whole->scores[e]);
    Append(part.entropy[e], &whole->entropy[e]);
    Append(part.right[e], &whole->right[e]);
    Append(part.answer[e], &whole->answer[e]);
    Append(part.confidence[e], &whole->confidence[e]);
  }
  for (size_t v = 0; v < part.view_seen.size(); ++v) {
    whole->view_seen[v] += part.view_seen[v];
    whole->view_right[v] += part.view_right[v];
  }
}

}  // namespace

absl::StatusOr<ExitRecords> RecordExits(const Bundle& bundle, EngineFactory factory,
                                        const SampleStore& samples, uint64_t missing, int threads,
                                        const std::atomic<bool>* stop) {
  std::vector<uint64_t> presence = samples.presence;
  for (uint64_t& views : presence) views &= ~missing;
  return RecordExits(bundle, factory, samples, presence, threads, stop);
}

absl::StatusOr<ExitRecords> RecordExits(const Bundle& bundle, EngineFactory factory,
                                        const SampleStore& samples,
                                        absl::Span<const uint64_t> presence, int threads,
                                        const std::atomic<bool>* stop) {
  // Whole batches, so that the same samples are run together however many threads there are.
  const int64_t batches = (samples.size() + kBatch - 1) / kBatch;
  const int64_t workers = std::clamp<int64_t>(batches, 1, std::max(threads, 1));
  std::vector<absl::StatusOr<ExitRecords>> parts(workers, absl::UnknownError("did not run"));
  const auto work = [&](int64_t worker) {
    const auto network = WholeNetwork::Create(bundle, factory);
    if (!network.ok()) {
      parts[worker] = network.status();
      return;
    }
    const Range range{batches * worker / workers * kBatch,
                      std::min(samples.size(), batches * (worker + 1) / workers * kBatch),
                      presence};
    parts[worker] = RecordRange(network->get(), samples, bundle.thresholds, range, stop);
  };
  std::vector<std::thread> others;
  for (int64_t worker = 1; worker < workers; ++worker) others.emplace_back(work, worker);
  work(0);
  for (std::thread& other : others) other.join();
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].ok()) return parts[i].status();
    if (i > 0) Append(*parts[i], &*parts[0]);
  }
  return *std::move(parts[0]);
}

size_t ExitOf(const ExitRecords& records, absl::Span<const ExitThreshold> thresholds, int64_t i) {
  const size_t root = thresholds.size() - 1;
  size_t exit = 0;
  const int missing = records.missing.empty() ? 0 : records.missing[i];
  while (exit < root && !Exits(records.entropy[exit][i], thresholds[exit].At(missing))) ++exit;
  return exit;
}

void Remeasure(absl::Span<const ExitThreshold> thresholds, ExitRecords* records) {
  if (records->samples == 0 || records->scores.empty()) return;
  for (size_t e = 0; e < thresholds.size(); ++e) {
    const absl::Span<const float> scores = records->scores[e];
    const size_t classes = scores.size() / records->samples;
    for (int64_t i = 0; i < records->samples; ++i) {
      records->entropy[e][i] = Uncertainty(thresholds[e], scores.subspan(i * classes, classes));
    }
  }
}

Operation Operate(const NetworkPlan& plan, const ExitRecords& records,
                  absl::Span<const ExitThreshold> thresholds) {
  const size_t exits = plan.exits().size();
  std::vector<int64_t> taken(exits), right(exits);
  double saved = 0;
  for (int64_t i = 0; i < records.samples; ++i) {
    const size_t exit = ExitOf(records, thresholds, i);
    ++taken[exit];
    right[exit] += records.right[exit][i];
    if (!records.coding_saves.empty() && DeviceSendsFeatures(plan, static_cast<int>(exit))) {
      saved += records.coding_saves[i];
    }
  }
  Operation operation;
  operation.accuracy =
      Fraction(std::accumulate(right.begin(), right.end(), int64_t{0}), records.samples);
  for (size_t e = 0; e < exits; ++e) {
    operation.exit_fraction.push_back(Fraction(taken[e], records.samples));
    operation.exit_accuracy.push_back(Fraction(right[e], taken[e]));
    operation.payload_bytes +=
        operation.exit_fraction[e] * DevicePayloadBytes(plan, static_cast<int>(e));
  }
  operation.coded_payload_bytes = operation.payload_bytes;
  if (records.samples > 0) {
    operation.coded_payload_bytes -= saved / static_cast<double>(records.samples);
  }
  return operation;
}

double ExitAccuracy(const ExitRecords& records, int exit) {
  const std::vector<bool>& right = records.right[exit];
  return Fraction(std::count(right.begin(), right.end(), true), records.samples);
}

absl::StatusOr<v1::RunSummary> Evaluate(const Bundle& bundle, EngineFactory factory,
                                        const SampleStore& samples, const std::string& data,
                                        absl::Span<const ExitThreshold> thresholds,
                                        const EvaluateOptions& options) {
  const NetworkPlan& plan = bundle.plan;
  absl::StatusOr<ExitRecords> records =
      RecordExits(bundle, factory, samples, options.missing, options.threads, options.stop);
  if (!records.ok()) return records.status();
  const Operation operation = Operate(plan, *records, thresholds);

  v1::RunSummary summary;
  summary.set_network(plan.spec().name());
  summary.set_bundle_sha256(bundle.sha256_hex());
  summary.set_data(data);
  summary.set_samples(static_cast<uint32_t>(records->samples));
  summary.set_answered(static_cast<uint32_t>(records->samples));
  (*summary.mutable_accuracy())["overall"] = operation.accuracy;
  for (size_t e = 0; e < plan.exits().size(); ++e) {
    const std::string& name = plan.exits()[e].name;
    (*summary.mutable_accuracy())[name] = operation.exit_accuracy[e];
    (*summary.mutable_accuracy_if_all_stop())[name] = ExitAccuracy(*records, static_cast<int>(e));
    (*summary.mutable_exit_fraction())[name] = operation.exit_fraction[e];
    (*summary.mutable_threshold())[name] = thresholds[e].entropy;
  }
  if (plan.tiers()[0].exit >= 0) {
    for (int v = 0; v < plan.views(); ++v) {
      summary.add_single_view_accuracy(Fraction(records->view_right[v], records->view_seen[v]));
    }
  }
  summary.set_payload_bytes_per_view_sample(operation.payload_bytes);
  summary.set_coded_payload_bytes_per_view_sample(operation.coded_payload_bytes);
  summary.set_raw_bytes_per_view_sample(plan.view_shape().size());
  if (options.sweep) AddSweep(plan, *records, thresholds, &summary);
  for (int v = 0; options.each_missing && plan.views() > 1 && v < plan.views(); ++v) {
    absl::StatusOr<ExitRecords> without =
        RecordExits(bundle, factory, samples, options.missing | uint64_t{1} << v, options.threads,
                    options.stop);
    if (!without.ok()) return without.status();
    summary.add_missing_view_accuracy(Operate(plan, *without, thresholds).accuracy);
  }
  if (options.records != nullptr) *options.records = *std::move(records);
  return summary;
}

absl::StatusOr<std::string> ToJson(const google::protobuf::Message& message) {
  // MessageToJsonString prints maps in an order that differs from run to run; from a deterministic
  // serialisation they come sorted.
  std::string binary;
  {
    google::protobuf::io::StringOutputStream stream(&binary);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  constexpr char kHost[] = "type.googleapis.com";
  const std::unique_ptr<google::protobuf::util::TypeResolver> resolver(
      google::protobuf::util::NewTypeResolverForDescriptorPool(
          kHost, google::protobuf::DescriptorPool::generated_pool()));
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::BinaryToJsonString(
      resolver.get(), absl::StrCat(kHost, "/", message.GetDescriptor()->full_name()), binary, &json,
      options);
  if (!status.ok()) return absl::InternalError(status.ToString());
  return json;
}

std::string ToText(const NetworkPlan& plan, const v1::RunSummary& summary) {
  std::string text =
      absl::StrFormat("%s on %s, %d samples, bundle %s\n\n", summary.network(), summary.data(),
                      summary.samples(), summary.bundle_sha256().substr(0, 12));
  absl::StrAppend(&text, "view      alone   without it\n");
  for (int v = 0; v < plan.views(); ++v) {
    absl::StrAppendFormat(
        &text, "%4d  %s   %s\n", v,
        v < summary.single_view_accuracy_size() ? Percent(summary.single_view_accuracy(v))
                                                : "       -",
        v < summary.missing_view_accuracy_size() ? Percent(summary.missing_view_accuracy(v))
                                                 : "       -");
  }
  absl::StrAppend(&text, "\nexit       taken by   accuracy   if all stopped there   threshold\n");
  for (const ExitPlan& exit : plan.exits()) {
    absl::StrAppendFormat(
        &text, "%-10s %s   %s               %s   %9.4f\n", exit.name,
        Percent(summary.exit_fraction().at(exit.name)),
        summary.exit_fraction().at(exit.name) > 0 ? Percent(summary.accuracy().at(exit.name))
                                                  : "       -",
        Percent(summary.accuracy_if_all_stop().at(exit.name)), summary.threshold().at(exit.name));
  }
  const double payload = summary.payload_bytes_per_view_sample();
  absl::StrAppendFormat(&text, "%-10s            %s\n\n", "overall",
                        Percent(summary.accuracy().at("overall")));
  absl::StrAppendFormat(&text, "bytes per view and sample: %.1f by the formula, raw %.0f", payload,
                        summary.raw_bytes_per_view_sample());
  if (payload > 0) {
    absl::StrAppendFormat(&text, " (%.1f times as many)",
                          summary.raw_bytes_per_view_sample() / payload);
  }
  const double coded = summary.coded_payload_bytes_per_view_sample();
  absl::StrAppend(&text, "\n");
  if (coded > 0 && coded < payload) {
    absl::StrAppendFormat(&text, "with features coded as they travel: %.1f (%.1f times)\n", coded,
                          summary.raw_bytes_per_view_sample() / coded);
  }
  std::string exit;
  for (const v1::SweepPoint& point : summary.sweep()) {
    if (point.exit() != exit) {
      exit = point.exit();
      absl::StrAppendFormat(&text, "\nthreshold of %-8s taken by    overall    bytes\n", exit);
    }
    absl::StrAppendFormat(&text, "%12.1f          %s   %s  %7.1f\n", point.threshold(),
                          Percent(point.exit_fraction()), Percent(point.overall_accuracy()),
                          point.payload_bytes_per_view_sample());
  }
  return text;
}

}  // namespace ddnn::train

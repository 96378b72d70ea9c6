#include "cloud/query_print.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace ddnn {
namespace {

constexpr int kBarWidth = 24;

template <typename Repeated>
std::string Views(const Repeated& views) {
  return Ranges(std::vector<int>(views.begin(), views.end()));
}

std::string Name(const v1::HardSample& sample) {
  return absl::StrCat(sample.stream(), "/", sample.sequence());
}

std::string LabelOf(const v1::HardSample& sample) {
  return sample.label().empty() ? "-" : sample.label();
}

std::string AnswerOf(const v1::HardSample& sample) {
  return sample.class_name().empty() ? "-" : sample.class_name();
}

std::string GivenBy(const v1::HardSample& sample) {
  if (!sample.alone()) return "the root";
  if (sample.exit().empty()) return "nobody: its device was alone, and kept it";
  return absl::StrCat("the exit \"", sample.exit(),
                      "\", while its device could not reach the root; kept and sent later");
}

// Most probable first, with bars.
std::string PrintClasses(const std::vector<std::string>& names,
                         const std::vector<double>& probabilities) {
  std::vector<size_t> order(std::min(names.size(), probabilities.size()));
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return probabilities[a] > probabilities[b]; });
  Table table({{"CLASS"}, {"PROBABILITY", true}, {""}});
  for (size_t c : order) {
    table.AddRow({names[c], absl::StrFormat("%.1f %%", 100 * probabilities[c]),
                  Bar(probabilities[c], kBarWidth)});
  }
  return table.ToString();
}

std::vector<double> Softmax(const google::protobuf::RepeatedField<float>& scores) {
  std::vector<double> values(scores.begin(), scores.end());
  if (values.empty()) return values;
  const double largest = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (double& value : values) sum += value = std::exp(value - largest);
  for (double& value : values) value /= sum;
  return values;
}

std::string Facts(const std::vector<std::pair<std::string, std::string>>& facts) {
  std::string text;
  for (const auto& [name, value] : facts) {
    absl::StrAppend(&text, name, std::string(12 - std::min<size_t>(name.size(), 11), ' '),
                    Printable(value), "\n");
  }
  return text;
}

std::string Listed(const google::protobuf::RepeatedPtrField<std::string>& names) {
  return names.empty() ? "-" : absl::StrJoin(names, ", ");
}

}  // namespace

std::string PrintHardList(const v1::ListHardResponse& page, absl::Time now) {
  if (page.sample_size() == 0) return "No hard samples match.\n";
  Table table({{"ID", true},
               {"WHEN", true},
               {"STREAM/SAMPLE"},
               {"ANSWER"},
               {"ENTROPY", true},
               {"VIEWS"},
               {"PICTURES"},
               {"LABEL"},
               {"REMARKS"}});
  for (const v1::HardSample& sample : page.sample()) {
    table.AddRow({absl::StrCat(sample.id()), Ago(absl::FromUnixMicros(sample.time_us()), now),
                  Name(sample), AnswerOf(sample), absl::StrFormat("%.3f", sample.entropy()),
                  Views(sample.present_view()), Views(sample.pixel_view()), LabelOf(sample),
                  sample.alone() ? "alone" : ""});
  }
  std::string text = table.ToString();
  absl::StrAppend(&text, "\n", page.sample_size(), " of ", page.total(),
                  " hard samples, newest first.\n");
  if (!page.next_page_token().empty()) {
    absl::StrAppend(
        &text, "Next page: the same with --page_token=", Printable(page.next_page_token()), "\n");
  }
  return text;
}

std::string PrintHardSample(const v1::HardSample& sample, const v1::DescribeResponse& network,
                            absl::Time now) {
  const absl::Time time = absl::FromUnixMicros(sample.time_us());
  const bool same_bundle = sample.bundle_sha256() == network.bundle_sha256();
  std::string text = Facts(
      {{"id", absl::StrCat(sample.id())},
       {"stream", absl::StrCat(sample.stream())},
       {"sample", absl::StrCat(sample.sequence())},
       {"when", absl::StrCat(absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone()),
                             " (", Ago(time, now), ")")},
       {"answer", AnswerOf(sample)},
       {"given by", GivenBy(sample)},
       {"entropy", absl::StrFormat("%.3f (0 is sure, 1 is a guess)", sample.entropy())},
       {"views", Views(sample.present_view())},
       {"pictures", Views(sample.pixel_view())},
       {"features", absl::StrCat(sample.features().size(), " bytes")},
       {"label", LabelOf(sample)},
       {"bundle", absl::StrCat(sample.bundle_sha256().substr(0, 12),
                               same_bundle ? "" : " (not the one the cloud runs now)")}});
  std::vector<std::string> names(network.class_name().begin(), network.class_name().end());
  if (!same_bundle || static_cast<int>(names.size()) != sample.scores_size()) {
    names.clear();
    for (int c = 0; c < sample.scores_size(); ++c) names.push_back(absl::StrCat("class ", c));
  }
  return text + "\n" + PrintClasses(names, Softmax(sample.scores()));
}

std::string PrintClassify(const v1::ClassifyResponse& answer, const v1::DescribeResponse& network) {
  std::string text =
      Facts({{"answer", answer.class_name()},
             {"exit", answer.exit()},
             {"entropy", absl::StrFormat("%.3f (0 is sure, 1 is a guess)", answer.entropy())},
             {"views", absl::StrCat(Views(answer.present_view()), " of 0-", network.views() - 1)}});
  return text + "\n" +
         PrintClasses({network.class_name().begin(), network.class_name().end()},
                      {answer.probability().begin(), answer.probability().end()});
}

std::string PrintStatus(const v1::StatusResponse& status, absl::Time now) {
  const v1::NodeStats& node = status.node();
  std::vector<std::pair<std::string, std::string>> facts = {
      {"network", status.network()},
      {"started", Ago(absl::FromUnixMicros(status.started_us()), now)}};
  for (const v1::RunningBundle& bundle : status.bundle()) {
    const bool first = facts.size() == 2;
    facts.emplace_back(first ? "bundle" : "beside it",
                       absl::StrCat(bundle.sha256().substr(0, 12), "; ", bundle.under_way(),
                                    " samples under way"));
    facts.emplace_back("connected", Listed(bundle.connected()));
    if (bundle.missing_size() > 0) facts.emplace_back("missing", Listed(bundle.missing()));
  }
  facts.emplace_back(
      "samples", absl::StrCat(node.entered(), ": ", node.answered(), " answered (", node.degraded(),
                              " degraded), ", node.shed(), " shed, ", node.expired(), " expired"));
  facts.emplace_back(
      "hard", absl::StrCat(status.hard(), "; ",
                           status.has_stored() ? absl::StrCat(status.stored(), " in the store")
                                               : "there is no store (--store)"));
  if (node.child_clock_size() > 1) {
    facts.emplace_back("clocks",
                       absl::StrFormat("its children's are %.1f ms apart", node.clock_skew_ms()));
  }
  for (const std::string& refused : node.refused_bundle()) facts.emplace_back("refused", refused);
  return Facts(facts);
}

Table WatchTable(const v1::DescribeResponse& network) {
  int widest = 0;
  for (const std::string& name : network.class_name()) {
    widest = std::max(widest, DisplayWidth(Printable(name)));
  }
  return Table({{"STREAM/SAMPLE", false, 14},
                {"ANSWER", false, widest},
                {"EXIT", false, 8},
                {"ENTROPY", true},
                {"VIEWS", false, 8},
                {"BYTES", true, 6},
                {"MS", true, 7},
                {"REMARKS"}});
}

std::string PrintAnswer(const Table& table, const v1::AnswerRecord& answer) {
  const std::string name = absl::StrCat(answer.stream(), "/", answer.sequence());
  if (answer.outcome() == "lost") return absl::StrCat("... ", Printable(answer.reason()), "\n");
  std::string remarks;
  const auto remark = [&remarks](const std::string& text) {
    if (!text.empty()) absl::StrAppend(&remarks, remarks.empty() ? "" : ", ", text);
  };
  if (answer.degraded()) remark("degraded");
  if (answer.hard()) remark("hard");
  remark(answer.reason());
  const bool answered = answer.outcome() == "answered";
  return table.Line({name, answered ? answer.class_name() : answer.outcome(),
                     answered ? answer.exit() : "-",
                     answered ? absl::StrFormat("%.3f", answer.entropy()) : "-",
                     Views(answer.present_view()), absl::StrCat(answer.payload_bytes()),
                     absl::StrFormat("%.1f", answer.latency_ms()), remarks});
}

}  // namespace ddnn

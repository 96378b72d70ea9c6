#include "cloud/query_requests.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "runtime/core/bundle.h"
#include "runtime/core/feature_code.h"
#include "runtime/core/score_codec.h"

namespace ddnn {
namespace {

constexpr int kDefaultPage = 50;
constexpr int kMaxPage = 1000;
constexpr size_t kMaxToken = 128;

absl::Status CheckClassName(const NetworkPlan& plan, const char* field, const std::string& name) {
  const auto& names = plan.spec().class_name();
  if (name.empty() || std::find(names.begin(), names.end(), name) != names.end()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(field, " is \"", name.substr(0, 100),
                                                 "\"; this network's classes are ",
                                                 absl::StrJoin(names, ", ")));
}

// FNV-1a: the same on every machine and in every run, unlike absl::Hash.
uint64_t Fingerprint(const HardFilter& filter) {
  const std::string text = absl::StrCat(filter.since ? absl::ToUnixMicros(*filter.since) : 0, " ",
                                        filter.until ? absl::ToUnixMicros(*filter.until) : 0, " ",
                                        filter.min_entropy, " ", filter.only_labelled ? 1 : 0,
                                        filter.only_unlabelled ? 1 : 0, " ", filter.class_name);
  uint64_t hash = 0xcbf29ce484222325u;
  for (unsigned char c : text) hash = (hash ^ c) * 0x100000001b3u;
  return hash;
}

absl::StatusOr<HardCursor> ParseToken(const HardFilter& filter, const std::string& token) {
  std::string text;
  HardCursor cursor;
  uint64_t fingerprint = 0;
  std::vector<std::string> parts;
  if (token.size() <= kMaxToken && absl::WebSafeBase64Unescape(token, &text)) {
    parts = absl::StrSplit(text, ':');
  }
  if (parts.size() != 3 || !absl::SimpleAtoi(parts[0], &cursor.time_us) ||
      !absl::SimpleAtoi(parts[1], &cursor.id) || !absl::SimpleAtoi(parts[2], &fingerprint)) {
    return absl::InvalidArgumentError(
        "page_token is not one that this service gave; leave it empty for the first page");
  }
  if (fingerprint != Fingerprint(filter)) {
    return absl::InvalidArgumentError(
        "page_token belongs to a list with another filter; keep the filter from page to page");
  }
  return cursor;
}

void AddViews(uint64_t presence, google::protobuf::RepeatedField<int32_t>* views) {
  for (int view = 0; view < 64; ++view) {
    if ((presence >> view) & 1) views->Add(view);
  }
}

}  // namespace

absl::StatusOr<WholeInput> CheckClassify(const NetworkPlan& plan,
                                         const v1::ClassifyRequest& request) {
  const Shape shape = plan.view_shape();
  const size_t view_bytes = static_cast<size_t>(shape.size());
  if (request.view_size() == 0) {
    return absl::InvalidArgumentError("view is empty; expected the picture of at least one view");
  }
  if (request.view_size() > plan.views()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "view has ", request.view_size(), " pictures; this network has ", plan.views(), " views"));
  }
  WholeInput input;
  input.pixels.assign(view_bytes * plan.views(), '\0');
  for (const v1::ClassifyView& view : request.view()) {
    if (view.view() < 0 || view.view() >= plan.views()) {
      return absl::InvalidArgumentError(
          absl::StrCat("view ", view.view(), " does not exist; expected 0 to ", plan.views() - 1));
    }
    if ((input.presence >> view.view()) & 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("view ", view.view(), " is given twice; expected one picture per view"));
    }
    if (view.pixels().size() != view_bytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("view ", view.view(), " has ", view.pixels().size(),
                       " bytes of pixels; expected ", view_bytes, " (", ToString(shape), ")"));
    }
    input.presence |= uint64_t{1} << view.view();
    std::copy(view.pixels().begin(), view.pixels().end(),
              input.pixels.begin() + static_cast<std::ptrdiff_t>(view_bytes * view.view()));
  }
  return input;
}

absl::StatusOr<ListQuery> CheckList(const NetworkPlan& plan, const v1::ListHardRequest& request) {
  ListQuery query;
  if (request.page_size() < 0 || request.page_size() > kMaxPage) {
    return absl::InvalidArgumentError(absl::StrCat("page_size is ", request.page_size(),
                                                   "; expected 1 to ", kMaxPage, ", or 0 for ",
                                                   kDefaultPage));
  }
  query.page_size = request.page_size() == 0 ? kDefaultPage : request.page_size();
  if (request.since_us() < 0 || request.until_us() < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("since_us is ", request.since_us(), " and until_us ", request.until_us(),
                     "; expected microseconds of Unix time, or 0 for no bound"));
  }
  if (request.until_us() > 0 && request.since_us() >= request.until_us()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "since_us (", request.since_us(), ") is not before until_us (", request.until_us(), ")"));
  }
  if (!(request.min_entropy() >= 0 && request.min_entropy() <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("min_entropy is ", request.min_entropy(), "; expected 0 to 1"));
  }
  if (request.only_labelled() && request.only_unlabelled()) {
    return absl::InvalidArgumentError(
        "only_labelled and only_unlabelled exclude each other; expected at most one");
  }
  absl::Status known = CheckClassName(plan, "class_name", request.class_name());
  if (!known.ok()) return known;
  if (request.since_us() > 0) query.filter.since = absl::FromUnixMicros(request.since_us());
  if (request.until_us() > 0) query.filter.until = absl::FromUnixMicros(request.until_us());
  query.filter.class_name = request.class_name();
  query.filter.min_entropy = static_cast<float>(request.min_entropy());
  query.filter.only_labelled = request.only_labelled();
  query.filter.only_unlabelled = request.only_unlabelled();
  if (!request.page_token().empty()) {
    auto cursor = ParseToken(query.filter, request.page_token());
    if (!cursor.ok()) return cursor.status();
    query.after = *cursor;
  }
  return query;
}

std::string PageToken(const HardFilter& filter, const HardCursor& cursor) {
  return absl::WebSafeBase64Escape(
      absl::StrCat(cursor.time_us, ":", cursor.id, ":", Fingerprint(filter)));
}

absl::Status CheckLabel(const NetworkPlan& plan, const v1::LabelHardRequest& request) {
  if (request.id() <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("id is ", request.id(), "; expected the id of a hard sample, 1 or more"));
  }
  return CheckClassName(plan, "label", request.label());
}

absl::StatusOr<HardAlone> FromProto(const NetworkPlan& plan, const v1::KeptSample& kept) {
  HardAlone alone;
  alone.view = kept.view();
  alone.log = kept.log();
  alone.number = kept.number();
  alone.after = kept.after();
  alone.in_doubt = kept.in_doubt();
  HardRecord& record = alone.record;
  record.alone = true;
  record.sample = {kept.stream(), kept.sequence()};
  record.time = absl::FromUnixMicros(std::max<int64_t>(kept.time_us(), 0));
  record.presence = uint64_t{1} << kept.view();
  if (!kept.bundle_sha256().empty()) {
    record.bundle_sha256 = ToHex(kept.bundle_sha256());
    record.class_index = -1;
    record.class_name = kept.class_name();
    record.exit = kept.exit_name();
    record.entropy = kept.expired() ? 1 : kept.entropy();
  } else if (!kept.expired()) {
    const ExitPlan& exit = plan.exits()[kept.exit()];
    record.exit = exit.name;
    record.class_index = static_cast<int>(kept.class_index());
    record.class_name = plan.spec().class_name(record.class_index);
    record.entropy = kept.entropy();
    if (!kept.scores().empty()) {
      absl::Status scores =
          UnpackScores(kept.scores(), plan.classes(), &record.scores, exit.score_code);
      if (!scores.ok()) return scores;
    }
  }
  if (!kept.pixels().empty()) record.pixels = {{kept.view(), kept.pixels()}};
  if (!kept.features().empty()) {
    record.features = kept.features();
    absl::Status features = RestoreFeatures(plan.node(0, kept.view()).features, &record.features);
    if (!features.ok()) return features;
  }
  return alone;
}

v1::HardSample ToProto(const HardRecord& record, bool whole) {
  v1::HardSample sample;
  sample.set_id(record.id);
  sample.set_stream(record.sample.stream);
  sample.set_sequence(record.sample.sequence);
  sample.set_time_us(absl::ToUnixMicros(record.time));
  sample.set_class_index(record.class_index);
  sample.set_class_name(record.class_name);
  sample.set_entropy(record.entropy);
  AddViews(record.presence, sample.mutable_present_view());
  for (float score : record.scores) sample.add_scores(score);
  sample.set_label(record.label);
  sample.set_bundle_sha256(record.bundle_sha256);
  sample.set_alone(record.alone);
  sample.set_exit(record.exit);
  for (const auto& [view, data] : record.pixels) {
    sample.add_pixel_view(view);
    if (!whole) continue;
    v1::HardPixels* pixels = sample.add_pixels();
    pixels->set_view(view);
    pixels->set_pixels(data);
  }
  if (whole) sample.set_features(record.features);
  return sample;
}

v1::ClassifyResponse ToProto(const NetworkPlan& plan, const Answer& answer) {
  v1::ClassifyResponse response;
  response.set_class_index(answer.class_index);
  response.set_class_name(plan.spec().class_name(answer.class_index));
  response.set_exit(plan.exits()[answer.exit].name);
  response.set_entropy(answer.entropy);
  AddViews(answer.presence, response.mutable_present_view());
  const auto finite = [](float score) { return std::isfinite(score); };
  if (answer.scores.empty() || !std::all_of(answer.scores.begin(), answer.scores.end(), finite)) {
    return response;
  }
  const double largest = *std::max_element(answer.scores.begin(), answer.scores.end());
  double sum = 0;
  for (float score : answer.scores) sum += std::exp(score - largest);
  for (float score : answer.scores) response.add_probability(std::exp(score - largest) / sum);
  return response;
}

}  // namespace ddnn

#include "runtime/net/protocol.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/core/bundle.h"
#include "runtime/core/feature_code.h"
#include "runtime/core/feature_codec.h"
#include "runtime/core/score_codec.h"
#include "runtime/net/status.h"

namespace ddnn {
namespace {

// Tags, lengths and numbers of one UpSample; and of each picture in it.
constexpr size_t kSampleOverhead = 96;
constexpr size_t kPixelsOverhead = 32;
constexpr size_t kBundleBytes = 32;  // of its SHA-256
// Hello, tags and whatever a later version adds.
constexpr size_t kMessageSlack = 1 << 10;

bool ScoresWanted(const NetworkPlan& plan, int child_tier) {
  return plan.tiers()[child_tier + 1].children_exit >= 0;
}

int CountViews(uint64_t mask) { return __builtin_popcountll(mask); }

bool HasView(const NodePlan& node, int view) {
  return view >= 0 && view < 64 && (node.views >> view & 1) != 0;
}

absl::Status CheckPixels(const NetworkPlan& plan, const NodePlan& node, const std::string& name,
                         const v1::UpSample& sample) {
  const size_t size = plan.view_shape().size();
  uint64_t seen = 0;
  for (const v1::ViewPixels& view : sample.pixels()) {
    if (!HasView(node, view.view())) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": pixels of view ", view.view(), ", which is not under it"));
    }
    if (seen >> view.view() & 1) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": pixels of view ", view.view(), " twice"));
    }
    seen |= uint64_t{1} << view.view();
    if (view.pixels().size() != size) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": pixels of view ", view.view(),
                                                     " have ", view.pixels().size(),
                                                     " bytes, expected ", size));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPresence(const NodePlan& node, const std::string& name, v1::UpSample* sample) {
  if (node.tier == 0 && sample->presence() == 0) sample->set_presence(node.views);
  if ((sample->presence() & ~node.views) != 0 || sample->presence() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": presence mask 0x", absl::Hex(sample->presence()),
                     ", expected at least one and only views of 0x", absl::Hex(node.views)));
  }
  return absl::OkStatus();
}

}  // namespace

std::string NodeName(const NetworkPlan& plan, int tier, int index) {
  return absl::StrCat(plan.tiers()[tier].name, ".", index);
}

size_t MaxUpSampleBytes(const NetworkPlan& plan, int tier, int index) {
  const NodePlan& node = plan.node(tier, index);
  return kSampleOverhead + 4 * static_cast<size_t>(plan.classes()) + PackedSize(node.features) +
         CountViews(node.views) * (plan.view_shape().size() + kPixelsOverhead);
}

size_t MaxKeptBytes(const NetworkPlan& plan, int view) {
  return kSampleOverhead + kLogBytes + kBundleBytes + 2 * (kMaxKeptName + 3) +
         4 * static_cast<size_t>(plan.classes()) +
         std::max<size_t>(PackedSize(plan.node(0, view).features), plan.view_shape().size());
}

size_t MaxUpBytes(const NetworkPlan& plan, int tier, int index) {
  size_t largest = kMergeBytes;
  for (int child : plan.node(tier, index).children) {
    largest = std::max(largest, MaxUpSampleBytes(plan, tier - 1, child));
  }
  for (int view = 0; view < plan.views(); ++view) {
    if (HasView(plan.node(tier, index), view)) {
      largest = std::max(largest, MaxKeptBytes(plan, view));
    }
  }
  return largest + kMessageSlack;
}

size_t MaxReceiveBytes(const NetworkPlan& plan, int tier, int index, bool asked) {
  const size_t limit = MaxUpBytes(plan, tier, index);
  if (!asked) return limit;
  return std::max(limit,
                  static_cast<size_t>(plan.views()) * (plan.view_shape().size() + 32) + 1024);
}

size_t MaxDownBytes() { return kMergeBytes + kMessageSlack; }

absl::StatusOr<int> CheckHello(const NetworkPlan& plan, int tier, int index,
                               absl::string_view bundle_sha256, const v1::Hello& hello) {
  if (hello.protocol_version() != kProtocolVersion) {
    return absl::FailedPreconditionError(absl::StrCat("protocol version ", hello.protocol_version(),
                                                      ", this parent speaks ", kProtocolVersion));
  }
  if (hello.bundle_sha256().size() != 32) {
    return absl::InvalidArgumentError(absl::StrCat(
        "hello: bundle_sha256 has ", hello.bundle_sha256().size(), " bytes, expected 32"));
  }
  if (hello.bundle_sha256() != bundle_sha256) {
    return absl::FailedPreconditionError(
        absl::StrCat("the child runs bundle ", ToHex(hello.bundle_sha256()),
                     ", its parent runs bundle ", ToHex(bundle_sha256)));
  }
  const NodePlan& node = plan.node(tier, index);
  if (tier == 0 || hello.tier() != plan.tiers()[tier - 1].name) {
    return absl::OutOfRangeError(
        absl::StrCat("tier \"", absl::string_view(hello.tier()).substr(0, 64), "\" does not join ",
                     NodeName(plan, tier, index), "; expected \"",
                     tier == 0 ? "" : plan.tiers()[tier - 1].name, "\""));
  }
  const auto& children = node.children;
  const auto place = std::find(children.begin(), children.end(), hello.node());
  if (place == children.end()) {
    return absl::OutOfRangeError(absl::StrCat(
        "node ", hello.node(), " of tier \"", hello.tier(), "\" is not a child of ",
        NodeName(plan, tier, index), "; its children are ", absl::StrJoin(children, ", ")));
  }
  return static_cast<int>(place - children.begin());
}

absl::Status CheckUpSample(const NetworkPlan& plan, int tier, int index, v1::UpSample* sample) {
  const NodePlan& node = plan.node(tier, index);
  const std::string name = absl::StrCat(NodeName(plan, tier, index), ": sample ", sample->stream(),
                                        "/", sample->sequence());
  const bool scores = !sample->scores().empty();
  const bool features = !sample->features().empty();
  if (sample->absent() && (scores || features)) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": absent, and yet has values"));
  }
  if (!sample->absent() && !scores && !features && sample->pixels().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": says nothing"));
  }
  if (scores && !ScoresWanted(plan, tier)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": scores, but the parent decides no exit over them"));
  }
  const size_t score_bytes =
      scores ? PackedScoresSize(plan.exits()[plan.tiers()[tier].exit].score_code, plan.classes())
             : 0;
  if (scores && sample->scores().size() != score_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": scores have ", sample->scores().size(),
                                                   " bytes, expected ", score_bytes));
  }
  if (features) {
    const absl::Status size = CheckTravelledSize(node.features, sample->features().size());
    if (!size.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": features have ", std::string(size.message())));
    }
  }
  if (scores || features) {
    absl::Status presence = CheckPresence(node, name, sample);
    if (!presence.ok()) return presence;
  }
  return CheckPixels(plan, node, name, *sample);
}

namespace {

// The answer that the device gave.
absl::Status CheckKeptAnswer(const NetworkPlan& plan, const std::string& name,
                             const v1::KeptSample& kept) {
  if (kept.class_index() >= static_cast<uint32_t>(plan.classes())) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": class ", kept.class_index(), ", the network has ", plan.classes()));
  }
  if (kept.exit() >= plan.exits().size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": exit ", kept.exit(), ", the network has ", plan.exits().size()));
  }
  if (!(kept.entropy() >= 0 && kept.entropy() <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": entropy ", kept.entropy(), ", expected 0 to 1"));
  }
  const size_t expected = PackedScoresSize(plan.exits()[kept.exit()].score_code, plan.classes());
  if (!kept.scores().empty() && kept.scores().size() != expected) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": scores have ", kept.scores().size(), " bytes, expected ", expected));
  }
  return absl::OkStatus();
}

// The answer of another bundle, whose classes and exits this one does not know.
absl::Status CheckForeignAnswer(const std::string& name, const v1::KeptSample& kept) {
  if (kept.bundle_sha256().size() != kBundleBytes) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": bundle_sha256 has ",
                                                   kept.bundle_sha256().size(), " bytes, expected ",
                                                   kBundleBytes));
  }
  if (kept.class_name().size() > kMaxKeptName || kept.exit_name().size() > kMaxKeptName) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": names of ", kept.class_name().size(),
                                                   " and ", kept.exit_name().size(),
                                                   " bytes, at most ", kMaxKeptName));
  }
  if (kept.class_index() != 0 || kept.exit() != 0 || !kept.scores().empty() ||
      !kept.features().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": of another bundle, expected names and a picture only"));
  }
  return absl::OkStatus();
}

// What it saw.
absl::Status CheckKeptValues(const NetworkPlan& plan, const std::string& name,
                             const v1::KeptSample& kept) {
  if (kept.features().empty() == kept.pixels().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", kept.features().size(),
                                                   " bytes of features and ", kept.pixels().size(),
                                                   " of pixels, expected one of the two"));
  }
  const size_t size = plan.view_shape().size();
  if (!kept.pixels().empty() && kept.pixels().size() != size) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": pixels have ", kept.pixels().size(), " bytes, expected ", size));
  }
  if (kept.features().empty()) return absl::OkStatus();
  const absl::Status travelled =
      CheckTravelledSize(plan.node(0, kept.view()).features, kept.features().size());
  if (travelled.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": features have ", std::string(travelled.message())));
}

absl::Status CheckLog(const std::string& name, const NodePlan& node, int view,
                      const std::string& log) {
  if (!HasView(node, view)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": view ", view, ", expected one of 0x", absl::Hex(node.views)));
  }
  if (log.size() != kLogBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": log has ", log.size(), " bytes, expected ", kLogBytes));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckKept(const NetworkPlan& plan, int tier, int index, const v1::KeptSample& kept) {
  const std::string name = absl::StrCat(NodeName(plan, tier, index), ": kept sample ",
                                        kept.stream(), "/", kept.sequence());
  absl::Status status = CheckLog(name, plan.node(tier, index), kept.view(), kept.log());
  if (!status.ok()) return status;
  if (kept.number() == 0 || kept.after() >= kept.number()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": number ", kept.number(), " after ",
                                                   kept.after(), ", expected more than that"));
  }
  if (kept.bundle_sha256().empty() && !(kept.class_name() + kept.exit_name()).empty()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": names, but not of which bundle"));
  }
  status = CheckKeptAnswer(plan, name, kept);
  if (status.ok() && !kept.bundle_sha256().empty()) status = CheckForeignAnswer(name, kept);
  return status.ok() ? CheckKeptValues(plan, name, kept) : status;
}

absl::Status CheckKeptAck(const NetworkPlan& plan, int tier, int index, const v1::KeptAck& ack) {
  return CheckLog("acknowledgement of a kept sample", plan.node(tier, index), ack.view(),
                  ack.log());
}

v1::DownAnswer ToProto(const Answer& answer) {
  v1::DownAnswer out;
  out.set_sequence(answer.sample.sequence);
  out.set_stream(answer.sample.stream);
  out.set_class_index(answer.class_index);
  out.set_exit(answer.exit);
  out.set_entropy(answer.entropy);
  out.set_presence(answer.presence);
  out.set_degraded(answer.degraded);
  out.set_hard(answer.hard);
  out.set_reason(CutText(answer.reason, kMaxReason));
  switch (answer.outcome) {
    case Outcome::kAnswered:
      out.set_outcome(v1::ANSWERED);
      break;
    case Outcome::kShed:
      out.set_outcome(v1::SHED);
      break;
    case Outcome::kExpired:
      out.set_outcome(v1::EXPIRED);
      break;
  }
  return out;
}

absl::StatusOr<Answer> FromProto(const NetworkPlan& plan, const v1::DownAnswer& answer) {
  if (answer.class_index() >= static_cast<uint32_t>(plan.classes())) {
    return absl::InvalidArgumentError(
        absl::StrCat("answer: class ", answer.class_index(), ", the network has ", plan.classes()));
  }
  if (answer.exit() >= plan.exits().size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("answer: exit ", answer.exit(), ", the network has ", plan.exits().size()));
  }
  if ((answer.presence() & ~plan.all_views()) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("answer: presence mask 0x", absl::Hex(answer.presence()),
                     ", the network's views are 0x", absl::Hex(plan.all_views())));
  }
  Answer out;
  out.sample = {answer.stream(), answer.sequence()};
  switch (answer.outcome()) {
    case v1::ANSWERED:
      out.outcome = Outcome::kAnswered;
      break;
    case v1::SHED:
      out.outcome = Outcome::kShed;
      break;
    case v1::EXPIRED:
      out.outcome = Outcome::kExpired;
      break;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("answer: unknown outcome ", static_cast<int>(answer.outcome())));
  }
  out.class_index = static_cast<int>(answer.class_index());
  out.exit = static_cast<int>(answer.exit());
  out.entropy = answer.entropy();
  out.presence = answer.presence();
  out.degraded = answer.degraded();
  out.hard = answer.hard();
  out.reason = CutText(answer.reason(), kMaxReason);
  return out;
}

}  // namespace ddnn

#include "models/spec_checks.h"

#include <cmath>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "models/layer_flow.h"
#include "models/training_checks.h"

namespace ddnn {
namespace {

constexpr size_t kMaxName = 64;

template <typename... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

// Names become parts of paths, metric names and keys in reports.
absl::Status CheckName(const std::string& what, const std::string& name) {
  bool plain = !name.empty() && name.size() <= kMaxName;
  for (char c : name) plain = plain && (absl::ascii_isalnum(c) || c == '_' || c == '-');
  if (plain) return absl::OkStatus();
  return Invalid(what, " is \"", absl::CHexEscape(name.substr(0, kMaxName)), "\", expected 1 to ",
                 kMaxName, " letters, digits, - and _");
}

// Class names become folders when hard samples are exported, and a list behind folder:DIR?classes=.
absl::Status CheckClassNames(const v1::NetworkSpec& spec) {
  if (spec.class_name_size() < 2 || spec.class_name_size() > kMaxClasses) {
    return Invalid("class_name: found ", spec.class_name_size(), " classes, expected 2 to ",
                   kMaxClasses);
  }
  std::set<std::string> seen;
  for (const std::string& name : spec.class_name()) {
    bool plain = !name.empty() && name.size() <= kMaxName && name[0] != '.';
    for (char c : name)
      plain = plain && !absl::ascii_iscntrl(c) && c != '/' && c != '\\' && c != ',';
    if (!plain) {
      return Invalid("class_name \"", absl::CHexEscape(name.substr(0, kMaxName)),
                     "\": expected 1 to ", kMaxName,
                     " characters without slashes and commas, not starting with a dot");
    }
    if (!seen.insert(name).second) return Invalid("class_name \"", name, "\" is there twice");
  }
  return absl::OkStatus();
}

absl::Status CheckInput(const v1::Input& input) {
  for (int64_t d : {input.channels(), input.height(), input.width()}) {
    if (d < 1 || d > 65536) {
      return Invalid("input is ", input.channels(), "x", input.height(), "x", input.width(),
                     ", expected 1 to 65536 in each dimension");
    }
  }
  if (int64_t{input.channels()} * input.height() > kMaxTensorValues ||
      int64_t{input.channels()} * input.height() * input.width() > kMaxTensorValues) {
    return Invalid("input is ", input.channels(), "x", input.height(), "x", input.width(),
                   ", more than ", kMaxTensorValues, " values");
  }
  // Some pixel is exactly 0 then: what a missing view counts as.
  if (input.offset() < 0 || input.offset() > 255) {
    return Invalid("input.offset is ", input.offset(), ", expected 0 to 255");
  }
  if (!(input.scale() >= 1e-6f && input.scale() <= 1e6f)) {
    return Invalid("input.scale is ", input.scale(), ", expected 1e-6 to 1e6");
  }
  return absl::OkStatus();
}

absl::Status CheckExit(const std::string& tier, const v1::Exit& exit, std::set<std::string>* seen) {
  absl::Status status = CheckName(absl::StrCat(tier, ".exit.name"), exit.name());
  if (!status.ok()) return status;
  // Reports have one accuracy per exit and this one.
  if (exit.name() == "overall") return Invalid(tier, ".exit.name must not be \"overall\"");
  if (!seen->insert(exit.name()).second) {
    return Invalid(tier, ".exit.name \"", exit.name(), "\" is there twice");
  }
  for (float weight : {exit.weight(), exit.each_weight()}) {
    if (!(weight >= 0 && weight <= 1e6f)) {
      return Invalid(tier, ".exit has weight ", weight, ", expected 0 to 1e6");
    }
  }
  const v1::ScoreCode& code = exit.score_code();
  if (exit.has_score_code() && (code.bits() < 2 || code.bits() > 8)) {
    return Invalid(tier, ".exit.score_code has bits ", code.bits(), ", expected 2 to 8");
  }
  if (exit.has_score_code() && !(code.range() >= 1e-6f && code.range() <= 1e6f)) {
    return Invalid(tier, ".exit.score_code has range ", code.range(), ", expected 1e-6 to 1e6");
  }
  return absl::OkStatus();
}

absl::Status CheckTiers(const v1::NetworkSpec& spec) {
  if (spec.tier_size() < 1 || spec.tier_size() > kMaxTiers) {
    return Invalid("tier: found ", spec.tier_size(), " tiers, expected 1 to ", kMaxTiers);
  }
  std::set<std::string> tiers, exits;
  for (const v1::Tier& tier : spec.tier()) {
    absl::Status status = CheckName("tier.name", tier.name());
    if (!status.ok()) return status;
    if (!tiers.insert(tier.name()).second) {
      return Invalid("tier.name \"", tier.name(), "\" is there twice");
    }
    const int layers = tier.layer_size() + tier.exit().layer_size();
    if (layers > kMaxLayers) {
      return Invalid(tier.name(), ": ", layers, " layers, expected at most ", kMaxLayers);
    }
    if (!tier.has_exit()) continue;
    status = CheckExit(tier.name(), tier.exit(), &exits);
    if (!status.ok()) return status;
  }
  const v1::Tier& root = spec.tier(spec.tier_size() - 1);
  if (!root.has_exit()) return Invalid(root.name(), ": the last tier must have an exit");
  if (spec.tier(0).has_features()) {
    return Invalid(spec.tier(0).name(), ": the device tier has nothing to join, found features");
  }
  if (spec.tier(0).node_size() > 0) {
    return Invalid(spec.tier(0).name(), ": the device tier has one node per view, found node");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSpec(const v1::NetworkSpec& spec) {
  absl::Status status = CheckName("name", spec.name());
  if (status.ok()) status = CheckInput(spec.input());
  if (status.ok() && (spec.views() < 1 || spec.views() > kMaxViews)) {
    status = Invalid("views is ", spec.views(), ", expected 1 to ", kMaxViews);
  }
  if (status.ok()) status = CheckClassNames(spec);
  if (status.ok()) status = CheckTiers(spec);
  if (status.ok()) status = CheckTraining(spec);
  return status;
}

std::string LayerPlace(const std::string& section, const v1::Layer& layer, int index) {
  if (layer.name().empty()) return absl::StrCat(section, ".", index);
  return absl::StrCat(section, ".", absl::CHexEscape(layer.name().substr(0, kMaxName)));
}

}  // namespace ddnn

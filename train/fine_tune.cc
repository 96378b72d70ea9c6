#include "train/fine_tune.h"

#include <google/protobuf/util/message_differencer.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace ddnn::train {
namespace {

// What decides the function and no section holds.
v1::NetworkSpec Frame(const NetworkPlan& plan) {
  v1::NetworkSpec frame;
  *frame.mutable_input() = plan.spec().input();
  frame.set_views(plan.views());
  for (const v1::Tier& tier : plan.spec().tier()) {
    v1::Tier* to = frame.add_tier();
    *to = tier;
    to->clear_layer();
    to->mutable_exit()->clear_layer();
    to->mutable_exit()->clear_weight();
    to->mutable_exit()->clear_each_weight();
  }
  return frame;
}

absl::Status Unfit(const std::string& why) {
  return absl::InvalidArgumentError(
      absl::StrCat("the bundle to start from does not fit the network: ", why));
}

absl::Status CheckFrame(const NetworkPlan& found, const NetworkPlan& expected) {
  google::protobuf::util::MessageDifferencer differencer;
  std::string report;
  differencer.ReportDifferencesToString(&report);
  if (differencer.Compare(Frame(found), Frame(expected))) return absl::OkStatus();
  return Unfit(absl::StrCat("(bundle -> network) ",
                            absl::StrJoin(absl::StrSplit(report, '\n', absl::SkipEmpty()), "; ")));
}

}  // namespace

absl::StatusOr<std::vector<v1::Section>> SectionsToStartFrom(const Bundle& bundle,
                                                             const NetworkPlan& plan) {
  absl::Status status = CheckFrame(bundle.plan, plan);
  if (!status.ok()) return status;
  std::vector<v1::Section> sections;
  for (const TierPlan& tier : plan.tiers()) {
    for (const NodePlan& node : tier.nodes) {
      const std::string name = absl::StrCat("section ", tier.name, "-", node.index);
      const auto found = bundle.sections.find({node.tier, node.index});
      if (found == bundle.sections.end()) {
        return Unfit(name + " is not there");
      }
      v1::Section section = found->second;
      section.set_network(plan.spec().name());
      status = CheckSection(plan, section);
      if (!status.ok()) return Unfit(absl::StrCat(name, ": ", status.message()));
      sections.push_back(std::move(section));
    }
  }
  return sections;
}

}  // namespace ddnn::train

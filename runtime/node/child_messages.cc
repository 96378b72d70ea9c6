#include "runtime/node/child_messages.h"

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "runtime/core/feature_code.h"
#include "runtime/core/feature_codec.h"
#include "runtime/core/score_codec.h"

namespace ddnn {
namespace {

std::string Views(uint64_t views) { return absl::StrCat("0x", absl::Hex(views)); }

}  // namespace

ChildMessages::ChildMessages(const NetworkPlan& plan, int tier, int index)
    : plan_(plan), tier_(tier), index_(index) {
  const NodePlan& node = plan.node(tier, index);
  if (tier == 0) views_.push_back(node.views);
  for (int child : node.children) views_.push_back(plan.node(tier - 1, child).views);
}

std::string ChildMessages::Name(int child) const {
  if (tier_ == 0) return absl::StrCat("the camera of view ", index_);
  return absl::StrCat("node ", plan_.node(tier_, index_).children[child], " of tier ",
                      plan_.tiers()[tier_ - 1].name);
}

const ValueType& ChildMessages::type(int child) const {
  if (tier_ == 0) return plan_.node(0, index_).input;
  return plan_.node(tier_ - 1, plan_.node(tier_, index_).children[child]).features;
}

size_t ChildMessages::feature_bytes(int child) const { return PackedSize(type(child)); }

absl::Status ChildMessages::CheckSlot(int child) const {
  if (child >= 0 && child < slots()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("child ", child, " of node ", index_, " of tier ",
                                                 plan_.tiers()[tier_].name, ", which has ",
                                                 slots()));
}

absl::Status ChildMessages::CheckPresence(int child, uint64_t* presence) const {
  const uint64_t views = views_[child];
  const bool one_view = (views & (views - 1)) == 0;
  if (*presence == 0 && one_view) *presence = views;
  if (*presence != 0 && (*presence & ~views) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(Name(child), " speaks for the views ",
                                                 Views(*presence), ", expected some of ",
                                                 Views(views)));
}

absl::Status ChildMessages::CheckScores(int child, const std::string& packed,
                                        std::vector<float>* scores) const {
  const ExitPlan& exit = plan_.exits()[plan_.tiers()[tier_].children_exit];
  const absl::Status ok = UnpackScores(packed, plan_.classes(), scores, exit.score_code);
  if (ok.ok()) return ok;
  return absl::InvalidArgumentError(
      absl::StrCat("scores of ", Name(child), ": ", std::string(ok.message())));
}

absl::Status ChildMessages::RestoreFeatures(int child, std::string* features) {
  if (absl::Status ok = ddnn::RestoreFeatures(type(child), features); !ok.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("features of ", Name(child), " have ", std::string(ok.message())));
  }
  // Any bytes are pixels.
  if (type(child).kind == ValueKind::kPixel) return absl::OkStatus();
  // Unpacked here only to be checked: a sample must not fail later for what one child sent.
  scratch_.resize(type(child).shape.size());
  const absl::Status ok =
      UnpackFeatures(type(child), plan_.spec().input(), *features, absl::MakeSpan(scratch_));
  if (ok.ok()) return ok;
  return absl::InvalidArgumentError(
      absl::StrCat("features of ", Name(child), ": ", std::string(ok.message())));
}

absl::Status ChildMessages::CheckPixels(
    int child, const std::vector<std::pair<int, std::string>>& pixels) const {
  const size_t expected = static_cast<size_t>(plan_.view_shape().size());
  for (const auto& [view, bytes] : pixels) {
    if (view < 0 || view >= plan_.views() || ((views_[child] >> view) & 1) == 0) {
      return absl::InvalidArgumentError(absl::StrCat("pixels of view ", view, " from ", Name(child),
                                                     ", which has the views ",
                                                     Views(views_[child])));
    }
    if (bytes.size() != expected) {
      return absl::InvalidArgumentError(absl::StrCat("pixels of view ", view, " from ", Name(child),
                                                     " have ", bytes.size(), " bytes, expected ",
                                                     expected));
    }
  }
  return absl::OkStatus();
}

}  // namespace ddnn

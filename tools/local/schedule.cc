#include "tools/local/schedule.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace ddnn {
namespace {

absl::Status BadEvent(const std::string& text, const std::string& why) {
  return absl::InvalidArgumentError(
      absl::StrCat("'", text, "': ", why, "; expected TIER@SAMPLES or TIER=NODE@SAMPLES"));
}

absl::StatusOr<NodeEvent> ParseEvent(const NetworkPlan& plan, const std::string& text) {
  NodeEvent event;
  const std::pair<std::string, std::string> halves = absl::StrSplit(text, absl::MaxSplits('@', 1));
  if (!absl::SimpleAtoi(halves.second, &event.at) || event.at < 0) {
    return BadEvent(text, "no number of samples behind '@'");
  }
  const std::pair<std::string, std::string> place =
      absl::StrSplit(halves.first, absl::MaxSplits('=', 1));
  const absl::StatusOr<int> tier = plan.FindTier(place.first);
  if (!tier.ok()) return BadEvent(text, std::string(tier.status().message()));
  event.tier = *tier;
  const int nodes = static_cast<int>(plan.tiers()[event.tier].nodes.size());
  if (place.second.empty()) {
    if (nodes != 1) return BadEvent(text, absl::StrCat("which of ", nodes, " nodes?"));
    return event;
  }
  if (!absl::SimpleAtoi(place.second, &event.node) || event.node < 0 || event.node >= nodes) {
    return BadEvent(text, absl::StrCat("node ", place.second, " is not among 0 to ", nodes - 1));
  }
  return event;
}

}  // namespace

absl::StatusOr<std::vector<NodeEvent>> ParseEvents(const NetworkPlan& plan,
                                                   const std::vector<std::string>& kills,
                                                   const std::vector<std::string>& restarts) {
  std::vector<NodeEvent> events;
  for (const std::string& text : kills) {
    absl::StatusOr<NodeEvent> event = ParseEvent(plan, text);
    if (!event.ok()) return event.status();
    events.push_back(*event);
  }
  const size_t kill_count = events.size();
  for (const std::string& text : restarts) {
    absl::StatusOr<NodeEvent> event = ParseEvent(plan, text);
    if (!event.ok()) return event.status();
    event->restart = true;
    if (event->tier == 0) return BadEvent(text, "a device cannot be restarted in its source");
    const bool killed_before =
        std::any_of(events.begin(), events.begin() + kill_count, [&](const NodeEvent& kill) {
          return kill.tier == event->tier && kill.node == event->node && kill.at < event->at;
        });
    if (!killed_before) return BadEvent(text, "that node is not killed before");
    events.push_back(*event);
  }
  std::stable_sort(events.begin(), events.end(),
                   [](const NodeEvent& a, const NodeEvent& b) { return a.at < b.at; });
  return events;
}

std::string NodeName(const NetworkPlan& plan, int tier, int node) {
  const TierPlan& level = plan.tiers()[tier];
  if (tier > 0 && level.nodes.size() == 1) return level.name;
  return absl::StrCat(level.name, "-", node);
}

}  // namespace ddnn

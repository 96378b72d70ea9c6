#include "runtime/core/aggregate.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "runtime/core/feature_codec.h"

namespace ddnn {
namespace {

// Where one child's values lie in the joined map, in values.
struct Place {
  size_t first = 0;           // offset of the child's [0, 0, 0]
  size_t row_stride = 0;      // between rows
  size_t channel_stride = 0;  // between channels
};

// MP and AP lay all children over each other: then every child's place is the whole map.
Place PlaceOf(const NetworkPlan& plan, const NodePlan& node, size_t slot) {
  const Shape& joined = node.input.shape;
  const v1::Aggregation& how = plan.tiers()[node.tier].features;
  Place place;
  place.row_stride = static_cast<size_t>(joined.width);
  place.channel_stride = static_cast<size_t>(joined.height) * joined.width;
  if (how.kind() != v1::CC) return place;
  const auto& below = plan.tiers()[node.tier - 1].nodes;
  if (how.has_grid()) {
    const Shape& tile = below[node.children[slot]].features.shape;
    const size_t row = slot / how.grid().columns(), column = slot % how.grid().columns();
    place.first = row * tile.height * joined.width + column * tile.width;
    return place;
  }
  for (size_t s = 0; s < slot; ++s) {
    place.first += static_cast<size_t>(below[node.children[s]].features.shape.size());
  }
  return place;
}

// Calls fn(index in the joined map, index in the child's map) for every value of the child.
template <typename Fn>
void ForEachValue(const Shape& child, const Place& place, Fn fn) {
  size_t from = 0;
  for (int c = 0; c < child.channels; ++c) {
    for (int y = 0; y < child.height; ++y) {
      const size_t row = place.first + c * place.channel_stride + y * place.row_stride;
      for (int x = 0; x < child.width; ++x) fn(row + x, from++);
    }
  }
}

// A node without layers packs what it joined, and a bit cannot say that nothing came: the presence
// mask does.
void ZeroMissing(const NetworkPlan& plan, const NodePlan& node, uint64_t presence,
                 absl::Span<float> values) {
  if (node.tier == 0 || !node.body.empty()) return;
  for (size_t slot = 0; slot < node.children.size(); ++slot) {
    const NodePlan& child = plan.node(node.tier - 1, node.children[slot]);
    if ((child.views & ~presence) == 0) continue;
    const Place place = PlaceOf(plan, node, slot);
    std::vector<float> part(static_cast<size_t>(child.features.shape.size()), 0.0f);
    if ((child.views & presence) != 0) {
      ForEachValue(child.features.shape, place,
                   [&](size_t to, size_t from) { part[from] = values[to]; });
      ZeroMissing(plan, child, presence, absl::MakeSpan(part));
    }
    ForEachValue(child.features.shape, place,
                 [&](size_t to, size_t from) { values[to] = part[from]; });
  }
}

absl::Status CheckChild(const NodePlan& child, const ChildFeatures& features) {
  if ((features.presence & ~child.views) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("child ", child.index, " says views 0x", absl::Hex(features.presence),
                     " went into its features, expected some of 0x", absl::Hex(child.views)));
  }
  // A device has just the one view and need not say so.
  if (features.presence == 0 && child.tier > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("child ", child.index, " has features of no view"));
  }
  return absl::OkStatus();
}

absl::Status UnpackChild(const NetworkPlan& plan, const NodePlan& child,
                         const ChildFeatures& features, std::vector<float>* values) {
  absl::Status status = CheckChild(child, features);
  if (!status.ok()) return status;
  // Packed features of a wrong size must not make us allocate; the right size is bounded.
  values->resize(static_cast<size_t>(child.features.shape.size()));
  status =
      UnpackFeatures(child.features, plan.spec().input(), features.packed, absl::MakeSpan(*values));
  if (!status.ok()) {
    return absl::Status(status.code(), absl::StrCat("child ", child.index, ": ", status.message()));
  }
  ZeroMissing(plan, child, features.presence, absl::MakeSpan(*values));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<float>> JoinScores(v1::Aggregator kind,
                                              absl::Span<const std::vector<float>> children) {
  size_t classes = 0, present = 0;
  for (const std::vector<float>& child : children) {
    if (child.empty()) continue;
    ++present;
    if (classes == 0) classes = child.size();
    if (child.size() != classes) {
      return absl::InvalidArgumentError(
          absl::StrCat("children have ", classes, " and ", child.size(), " scores"));
    }
  }
  if (present == 0) return absl::FailedPreconditionError("scores of all children are missing");
  if (kind == v1::CC) {
    std::vector<float> joined(children.size() * classes, 0.0f);
    for (size_t s = 0; s < children.size(); ++s) {
      std::copy(children[s].begin(), children[s].end(), joined.begin() + s * classes);
    }
    return joined;
  }
  if (kind != v1::MP && kind != v1::AP) {
    return absl::InvalidArgumentError(
        absl::StrCat("scores are joined by ", static_cast<int>(kind), ", expected MP, AP or CC"));
  }
  std::vector<float> joined;
  for (const std::vector<float>& child : children) {
    if (child.empty()) continue;
    if (joined.empty()) {
      joined = child;
      continue;
    }
    for (size_t i = 0; i < classes; ++i) {
      // Not-a-number wins: such scores never exit.
      if (kind == v1::AP) {
        joined[i] += child[i];
      } else if (!(child[i] <= joined[i])) {
        joined[i] = joined[i] != joined[i] ? joined[i] : child[i];
      }
    }
  }
  if (kind == v1::AP) {
    for (float& score : joined) score /= static_cast<float>(present);
  }
  return joined;
}

absl::StatusOr<std::vector<float>> JoinFeatures(const NetworkPlan& plan, int tier, int index,
                                                absl::Span<const ChildFeatures> children) {
  const NodePlan& node = plan.node(tier, index);
  if (children.size() != node.children.size()) {
    return absl::InvalidArgumentError(absl::StrCat("features of ", children.size(),
                                                   " children, expected ", node.children.size()));
  }
  const v1::Aggregator kind = plan.tiers()[tier].features.kind();
  std::vector<float> joined(static_cast<size_t>(node.input.shape.size()), 0.0f);
  std::vector<float> values;
  int present = 0;
  for (size_t slot = 0; slot < children.size(); ++slot) {
    if (children[slot].packed.empty()) continue;
    const NodePlan& child = plan.node(tier - 1, node.children[slot]);
    absl::Status status = UnpackChild(plan, child, children[slot], &values);
    if (!status.ok()) return status;
    const bool first = present++ == 0;
    const Place place = PlaceOf(plan, node, slot);
    ForEachValue(child.features.shape, place, [&](size_t to, size_t from) {
      if (first || kind == v1::CC) {
        joined[to] = values[from];
      } else if (kind == v1::AP) {
        joined[to] += values[from];
      } else {
        joined[to] = std::max(joined[to], values[from]);
      }
    });
  }
  if (present == 0) return absl::FailedPreconditionError("features of all children are missing");
  if (kind == v1::AP) {
    for (float& value : joined) value /= static_cast<float>(present);
  }
  return joined;
}

}  // namespace ddnn

#include "runtime/core/aggregate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/core/feature_codec.h"
#include "tests/support/random_network.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Scores = std::vector<std::vector<float>>;

TEST(JoinScores, KnowsASmallCase) {
  const Scores children = {{1, 5, -2}, {}, {3, 1, -4}};
  EXPECT_THAT(*JoinScores(v1::MP, children), ElementsAre(3, 5, -2));
  EXPECT_THAT(*JoinScores(v1::AP, children), ElementsAre(2, 3, -3));
  EXPECT_THAT(*JoinScores(v1::CC, children), ElementsAre(1, 5, -2, 0, 0, 0, 3, 1, -4));
}

TEST(JoinScores, NothingFromNobody) {
  for (v1::Aggregator kind : {v1::MP, v1::AP, v1::CC}) {
    EXPECT_EQ(JoinScores(kind, Scores(3)).status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(JoinScores(kind, Scores()).status().code(), absl::StatusCode::kFailedPrecondition);
  }
}

TEST(JoinScores, RefusesChildrenThatDiffer) {
  for (v1::Aggregator kind : {v1::MP, v1::AP, v1::CC}) {
    const absl::Status status = JoinScores(kind, Scores{{1, 2}, {1, 2, 3}}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("2 and 3"));
  }
  EXPECT_FALSE(JoinScores(v1::AGGREGATOR_UNSPECIFIED, Scores{{1, 2}}).ok());
}

TEST(JoinScores, AMissingChildChangesNothingInMaximumAndAverage) {
  Random random(30);
  for (int i = 0; i < 300; ++i) {
    const int classes = RandomInt(2, 6, &random);
    Scores present, slots;
    for (int s = RandomInt(1, 6, &random); s > 0; --s) {
      slots.resize(slots.size() + static_cast<size_t>(RandomInt(0, 2, &random)));
      std::vector<float> scores(static_cast<size_t>(classes));
      for (float& x : scores) x = RandomFloat(-9, 9, &random);
      present.push_back(scores);
      slots.push_back(scores);
    }
    slots.resize(slots.size() + static_cast<size_t>(RandomInt(0, 2, &random)));
    for (v1::Aggregator kind : {v1::MP, v1::AP}) {
      EXPECT_EQ(*JoinScores(kind, slots), *JoinScores(kind, present));
    }
    // Fixed slots, and no trace of the missing.
    const std::vector<float> joined = *JoinScores(v1::CC, slots);
    ASSERT_EQ(joined.size(), slots.size() * static_cast<size_t>(classes));
    for (size_t s = 0; s < slots.size(); ++s) {
      for (size_t c = 0; c < static_cast<size_t>(classes); ++c) {
        EXPECT_EQ(joined[s * static_cast<size_t>(classes) + c], slots[s].empty() ? 0 : slots[s][c]);
      }
    }
  }
}

TEST(JoinScores, NotANumberStaysWhateverTheOrder) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (v1::Aggregator kind : {v1::MP, v1::AP}) {
    EXPECT_TRUE(std::isnan((*JoinScores(kind, Scores{{nan, 1}, {2, 2}}))[0]));
    EXPECT_TRUE(std::isnan((*JoinScores(kind, Scores{{2, 2}, {nan, 1}, {3, 3}}))[0]));
  }
}

// What a child sends, and what its parent must see of it: zeros where views are missing.
struct Child {
  ChildFeatures sent;
  std::vector<float> seen;
};

std::vector<float> RandomValues(const NetworkPlan& plan, const ValueType& type, Random* random) {
  std::vector<float> values(static_cast<size_t>(type.shape.size()));
  const v1::Input& input = plan.spec().input();
  for (float& x : values) {
    if (type.kind == ValueKind::kPixel) {
      x = static_cast<float>(RandomInt(0, 255, random) - input.offset()) * input.scale();
    } else if (type.kind == ValueKind::kBit) {
      x = RandomInt(0, 1, random) == 0 ? -1.0f : 1.0f;
    } else {
      x = RandomFloat(-100, 100, random);
    }
  }
  return values;
}

// Position of value (c, y, x) of the child in `slot`, written down plainly.
size_t At(const NetworkPlan& plan, const NodePlan& node, size_t slot, int c, int y, int x) {
  const Shape& joined = node.input.shape;
  const v1::Aggregation& how = plan.tiers()[node.tier].features;
  if (how.kind() == v1::CC && how.has_grid()) {
    const Shape& tile = plan.node(node.tier - 1, node.children[slot]).features.shape;
    y += static_cast<int>(slot) / how.grid().columns() * tile.height;
    x += static_cast<int>(slot) % how.grid().columns() * tile.width;
  } else if (how.kind() == v1::CC) {
    for (size_t s = 0; s < slot; ++s) {
      c += plan.node(node.tier - 1, node.children[s]).features.shape.channels;
    }
  }
  return (static_cast<size_t>(c) * joined.height + y) * joined.width + x;
}

// Joins by the definition.
std::vector<float> Reference(const NetworkPlan& plan, const NodePlan& node,
                             const std::vector<Child>& children) {
  std::vector<float> joined(static_cast<size_t>(node.input.shape.size()), 0.0f);
  std::vector<int> count(joined.size(), 0);
  const v1::Aggregator kind = plan.tiers()[node.tier].features.kind();
  for (size_t slot = 0; slot < children.size(); ++slot) {
    if (children[slot].sent.packed.empty()) continue;
    const Shape& shape = plan.node(node.tier - 1, node.children[slot]).features.shape;
    size_t from = 0;
    for (int c = 0; c < shape.channels; ++c) {
      for (int y = 0; y < shape.height; ++y) {
        for (int x = 0; x < shape.width; ++x) {
          const float value = children[slot].seen[from++];
          const size_t to = At(plan, node, slot, c, y, x);
          const bool larger = count[to] == 0 || value > joined[to];
          ++count[to];
          if (kind == v1::AP) {
            joined[to] += value;
          } else if (larger) {
            joined[to] = value;
          }
        }
      }
    }
  }
  for (size_t i = 0; i < joined.size() && kind == v1::AP; ++i) {
    joined[i] /= static_cast<float>(count[i]);
  }
  return joined;
}

Child DrawChild(const NetworkPlan& plan, const NodePlan& child, Random* random) {
  Child drawn;
  drawn.sent.presence = (*random)() & child.views;
  if (drawn.sent.presence == 0) return drawn;
  drawn.seen = RandomValues(plan, child.features, random);
  drawn.sent.packed = PackFeatures(child.features, plan.spec().input(), drawn.seen);
  if (child.tier == 0 || !child.body.empty()) return drawn;
  // It has no layers: whatever stands in the slots of missing views, the parent sees zeros.
  for (size_t slot = 0; slot < child.children.size(); ++slot) {
    const NodePlan& below = plan.node(child.tier - 1, child.children[slot]);
    if ((below.views & drawn.sent.presence) != 0) continue;
    const Shape& shape = below.features.shape;
    for (int c = 0; c < shape.channels; ++c) {
      for (int y = 0; y < shape.height; ++y) {
        for (int x = 0; x < shape.width; ++x) drawn.seen[At(plan, child, slot, c, y, x)] = 0;
      }
    }
  }
  return drawn;
}

TEST(JoinFeatures, EqualsTheDefinitionWhoeverIsMissing) {
  Random random(31);
  int joins = 0, missing = 0;
  for (int i = 0; i < 600; ++i) {
    absl::StatusOr<NetworkPlan> plan = NetworkPlan::Create(RandomSpec({}, &random));
    ASSERT_TRUE(plan.ok()) << plan.status();
    for (int t = 1; t <= plan->root_tier(); ++t) {
      for (const NodePlan& node : plan->tiers()[t].nodes) {
        std::vector<Child> children;
        std::vector<ChildFeatures> sent;
        for (int child : node.children) {
          children.push_back(DrawChild(*plan, plan->node(t - 1, child), &random));
          sent.push_back(children.back().sent);
        }
        absl::StatusOr<std::vector<float>> joined = JoinFeatures(*plan, t, node.index, sent);
        const bool nobody =
            std::all_of(sent.begin(), sent.end(), [](const auto& c) { return c.packed.empty(); });
        if (nobody) {
          EXPECT_EQ(joined.status().code(), absl::StatusCode::kFailedPrecondition);
          ++missing;
          continue;
        }
        ASSERT_TRUE(joined.ok()) << joined.status() << plan->spec().DebugString();
        ASSERT_EQ(*joined, Reference(*plan, node, children)) << plan->spec().DebugString();
        ++joins;
      }
    }
  }
  EXPECT_GT(joins, 400);
  EXPECT_GT(missing, 20);
}

// Three tiers, the middle one without layers: zeros of a missing view must not come out as -1.
TEST(JoinFeatures, TellsMissingBitsFromMinusOne) {
  absl::StatusOr<NetworkPlan> plan = LoadNetwork(SourcePath("models/figure2/c.textproto"));
  ASSERT_TRUE(plan.ok()) << plan.status();
  const ValueType& type = plan->node(1, 0).features;
  ChildFeatures edge;
  edge.packed = std::string(PackedSize(type), '\0');
  edge.presence = 0b000100;
  const std::vector<float> joined = *JoinFeatures(*plan, 2, 0, {edge});
  const size_t one = static_cast<size_t>(plan->node(0, 0).features.shape.size());
  for (size_t i = 0; i < joined.size(); ++i) {
    ASSERT_EQ(joined[i], i / one == 2 ? -1.0f : 0.0f) << i;
  }
}

class JoinFeaturesRefusal : public testing::Test {
 protected:
  JoinFeaturesRefusal() {
    absl::StatusOr<NetworkPlan> plan = LoadNetwork(SourcePath("models/figure2/f.textproto"));
    EXPECT_TRUE(plan.ok()) << plan.status();
    plan_ = *plan;
    const ValueType& type = plan_.node(1, 0).features;
    for (int edge = 0; edge < 2; ++edge) {
      edges_.push_back({std::string(PackedSize(type), '\1'), plan_.node(1, edge).views});
    }
  }
  absl::Status Join() { return JoinFeatures(plan_, 2, 0, edges_).status(); }

  NetworkPlan plan_;
  std::vector<ChildFeatures> edges_;
};

TEST_F(JoinFeaturesRefusal, TakesWhatFits) { EXPECT_TRUE(Join().ok()) << Join(); }

TEST_F(JoinFeaturesRefusal, OfAWrongSize) {
  edges_[1].packed.pop_back();
  EXPECT_EQ(Join().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(Join().message()), HasSubstr("child 1"));
}

TEST_F(JoinFeaturesRefusal, OfAViewOfSomebodyElse) {
  edges_[0].presence = 0b001001;
  EXPECT_EQ(Join().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(Join().message()), HasSubstr("child 0"));
}

TEST_F(JoinFeaturesRefusal, OfNoView) {
  edges_[0].presence = 0;
  EXPECT_EQ(Join().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(JoinFeaturesRefusal, OfTooManyChildren) {
  edges_.push_back(edges_[0]);
  EXPECT_EQ(Join().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(Join().message()), HasSubstr("3 children, expected 2"));
}

}  // namespace
}  // namespace ddnn

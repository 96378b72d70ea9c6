#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "models/section_layout.h"
#include "tests/support/random_network.h"

namespace ddnn {
namespace {

// What every plan must hold, whatever the spec.
void ExpectTreeHolds(const NetworkPlan& plan) {
  for (const TierPlan& tier : plan.tiers()) {
    uint64_t views = 0;
    for (const NodePlan& node : tier.nodes) {
      EXPECT_EQ(views & node.views, 0u) << "a view is under two nodes of one tier";
      views |= node.views;
      if (node.tier == plan.root_tier()) {
        EXPECT_EQ(node.parent, -1);
        continue;
      }
      const NodePlan& parent = plan.node(node.tier + 1, node.parent);
      ASSERT_LT(node.slot, static_cast<int>(parent.children.size()));
      EXPECT_EQ(parent.children[node.slot], node.index);
    }
    EXPECT_EQ(views, plan.all_views());
  }
  ASSERT_FALSE(plan.exits().empty());
  EXPECT_EQ(plan.exits().back().decided_tier, plan.root_tier());
  for (size_t e = 1; e < plan.exits().size(); ++e) {
    EXPECT_LT(plan.exits()[e - 1].tier, plan.exits()[e].tier);
  }
}

TEST(RandomSpec, EveryPlanHangsTogether) {
  Random random(1);
  for (int i = 0; i < 500; ++i) {
    const v1::NetworkSpec spec = RandomSpec({}, &random);
    absl::StatusOr<NetworkPlan> plan = NetworkPlan::Create(spec);
    ASSERT_TRUE(plan.ok()) << plan.status() << "\n" << spec.DebugString();
    ExpectTreeHolds(*plan);
  }
}

TEST(RandomSpec, BinaryNetworksHaveNoFloats) {
  Random random(2);
  RandomSpecOptions options;
  options.binary_only = true;
  for (int i = 0; i < 300; ++i) {
    absl::StatusOr<NetworkPlan> plan = NetworkPlan::Create(RandomSpec(options, &random));
    ASSERT_TRUE(plan.ok()) << plan.status();
    for (const TierPlan& tier : plan->tiers()) {
      for (const NodePlan& node : tier.nodes) {
        EXPECT_NE(node.input.kind, ValueKind::kFloat) << plan->spec().DebugString();
        EXPECT_NE(node.features.kind, ValueKind::kFloat) << plan->spec().DebugString();
        for (const LayerSlot& slot : LayOutSection(*plan, node.tier, node.index).body) {
          EXPECT_NE(slot.kind, v1::SectionLayer::kAffine) << plan->spec().DebugString();
        }
      }
    }
  }
}

TEST(RandomSpec, SectionsFitTheirPlan) {
  Random random(3);
  for (int i = 0; i < 300; ++i) {
    absl::StatusOr<NetworkPlan> plan = NetworkPlan::Create(RandomSpec({}, &random));
    ASSERT_TRUE(plan.ok()) << plan.status();
    for (const v1::Section& section : RandomSections(*plan, &random)) {
      absl::Status status = CheckSection(*plan, section);
      EXPECT_TRUE(status.ok()) << status << plan->spec().DebugString() << section.DebugString();
    }
  }
}

TEST(RandomSpec, TheSameSeedGivesTheSameNetwork) {
  Random a(4), b(4), c(5);
  const std::string first = RandomSpec({}, &a).SerializeAsString();
  EXPECT_EQ(first, RandomSpec({}, &b).SerializeAsString());
  EXPECT_NE(first, RandomSpec({}, &c).SerializeAsString());
}

}  // namespace
}  // namespace ddnn

#include "models/network_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models/base_spec.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;

NetworkPlan Plan(const v1::NetworkSpec& spec) {
  absl::StatusOr<NetworkPlan> plan = NetworkPlan::Create(spec);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *plan : NetworkPlan();
}

// One device with these layers, its features joined (alone) by a cloud.
NetworkPlan PlanLayers(const std::string& layers, int channels = 1, float scale = 0.5f) {
  v1::NetworkSpec spec;
  absl::Status status = ParseTextProto(R"(
      name: "chain" views: 1 class_name: "a" class_name: "b"
      tier { name: "device" )" + layers + R"( }
      tier { name: "cloud" features { kind: CC }
             exit { name: "final" layer { flatten {} } layer { linear { outputs: 2 } } } })",
                                       "chain", &spec);
  EXPECT_TRUE(status.ok()) << status;
  spec.mutable_input()->set_channels(channels);
  spec.mutable_input()->set_height(9);
  spec.mutable_input()->set_width(12);
  spec.mutable_input()->set_scale(scale);
  return Plan(spec);
}

std::vector<std::string> Shapes(const NodePlan& node) {
  std::vector<std::string> shapes;
  for (const ValueType& type : node.body) shapes.push_back(ToString(type.shape));
  return shapes;
}

std::vector<ValueKind> Kinds(const NodePlan& node) {
  std::vector<ValueKind> kinds;
  for (const ValueType& type : node.body) kinds.push_back(type.kind);
  return kinds;
}

TEST(NetworkPlan, InfersShapesThroughWindows) {
  const NetworkPlan plan = PlanLayers(R"(
      layer { conv { filters: 5 kernel: 3 } }
      layer { conv { filters: 2 kernel: 3 stride: 2 padding: 2 } }
      layer { max_pool { kernel: 2 } }
      layer { average_pool { kernel: 3 stride: 1 padding: 1 } }
      layer { flatten {} }
      layer { linear { outputs: 7 } })");
  EXPECT_THAT(Shapes(plan.node(0, 0)),
              ElementsAre("5x7x10", "2x5x6", "2x2x3", "2x2x3", "12x1x1", "7x1x1"));
}

TEST(NetworkPlan, InfersKindsThroughBinaryLayers) {
  const NetworkPlan plan = PlanLayers(R"(
      layer { binary_conv { filters: 2 kernel: 3 } }
      layer { max_pool { kernel: 2 } }
      layer { batch_norm {} }
      layer { sign {} }
      layer { dropout { probability: 0.5 } }
      layer { binary_conv { filters: 2 kernel: 1 } }
      layer { relu {} }
      layer { average_pool { kernel: 2 } }
      layer { binary_conv { filters: 2 kernel: 1 } })");
  EXPECT_THAT(Kinds(plan.node(0, 0)),
              ElementsAre(ValueKind::kInteger, ValueKind::kInteger, ValueKind::kFloat,
                          ValueKind::kBit, ValueKind::kBit, ValueKind::kInteger,
                          ValueKind::kInteger, ValueKind::kFloat, ValueKind::kFloat));
  // Over pixels integers count in steps of the scale, over bits in ones.
  EXPECT_EQ(plan.node(0, 0).body[0].unit, 0.5f);
  EXPECT_EQ(plan.node(0, 0).body[5].unit, 1.0f);
}

TEST(NetworkPlan, IntegersTooLongForAFloatBecomeFloats) {
  // 255 * 27 * 9 * 64 fits into 2^24, 64 times that does not.
  const NetworkPlan plan = PlanLayers(R"(
      layer { binary_conv { filters: 64 kernel: 3 padding: 1 } }
      layer { binary_conv { filters: 64 kernel: 3 padding: 1 } }
      layer { binary_conv { filters: 64 kernel: 1 } })",
                                      3);
  EXPECT_THAT(Kinds(plan.node(0, 0)),
              ElementsAre(ValueKind::kInteger, ValueKind::kInteger, ValueKind::kFloat));
}

TEST(NetworkPlan, BuildsTheTreeFromItsGroups) {
  const NetworkPlan plan = Plan(BaseSpec());
  const NodePlan& edge = plan.node(1, 0);
  EXPECT_THAT(edge.children, ElementsAre(0, 3));
  EXPECT_EQ(edge.views, 0b1001u);
  EXPECT_EQ(plan.node(0, 3).parent, 0);
  EXPECT_EQ(plan.node(0, 3).slot, 1);
  EXPECT_EQ(plan.node(0, 1).parent, 1);
  EXPECT_EQ(plan.node(1, 1).slot, 1);
  EXPECT_EQ(plan.node(2, 0).views, plan.all_views());
  EXPECT_EQ(plan.all_views(), 0b1111u);
}

TEST(NetworkPlan, DecidesAnExitWhereItsScoresMeet) {
  const NetworkPlan plan = Plan(BaseSpec());
  ASSERT_EQ(plan.exits().size(), 2u);
  EXPECT_EQ(plan.exits()[0].tier, 1);
  EXPECT_EQ(plan.exits()[0].decided_tier, 2);
  EXPECT_EQ(plan.exits()[0].scores, v1::MP);
  EXPECT_EQ(plan.exits()[0].weight, 1.0f);
  EXPECT_EQ(plan.exits()[1].decided_tier, 2);
  EXPECT_EQ(plan.tiers()[1].exit, 0);
  EXPECT_EQ(plan.tiers()[2].children_exit, 0);
  EXPECT_EQ(plan.tiers()[2].exit, 1);
  EXPECT_EQ(plan.tiers()[0].exit, -1);
}

TEST(NetworkPlan, JoinsBitsAsBitsButAveragesAsFloats) {
  v1::NetworkSpec spec = BaseSpec();
  EXPECT_EQ(ToString(Plan(spec).node(2, 0).input.shape), "6x4x4");
  EXPECT_EQ(Plan(spec).node(2, 0).input.kind, ValueKind::kBit);
  spec.mutable_tier(2)->mutable_features()->set_kind(v1::MP);
  EXPECT_EQ(ToString(Plan(spec).node(2, 0).input.shape), "3x4x4");
  EXPECT_EQ(Plan(spec).node(2, 0).input.kind, ValueKind::kBit);
  spec.mutable_tier(2)->mutable_features()->set_kind(v1::AP);
  EXPECT_EQ(Plan(spec).node(2, 0).input.kind, ValueKind::kFloat);
}

TEST(NetworkPlan, PutsMapsSideBySideOnAGrid) {
  v1::NetworkSpec spec = BaseSpec();
  v1::Grid* grid = spec.mutable_tier(1)->mutable_features()->mutable_grid();
  grid->set_rows(1);
  grid->set_columns(2);
  EXPECT_EQ(ToString(Plan(spec).node(1, 0).input.shape), "2x4x8");
  grid->set_rows(2);
  grid->set_columns(1);
  EXPECT_EQ(ToString(Plan(spec).node(1, 0).input.shape), "2x8x4");
}

TEST(NetworkPlan, BitsWithZerosOfMissingChildrenTravelAsFloats) {
  v1::NetworkSpec spec = BaseSpec();
  spec.mutable_tier(1)->clear_layer();
  spec.mutable_tier(1)->clear_exit();
  spec.mutable_tier(1)->add_layer()->mutable_max_pool()->set_kernel(1);
  EXPECT_EQ(Plan(spec).node(1, 0).body[0].kind, ValueKind::kBit);
  EXPECT_EQ(Plan(spec).node(1, 0).features.kind, ValueKind::kFloat);
}

TEST(NetworkPlan, ATierWithoutLayersHandsOnWhatItJoined) {
  v1::NetworkSpec spec = BaseSpec();
  spec.mutable_tier(1)->clear_layer();
  EXPECT_EQ(Plan(spec).node(1, 0).features.kind, ValueKind::kBit);
  EXPECT_EQ(ToString(Plan(spec).node(1, 0).features.shape), "4x4x4");
  EXPECT_EQ(ToString(Plan(spec).node(2, 0).input.shape), "8x4x4");
}

TEST(NetworkPlan, PixelsTravelAsBytesAndAreComputedWithAsIntegers) {
  v1::NetworkSpec spec = BaseSpec();
  spec.mutable_tier(0)->clear_layer();
  spec.mutable_tier(1)->clear_layer();
  NetworkPlan plan = Plan(spec);
  EXPECT_EQ(plan.node(0, 0).features.kind, ValueKind::kPixel);
  EXPECT_EQ(plan.node(1, 0).input.kind, ValueKind::kInteger);
  EXPECT_EQ(plan.node(1, 0).features.kind, ValueKind::kPixel);
  EXPECT_EQ(plan.node(2, 0).input.kind, ValueKind::kInteger);
  EXPECT_EQ(plan.node(2, 0).input.unit, 0.5f);
  EXPECT_EQ(ToString(plan.node(2, 0).input.shape), "4x8x8");
  // With this scale sums would not be exact.
  spec.mutable_input()->set_scale(1.0f / 255.0f);
  EXPECT_EQ(Plan(spec).node(2, 0).input.kind, ValueKind::kFloat);
  EXPECT_EQ(Plan(spec).node(1, 0).features.kind, ValueKind::kPixel);
}

TEST(NetworkPlan, GroupsOfDifferentSizesStack) {
  v1::NetworkSpec spec = BaseSpec();
  spec.mutable_tier(1)->mutable_node(0)->mutable_child()->RemoveLast();
  spec.mutable_tier(1)->mutable_node(1)->add_child(3);
  const NetworkPlan plan = Plan(spec);
  EXPECT_EQ(plan.node(1, 0).input.shape.channels, 2);
  EXPECT_EQ(plan.node(1, 1).input.shape.channels, 6);
}

TEST(NetworkPlan, SixtyFourViewsFillTheMask) {
  v1::NetworkSpec spec = BaseSpec();
  spec.set_views(64);
  spec.mutable_tier(1)->clear_node();
  spec.mutable_tier(1)->mutable_exit()->clear_scores();
  EXPECT_EQ(Plan(spec).all_views(), ~uint64_t{0});
  EXPECT_EQ(Plan(spec).node(2, 0).views, ~uint64_t{0});
}

TEST(NetworkPlan, FindsExitsAndTiersByName) {
  const NetworkPlan plan = Plan(BaseSpec());
  EXPECT_EQ(*plan.FindExit("final"), 1);
  EXPECT_EQ(*plan.FindTier("edge"), 1);
  const absl::Status status = plan.FindExit("finall").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("local, final"));
}

}  // namespace
}  // namespace ddnn

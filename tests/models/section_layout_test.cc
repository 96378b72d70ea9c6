#include "models/section_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models/base_spec.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;
using Kind = v1::SectionLayer;

std::vector<Kind::KindCase> Kinds(const std::vector<LayerSlot>& slots) {
  std::vector<Kind::KindCase> kinds;
  for (const LayerSlot& slot : slots) kinds.push_back(slot.kind);
  return kinds;
}

SectionLayout LayOut(const v1::NetworkSpec& spec, int tier) {
  absl::StatusOr<NetworkPlan> plan = NetworkPlan::Create(spec);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? LayOutSection(*plan, tier, 0) : SectionLayout();
}

TEST(SectionLayout, MergesBatchNormAndSignOverIntegers) {
  const SectionLayout layout = LayOut(BaseSpec(), 0);
  EXPECT_THAT(Kinds(layout.body), ElementsAre(Kind::kBinaryConv, Kind::kMaxPool, Kind::kThreshold));
  EXPECT_EQ(layout.body[2].in.kind, ValueKind::kInteger);
  EXPECT_EQ(layout.body[2].out.kind, ValueKind::kBit);
  EXPECT_EQ(layout.body[0].name, "device.conv1");
  EXPECT_EQ(layout.body[1].name, "device.1");
  EXPECT_TRUE(layout.head.empty());
}

TEST(SectionLayout, KeepsBatchNormAndSignApartOverFloats) {
  v1::NetworkSpec spec = BaseSpec();
  spec.mutable_tier(2)->mutable_layer(1)->mutable_batch_norm();
  spec.mutable_tier(2)->add_layer()->mutable_sign();
  EXPECT_THAT(Kinds(LayOut(spec, 2).body), ElementsAre(Kind::kConv, Kind::kAffine, Kind::kSign));
}

TEST(SectionLayout, LeavesDropoutOut) {
  v1::NetworkSpec spec = BaseSpec();
  spec.mutable_tier(2)->add_layer()->mutable_dropout()->set_probability(0.5f);
  EXPECT_THAT(Kinds(LayOut(spec, 2).body), ElementsAre(Kind::kConv, Kind::kRelu));
}

TEST(SectionLayout, AHeadStartsFromTheBodysResult) {
  const SectionLayout layout = LayOut(BaseSpec(), 2);
  ASSERT_THAT(Kinds(layout.head), ElementsAre(Kind::kFlatten, Kind::kLinear));
  EXPECT_EQ(ToString(layout.head[0].in.shape), "4x2x2");
  EXPECT_EQ(ToString(layout.head[1].in.shape), "16x1x1");
  EXPECT_EQ(layout.head[1].name, "cloud.final.1");
}

TEST(SectionLayout, ConcatenatedScoresNeedALinearLayerAtTheParent) {
  v1::NetworkSpec spec = BaseSpec();
  EXPECT_TRUE(LayOut(spec, 2).scores.empty());
  spec.mutable_tier(1)->mutable_exit()->set_scores(v1::CC);
  const SectionLayout layout = LayOut(spec, 2);
  ASSERT_THAT(Kinds(layout.scores), ElementsAre(Kind::kLinear));
  EXPECT_EQ(layout.scores[0].in.shape.channels, 6);
  EXPECT_EQ(layout.scores[0].out.shape.channels, 3);
  EXPECT_TRUE(LayOut(spec, 1).scores.empty());
}

}  // namespace
}  // namespace ddnn

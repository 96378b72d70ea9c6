#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "models/section_layout.h"
#include "runtime/core/float_bytes.h"
#include "tests/models/base_spec.h"
#include "tests/support/random_network.h"

namespace ddnn {
namespace {

using ::testing::HasSubstr;

// The base network with every kind of layer in its cloud.
NetworkPlan Plan() {
  v1::NetworkSpec spec = BaseSpec();
  spec.mutable_tier(1)->mutable_exit()->set_scores(v1::CC);
  v1::Tier* cloud = spec.mutable_tier(2);
  cloud->add_layer()->mutable_batch_norm();
  cloud->add_layer()->mutable_average_pool()->set_kernel(2);
  absl::StatusOr<NetworkPlan> plan = NetworkPlan::Create(spec);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return *plan;
}

struct Change {
  const char* name;
  int tier;
  std::function<void(v1::Section*)> change;
  std::vector<std::string> says;
};

void SetFirstFloat(float value, std::string* bytes) {
  std::string encoded;
  AppendFloat(value, &encoded);
  bytes->replace(0, 4, encoded);
}

class CheckSectionRefusal : public testing::TestWithParam<Change> {};

TEST_P(CheckSectionRefusal, NamesTheLayer) {
  const NetworkPlan plan = Plan();
  Random random(50);
  v1::Section section = RandomSection(plan, GetParam().tier, 0, &random);
  ASSERT_TRUE(CheckSection(plan, section).ok());
  GetParam().change(&section);
  const absl::Status status = CheckSection(plan, section);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  for (const std::string& part : GetParam().says) {
    EXPECT_THAT(std::string(status.message()), HasSubstr(part));
  }
}

std::vector<Change> Places() {
  return {
      {"Network", 0, [](auto* s) { s->set_network("other"); }, {"other", "base"}},
      {"Tier", 0, [](auto* s) { s->set_tier("attic"); }, {"attic"}},
      {"Node", 0, [](auto* s) { s->set_node(4); }, {"node 4", "0 to 3"}},
      {"NegativeNode", 0, [](auto* s) { s->set_node(-1); }, {"node -1"}},
      {"LayerLess", 0, [](auto* s) { s->mutable_body()->RemoveLast(); }, {"2 layers, expected 3"}},
      {"LayerMore", 0, [](auto* s) { s->add_body()->mutable_sign(); }, {"4 layers, expected 3"}},
      {"HeadWhereNone", 0, [](auto* s) { s->add_head()->mutable_sign(); }, {"head"}},
      {"NoScores", 2, [](auto* s) { s->clear_scores(); }, {"scores", "0 layers, expected 1"}},
      {"OtherKind",
       0,
       [](auto* s) { s->mutable_body(1)->mutable_sign(); },
       {"device.1", "sign", "max_pool"}},
      {"EmptyLayer", 0, [](auto* s) { s->mutable_body(1)->Clear(); }, {"device.1", "nothing"}},
  };
}

std::vector<Change> Weights() {
  const auto conv = [](v1::Section* s) { return s->mutable_body(0)->mutable_binary_conv(); };
  const auto linear = [](v1::Section* s) { return s->mutable_head(1)->mutable_linear(); };
  return {
      {"Filters", 0, [=](auto* s) { conv(s)->set_filters(3); }, {"device.conv1", "filters is 3"}},
      {"Kernel", 0, [=](auto* s) { conv(s)->set_kernel(5); }, {"device.conv1", "kernel is 5"}},
      {"Stride", 0, [=](auto* s) { conv(s)->set_stride(2); }, {"device.conv1", "stride is 2"}},
      {"Padding", 0, [=](auto* s) { conv(s)->set_padding(0); }, {"device.conv1", "padding is 0"}},
      {"ShortBits",
       0,
       [=](auto* s) { conv(s)->mutable_weights()->pop_back(); },
       {"device.conv1", "2 bytes, expected 3"}},
      {"LongBits",
       0,
       [=](auto* s) { conv(s)->mutable_weights()->push_back(0); },
       {"device.conv1", "4 bytes"}},
      {"SpareBits",
       0,
       [=](auto* s) { conv(s)->mutable_weights()->back() |= 4; },
       {"device.conv1", "behind the last of 18"}},
      {"BinaryBias", 0, [=](auto* s) { conv(s)->set_bias("12345678"); }, {"device.conv1", "bias"}},
      {"Outputs",
       2,
       [=](auto* s) { linear(s)->set_outputs(4); },
       {"cloud.final.1", "outputs is 4"}},
      {"ShortFloats",
       2,
       [=](auto* s) { linear(s)->mutable_weights()->pop_back(); },
       {"cloud.final.1", "47 bytes, expected 48"}},
      {"Bias", 2, [=](auto* s) { linear(s)->set_bias("1234"); }, {"cloud.final.1", "bias"}},
      {"NanWeight",
       2,
       [=](auto* s) { SetFirstFloat(std::nanf(""), linear(s)->mutable_weights()); },
       {"cloud.final.1", "weights[0] is nan"}},
      {"InfScale",
       2,
       [=](auto* s) {
         SetFirstFloat(std::numeric_limits<float>::infinity(),
                       s->mutable_body(2)->mutable_affine()->mutable_scale());
       },
       {"cloud.2", "scale[0] is inf"}},
      {"AffineBias",
       2,
       [=](auto* s) { s->mutable_body(2)->mutable_affine()->clear_bias(); },
       {"cloud.2", "bias has 0 bytes, expected 16"}},
      {"AverageKernel",
       2,
       [=](auto* s) { s->mutable_body(3)->mutable_average_pool()->set_kernel(1); },
       {"cloud.3", "kernel is 1"}},
      {"ScoresWeights",
       2,
       [=](auto* s) { s->mutable_scores(0)->mutable_linear()->clear_weights(); },
       {"cloud.local scores", "0 bytes, expected 72"}},
  };
}

std::vector<Change> Thresholds() {
  const auto at = [](v1::Section* s) { return s->mutable_body(2)->mutable_threshold(); };
  return {
      {"Few",
       0,
       [=](auto* s) { at(s)->mutable_at()->RemoveLast(); },
       {"device.2", "is 1, expected 2"}},
      {"Large", 0, [=](auto* s) { at(s)->set_at(0, (1 << 24) + 1); }, {"device.2", "16777217"}},
      {"Small",
       0,
       [=](auto* s) { at(s)->set_at(0, std::numeric_limits<int>::min()); },
       {"device.2", "-2147483648"}},
      {"Unit", 0, [=](auto* s) { at(s)->set_unit(2); }, {"device.2", "unit is 2, expected 0.5"}},
      {"NoUnit", 0, [=](auto* s) { at(s)->clear_unit(); }, {"device.2", "expected 0.5"}},
      {"NanUnit", 0, [=](auto* s) { at(s)->set_unit(std::nanf("")); }, {"device.2", "unit is nan"}},
      {"LongFlip",
       0,
       [=](auto* s) { at(s)->set_flip(std::string(2, '\0')); },
       {"device.2", "flip has 2 bytes"}},
      {"SpareFlip", 0, [=](auto* s) { at(s)->set_flip("\4"); }, {"device.2", "flip"}},
  };
}

const auto kParamName = [](const auto& info) { return std::string(info.param.name); };
INSTANTIATE_TEST_SUITE_P(Places, CheckSectionRefusal, testing::ValuesIn(Places()), kParamName);
INSTANTIATE_TEST_SUITE_P(Weights, CheckSectionRefusal, testing::ValuesIn(Weights()), kParamName);
INSTANTIATE_TEST_SUITE_P(Thresholds, CheckSectionRefusal, testing::ValuesIn(Thresholds()),
                         kParamName);

TEST(CheckSection, TakesDefaultsWrittenOutOrLeftOut) {
  const NetworkPlan plan = Plan();
  Random random(51);
  v1::Section device = RandomSection(plan, 0, 1, &random);
  // Stride 1 and stride 0 mean the same in a convolution, kernel and 0 in a pool.
  device.mutable_body(0)->mutable_binary_conv()->set_stride(1);
  EXPECT_TRUE(CheckSection(plan, device).ok());
  v1::Section cloud = RandomSection(plan, 2, 0, &random);
  cloud.mutable_body(3)->mutable_average_pool()->set_stride(2);
  EXPECT_TRUE(CheckSection(plan, cloud).ok());
  cloud.mutable_head(1)->mutable_linear()->clear_bias();
  EXPECT_TRUE(CheckSection(plan, cloud).ok());
}

}  // namespace
}  // namespace ddnn

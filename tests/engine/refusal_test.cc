// What every engine refuses, and that it goes on working afterwards.
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "runtime/core/float_bytes.h"
#include "tests/engine/engines.h"

namespace ddnn {
namespace testing {
namespace {

using ::testing::HasSubstr;

DDNN_INSTANTIATE_FOR_ALL_ENGINES();

// Bits join in the cloud, whose body is float; both exits have CC or a head of their own.
NetworkPlan Plan() {
  return PlanOf(R"(
      name: 'n' views: 2 class_name: ['a', 'b', 'c']
      input { channels: 1 height: 4 width: 5 offset: 128 scale: 0.0078125 }
      tier { name: 'device'
             layer { binary_conv { filters: 3 kernel: 3 padding: 1 } }
             layer { batch_norm {} } layer { sign {} }
             exit { name: 'local' scores: CC
                    layer { flatten {} } layer { binary_linear { outputs: 3 } }
                    layer { batch_norm {} } } }
      tier { name: 'cloud' features { kind: CC }
             layer { conv { filters: 2 kernel: 3 } } layer { relu {} }
             exit { name: 'cloud' layer { flatten {} } layer { linear { outputs: 3 } } } })");
}

v1::Section Section(const NetworkPlan& plan, int tier) {
  std::mt19937 rng(7);
  return RandomSection(plan, tier, 0, Weights::kReal, &rng);
}

TEST_P(EngineTest, RefusesInputsOfTheWrongSize) {
  const NetworkPlan plan = Plan();
  auto device = Make(plan, Section(plan, 0));
  auto cloud = Make(plan, Section(plan, 1));
  for (size_t size : {0, 19, 21}) {
    const auto status = device->Run({SectionInput{std::string(size, 'x'), {}}}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("20"));
  }
  for (size_t size : {0, 119, 121}) {
    const auto status = cloud->Run({SectionInput{{}, std::vector<float>(size, 1)}}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  }
  // Pixels are not values.
  EXPECT_FALSE(device->Run({SectionInput{{}, std::vector<float>(20, 1)}}).ok());
  EXPECT_TRUE(device->Run({SectionInput{std::string(20, 'x'), {}}}).ok());
}

TEST_P(EngineTest, RefusesABatchWithOneWrongSample) {
  const NetworkPlan plan = Plan();
  auto engine = Make(plan, Section(plan, 0));
  EXPECT_FALSE(engine->Run({}).ok());
  EXPECT_FALSE(
      engine->Run({SectionInput{std::string(20, 'x'), {}}, SectionInput{std::string(3, 'x'), {}}})
          .ok());
}

TEST_P(EngineTest, RefusesValuesThatAreNotOfThePlannedKind) {
  const NetworkPlan plan = Plan();
  auto engine = Make(plan, Section(plan, 1));
  for (float bad : {0.5f, 2.0f, NAN, std::numeric_limits<float>::infinity()}) {
    SectionInput input{{}, std::vector<float>(120, 1)};
    input.values[17] = bad;
    const auto status = engine->Run({input}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr("17"));
  }
}

TEST_P(EngineTest, JoinsScoresThroughTheLinearLayer) {
  const NetworkPlan plan = Plan();
  const v1::Section section = Section(plan, 1);
  auto engine = Make(plan, section);
  const std::vector<float> joined = {1, -2, 0.5, 0, 3, 4};
  auto scores = engine->RunScores(joined);
  ASSERT_TRUE(scores.ok()) << scores.status();
  ExpectClose(*scores, RunReferenceScores(section, joined));
  EXPECT_EQ(engine->RunScores({joined.data(), 5}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_P(EngineTest, RefusesToJoinScoresWhereNothingDoes) {
  const NetworkPlan plan = Plan();
  auto engine = Make(plan, Section(plan, 0));
  EXPECT_EQ(engine->RunScores({1, 2, 3}).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(EngineTest, RefusesSectionsThatDoNotFitThePlan) {
  const NetworkPlan plan = Plan();
  const struct {
    const char* what;
    int tier;
    std::function<void(v1::Section*)> spoil;
  } cases[] = {
      {"short binary weights", 0,
       [](v1::Section* s) {
         s->mutable_body(0)->mutable_binary_conv()->mutable_weights()->pop_back();
       }},
      {"long float weights", 1,
       [](v1::Section* s) { s->mutable_body(0)->mutable_conv()->mutable_weights()->append(4, 0); }},
      {"no weights", 1,
       [](v1::Section* s) { s->mutable_head(1)->mutable_linear()->clear_weights(); }},
      {"a weight that is not a number", 1,
       [](v1::Section* s) {
         s->mutable_head(1)->mutable_linear()->mutable_weights()->replace(0, 4, FloatBytes({NAN}));
       }},
      {"an infinite scale", 0,
       [](v1::Section* s) {
         s->mutable_head(2)->mutable_affine()->set_scale(FloatBytes({1, 1, HUGE_VALF}));
       }},
      {"too few thresholds", 0,
       [](v1::Section* s) { s->mutable_body(1)->mutable_threshold()->mutable_at()->RemoveLast(); }},
      {"a spare bit", 0,
       [](v1::Section* s) {
         s->mutable_body(0)->mutable_binary_conv()->mutable_weights()->back() = '\xff';
       }},
      {"another unit", 0,
       [](v1::Section* s) { s->mutable_body(1)->mutable_threshold()->set_unit(1); }},
      {"layers in another order", 0, [](v1::Section* s) { s->mutable_body()->SwapElements(0, 1); }},
      {"a layer less", 1, [](v1::Section* s) { s->mutable_body()->RemoveLast(); }},
      {"no layer for the scores", 1, [](v1::Section* s) { s->clear_scores(); }},
      {"a layer more", 0, [](v1::Section* s) { s->add_head()->mutable_relu(); }},
      {"a layer that says nothing", 0, [](v1::Section* s) { s->mutable_body(0)->Clear(); }},
      {"another stride", 1,
       [](v1::Section* s) { s->mutable_body(0)->mutable_conv()->set_stride(2); }},
      {"a kernel of zero", 1,
       [](v1::Section* s) { s->mutable_body(0)->mutable_conv()->set_kernel(0); }},
      {"another network", 0, [](v1::Section* s) { s->set_network("m"); }},
      {"another tier", 0, [](v1::Section* s) { s->set_tier("cloud"); }},
      {"an unknown tier", 0, [](v1::Section* s) { s->set_tier("fog"); }},
      {"a node too many", 0, [](v1::Section* s) { s->set_node(2); }},
      {"a negative node", 0, [](v1::Section* s) { s->set_node(-1); }},
  };
  for (const auto& c : cases) {
    v1::Section section = Section(plan, c.tier);
    ASSERT_TRUE(GetParam().create(plan, section).ok());
    c.spoil(&section);
    const auto engine = GetParam().create(plan, section);
    EXPECT_EQ(engine.status().code(), absl::StatusCode::kInvalidArgument) << c.what;
  }
}

}  // namespace
}  // namespace testing
}  // namespace ddnn

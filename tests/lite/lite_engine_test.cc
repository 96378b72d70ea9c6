// What only this engine promises; what every engine must do is in tests/engine.
#include "runtime/lite/lite_engine.h"

#include <gtest/gtest.h>

#include "tests/engine/section_values.h"

namespace ddnn {
namespace {

TEST(LiteEngine, EnginesOfOneSectionDoNotDisturbEachOther) {
  const NetworkPlan plan = testing::PlanOf(R"(
      name: 'n' views: 1 class_name: ['a', 'b']
      input { channels: 1 height: 9 width: 7 offset: 128 scale: 0.0078125 }
      tier { name: 'device'
             layer { conv { filters: 3 kernel: 3 padding: 1 } } layer { relu {} }
             exit { name: 'e' layer { flatten {} } layer { linear { outputs: 2 } } } })");
  std::mt19937 rng(3);
  const v1::Section section = testing::RandomSection(plan, 0, 0, testing::Weights::kReal, &rng);
  auto first = CreateLiteEngine(plan, section);
  auto second = CreateLiteEngine(plan, section);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(second.ok()) << second.status();
  const auto batch = testing::RandomBatch(plan.node(0, 0), 2, &rng);
  auto before = (*first)->Run({batch[0]});
  auto other = (*second)->Run({batch[1]});
  auto again = (*first)->Run({batch[0]});
  ASSERT_TRUE(before.ok() && other.ok() && again.ok());
  EXPECT_EQ(before->front().scores, again->front().scores);
  EXPECT_NE(before->front().scores, other->front().scores);
  EXPECT_EQ(before->front().features, again->front().features);
}

}  // namespace
}  // namespace ddnn

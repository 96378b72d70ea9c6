#include "tools/local/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/tools/small_network.h"

namespace ddnn {
namespace {

using testing::HasSubstr;

TEST(ParseEvents, ReadsNodesAndPutsThemInOrderOfTime) {
  const auto events =
      ParseEvents(SmallPlan(), {"cloud@500", "device=2@40", "edge=0@90"}, {"cloud@900"});
  ASSERT_TRUE(events.ok()) << events.status();
  ASSERT_EQ(events->size(), 4u);
  EXPECT_EQ((*events)[0].tier, 0);
  EXPECT_EQ((*events)[0].node, 2);
  EXPECT_EQ((*events)[0].at, 40);
  EXPECT_EQ((*events)[1].tier, 1);
  EXPECT_FALSE((*events)[2].restart);
  EXPECT_TRUE((*events)[3].restart);
  EXPECT_EQ((*events)[3].tier, 2);
}

struct BadEvent {
  std::string kill, restart, expected;
};

class ParseEventsRefuses : public testing::TestWithParam<BadEvent> {};

TEST_P(ParseEventsRefuses, NamingTheEntryAndTheReason) {
  const BadEvent& bad = GetParam();
  std::vector<std::string> restarts;
  if (!bad.restart.empty()) restarts.push_back(bad.restart);
  const auto events = ParseEvents(SmallPlan(), {bad.kill}, restarts);
  ASSERT_EQ(events.status().code(), absl::StatusCode::kInvalidArgument);
  const std::string message(events.status().message());
  EXPECT_THAT(message, HasSubstr(bad.restart.empty() ? bad.kill : bad.restart));
  EXPECT_THAT(message, HasSubstr(bad.expected));
}

INSTANTIATE_TEST_SUITE_P(
    All, ParseEventsRefuses,
    testing::Values(BadEvent{"cloud", "", "no number"}, BadEvent{"cloud@-1", "", "no number"},
                    BadEvent{"fog@5", "", "fog"}, BadEvent{"device@5", "", "which of 3 nodes"},
                    BadEvent{"device=3@5", "", "node 3 is not among 0 to 2"},
                    BadEvent{"device=x@5", "", "node x is not among"},
                    BadEvent{"cloud@5", "cloud@5", "not killed before"},
                    BadEvent{"cloud@5", "edge@9", "not killed before"},
                    BadEvent{"device=1@5", "device=1@9", "cannot be restarted"}));

TEST(NodeName, NumbersDevicesAndTiersOfSeveralNodes) {
  const NetworkPlan plan = SmallPlan();
  EXPECT_EQ(NodeName(plan, 0, 2), "device-2");
  EXPECT_EQ(NodeName(plan, 1, 0), "edge");
  EXPECT_EQ(NodeName(plan, 2, 0), "cloud");
}

}  // namespace
}  // namespace ddnn

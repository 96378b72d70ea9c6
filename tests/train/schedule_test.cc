#include "train/schedule.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <vector>

namespace ddnn::train {
namespace {

v1::Schedule Of(const std::string& text) {
  v1::Schedule schedule;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &schedule)) << text;
  return schedule;
}

TEST(ScheduleFactor, IsACosineDownToZeroByDefault) {
  const v1::Schedule none;
  EXPECT_DOUBLE_EQ(ScheduleFactor(none, 10, 0), 1);
  EXPECT_NEAR(ScheduleFactor(none, 10, 5), 0.5, 1e-12);
  EXPECT_NEAR(ScheduleFactor(none, 10, 10), 0, 1e-12);
  EXPECT_EQ(ScheduleFactor(Of("cosine {}"), 10, 3), ScheduleFactor(none, 10, 3));
  EXPECT_NEAR(ScheduleFactor(Of("cosine { end: 0.1 }"), 10, 10), 0.1, 1e-7);
}

TEST(ScheduleFactor, ConstantStays) {
  for (double done : {0.0, 2.5, 7.0}) EXPECT_EQ(ScheduleFactor(Of("constant {}"), 7, done), 1);
}

TEST(ScheduleFactor, StepFallsAtTheStartOfAnEpochOnly) {
  const v1::Schedule step = Of("step { epochs: 3 factor: 0.5 }");
  EXPECT_EQ(ScheduleFactor(step, 9, 0), 1);
  EXPECT_EQ(ScheduleFactor(step, 9, 2.999), 1);
  EXPECT_EQ(ScheduleFactor(step, 9, 3), 0.5);
  EXPECT_EQ(ScheduleFactor(step, 9, 8.5), 0.25);
}

TEST(ScheduleFactor, OneCycleRisesToOneOnceAndFalls) {
  const v1::Schedule cycle = Of("one_cycle { warm_up: 0.25 start: 0.1 end: 0.001 }");
  EXPECT_NEAR(ScheduleFactor(cycle, 8, 0), 0.1, 1e-7);
  EXPECT_DOUBLE_EQ(ScheduleFactor(cycle, 8, 2), 1);
  EXPECT_NEAR(ScheduleFactor(cycle, 8, 8), 0.001, 1e-7);
  for (double done = 0.1; done < 2; done += 0.1) {
    EXPECT_GT(ScheduleFactor(cycle, 8, done), ScheduleFactor(cycle, 8, done - 0.1));
  }
  for (double done = 2.1; done < 8; done += 0.1) {
    EXPECT_LT(ScheduleFactor(cycle, 8, done), ScheduleFactor(cycle, 8, done - 0.1));
  }
}

TEST(ScheduleFactor, StaysWithinZeroAndOneForAnyCheckedSpec) {
  for (const char* text :
       {"", "constant {}", "step { epochs: 1 factor: 0 }", "step { epochs: 2 factor: 1 }",
        "cosine { end: 1 }", "one_cycle {}", "one_cycle { warm_up: 0 }", "one_cycle { warm_up: 1 }",
        "one_cycle { start: 1 end: 1 }"}) {
    for (int epochs : {1, 2, 100}) {
      for (int part = 0; part <= 64; ++part) {
        const double factor = ScheduleFactor(Of(text), epochs, epochs * part / 64.0);
        EXPECT_GE(factor, 0) << text;
        EXPECT_LE(factor, 1 + 1e-12) << text;
      }
    }
  }
}

}  // namespace
}  // namespace ddnn::train

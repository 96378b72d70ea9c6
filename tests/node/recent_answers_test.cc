#include "runtime/node/recent_answers.h"

#include "gtest/gtest.h"

namespace ddnn {
namespace {

RecentAnswers::Record Of(uint64_t sequence, int class_index = 0, uint64_t told = 0) {
  RecentAnswers::Record record;
  record.answer.sample = SampleKey{1, sequence};
  record.answer.class_index = class_index;
  record.told = told;
  return record;
}

TEST(RecentAnswers, ForgetTheOldestFirst) {
  RecentAnswers recent(2);
  recent.Add(Of(9));
  recent.Add(Of(5));
  EXPECT_NE(recent.Find(SampleKey{1, 9}), nullptr);
  recent.Add(Of(7));
  EXPECT_EQ(recent.Find(SampleKey{1, 9}), nullptr);
  EXPECT_NE(recent.Find(SampleKey{1, 5}), nullptr);
  EXPECT_NE(recent.Find(SampleKey{1, 7}), nullptr);
}

TEST(RecentAnswers, ReplaceARecordInItsPlace) {
  RecentAnswers recent(2);
  recent.Add(Of(1, 0));
  recent.Add(Of(2, 0));
  recent.Add(Of(1, 2));
  ASSERT_NE(recent.Find(SampleKey{1, 1}), nullptr);
  EXPECT_EQ(recent.Find(SampleKey{1, 1})->answer.class_index, 2);
  recent.Add(Of(3, 0));
  EXPECT_EQ(recent.Find(SampleKey{1, 1}), nullptr);
  EXPECT_NE(recent.Find(SampleKey{1, 2}), nullptr);
}

TEST(RecentAnswers, ForgetThatOneChildWasTold) {
  RecentAnswers recent(2);
  recent.Add(Of(1, 0, 0b111));
  recent.Add(Of(2, 0, 0b001));
  recent.ForgetTold(1);
  EXPECT_EQ(recent.Find(SampleKey{1, 1})->told, 0b101u);
  EXPECT_EQ(recent.Find(SampleKey{1, 2})->told, 0b001u);
}

}  // namespace
}  // namespace ddnn

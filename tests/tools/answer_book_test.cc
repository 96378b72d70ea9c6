#include "tools/local/answer_book.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ddnn {
namespace {

v1::AnswerRecord Record(uint64_t sequence, const std::string& outcome, int class_index = 0,
                        const std::vector<int>& views = {0, 1}) {
  v1::AnswerRecord record;
  record.set_sequence(sequence);
  record.set_outcome(outcome);
  record.set_class_index(class_index);
  record.set_exit("edge");
  record.set_entropy(0.25);
  record.set_latency_ms(3);
  for (int view : views) record.add_present_view(view);
  return record;
}

TEST(AnswerBook, CountsASampleOnceThoughEveryDeviceReportsIt) {
  AnswerBook book;
  for (int view = 0; view < 6; ++view) {
    ASSERT_TRUE(book.Add(view, Record(7, "answered"), absl::UnixEpoch()).ok());
  }
  EXPECT_EQ(book.samples(), 1);
  EXPECT_EQ(book.disagreements(), 0);
  EXPECT_EQ(book.entries().at(7).reporters, 0b111111u);
  EXPECT_EQ(book.latencies().size(), 6u);
}

TEST(AnswerBook, RefusesTheSameSampleTwiceFromOneView) {
  AnswerBook book;
  ASSERT_TRUE(book.Add(2, Record(7, "answered"), absl::UnixEpoch()).ok());
  const absl::Status again = book.Add(2, Record(7, "answered"), absl::UnixEpoch());
  EXPECT_EQ(again.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(std::string(again.message()), "view 2 reported sample 7 twice");
}

TEST(AnswerBook, RefusesAnOutcomeNobodyKnows) {
  AnswerBook book;
  EXPECT_EQ(book.Add(0, Record(1, "lost"), absl::UnixEpoch()).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(book.samples(), 0);
}

TEST(AnswerBook, NoticesDevicesThatWereToldDifferentFullAnswers) {
  AnswerBook book;
  ASSERT_TRUE(book.Add(0, Record(1, "answered", 4), absl::UnixEpoch()).ok());
  ASSERT_TRUE(book.Add(1, Record(1, "answered", 5), absl::UnixEpoch()).ok());
  ASSERT_TRUE(book.Add(2, Record(1, "answered", 5), absl::UnixEpoch()).ok());
  EXPECT_EQ(book.disagreements(), 1);
  EXPECT_TRUE(book.entries().at(1).disagreement);
}

TEST(AnswerBook, PrefersAFullAnswerAndAllowsDegradedOnesToDiffer) {
  v1::AnswerRecord degraded = Record(1, "answered", 9, {0});
  degraded.set_degraded(true);
  for (const bool full_first : {true, false}) {
    AnswerBook book;
    const v1::AnswerRecord full = Record(1, "answered", 4);
    ASSERT_TRUE(book.Add(0, full_first ? full : degraded, absl::UnixEpoch()).ok());
    ASSERT_TRUE(book.Add(1, full_first ? degraded : full, absl::UnixEpoch()).ok());
    ASSERT_TRUE(book.Add(2, Record(1, "shed"), absl::UnixEpoch()).ok());
    ASSERT_TRUE(book.Add(3, Record(1, "expired"), absl::UnixEpoch()).ok());
    EXPECT_EQ(book.entries().at(1).answer.class_index(), 4);
    EXPECT_FALSE(book.entries().at(1).answer.degraded());
    EXPECT_EQ(book.disagreements(), 0);
  }
}

TEST(AnswerBook, TakesTheDegradedAnswerOverMostViews) {
  v1::AnswerRecord alone = Record(1, "answered", 9, {3});
  alone.set_degraded(true);
  v1::AnswerRecord joined = Record(1, "answered", 4, {0, 1, 2});
  joined.set_degraded(true);
  AnswerBook book;
  ASSERT_TRUE(book.Add(3, alone, absl::UnixEpoch()).ok());
  ASSERT_TRUE(book.Add(5, joined, absl::UnixEpoch()).ok());
  ASSERT_TRUE(book.Add(1, joined, absl::UnixEpoch()).ok());
  EXPECT_EQ(book.entries().at(1).answer.class_index(), 4);
  EXPECT_EQ(book.entries().at(1).best_view, 1);
}

TEST(AnswerBook, MeasuresFromTheFirstReportToTheLast) {
  AnswerBook book;
  EXPECT_EQ(book.time_span(), absl::ZeroDuration());
  const absl::Time start = absl::FromUnixSeconds(100);
  ASSERT_TRUE(book.Add(0, Record(1, "shed"), start).ok());
  ASSERT_TRUE(book.Add(0, Record(2, "answered"), start + absl::Seconds(2)).ok());
  ASSERT_TRUE(book.Add(1, Record(1, "answered"), start + absl::Seconds(5)).ok());
  EXPECT_EQ(book.time_span(), absl::Seconds(5));
}

}  // namespace
}  // namespace ddnn

#include "runtime/net/shorten.h"

#include <cstdint>
#include <random>
#include <string>

#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace ddnn {
namespace {

using google::protobuf::util::MessageDifferencer;

v1::UpSample* AddScores(uint64_t sequence, uint32_t time_left_ms, v1::Up* up) {
  v1::UpSample* sample = up->add_sample();
  sample->set_sequence(sequence);
  sample->set_scores("s");
  sample->set_time_left_ms(time_left_ms);
  return sample;
}

TEST(Shorten, NamesOfARunCostNothingAfterTheFirst) {
  v1::Up up;
  for (uint64_t i = 0; i < 5; ++i) {
    AddScores(1784000000000 + i, 0, &up);
    up.mutable_sample(i)->set_stream(7);
  }
  const v1::Up whole = up;
  Shorten(&up);
  const size_t without_name = 3;  // tag, length and byte of the scores
  EXPECT_EQ(up.sample(0).ByteSizeLong(), without_name + 7 + 2);
  for (int i = 1; i < 5; ++i) EXPECT_EQ(up.sample(i).ByteSizeLong(), without_name) << i;
  Restore(&up);
  EXPECT_TRUE(MessageDifferencer::Equals(up, whole)) << up.ShortDebugString();
}

TEST(Shorten, LeavesASingleSampleAsItIs) {
  v1::Up up;
  AddScores(42, 1750, &up)->set_stream(3);
  const v1::Up whole = up;
  Shorten(&up);
  EXPECT_TRUE(MessageDifferencer::Equals(up, whole));
  Restore(&up);
  EXPECT_TRUE(MessageDifferencer::Equals(up, whole));
}

TEST(Shorten, SaysTimeLeftAgainOnlyWhenItHasChanged) {
  v1::Up up;
  AddScores(1, 1700, &up);
  AddScores(2, 1740, &up);
  AddScores(3, 2500, &up);  // much more
  up.add_sample()->set_absent(true);
  AddScores(5, 2499, &up);  // less: the parent must not believe in more
  Shorten(&up);
  EXPECT_EQ(up.sample(1).time_left_ms(), 0u);
  EXPECT_EQ(up.sample(2).time_left_ms(), 2500u);
  EXPECT_EQ(up.sample(4).time_left_ms(), 2499u);
  Restore(&up);
  EXPECT_EQ(up.sample(1).time_left_ms(), 1700u);
  EXPECT_EQ(up.sample(3).time_left_ms(), 0u) << "nobody waits for an absent one";
  EXPECT_EQ(up.sample(4).time_left_ms(), 2499u);
}

TEST(Shorten, IsUndoneForAnyNames) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 2000; ++round) {
    v1::Up up;
    v1::Down down;
    uint64_t sequence = 0;
    uint32_t stream = 0;
    for (int i = 0; i < 8; ++i) {
      if (random() % 3 == 0) sequence = random() % 4 == 0 ? ~uint64_t{0} : random();
      if (random() % 4 == 0) stream = random() % 2 == 0 ? ~uint32_t{0} : random() % 3;
      sequence += random() % 3;
      v1::UpSample* sample = AddScores(sequence, 1 + random() % 3000, &up);
      sample->set_stream(stream);
      v1::SampleRef* wanted = down.add_want_features();
      wanted->set_sequence(sequence);
      wanted->set_stream(stream);
      v1::DownAnswer* answer = down.add_answer();
      answer->set_sequence(sequence + 1);
      answer->set_stream(stream);
    }
    v1::Up up_back = up;
    Shorten(&up_back);
    Restore(&up_back);
    for (int i = 0; i < 8; ++i) {
      const uint32_t was = up.sample(i).time_left_ms(), is = up_back.sample(i).time_left_ms();
      EXPECT_LE(is, was);
      EXPECT_GE(is, was - was / 5);
      up_back.mutable_sample(i)->set_time_left_ms(was);
    }
    EXPECT_TRUE(MessageDifferencer::Equals(up_back, up)) << up.ShortDebugString();
    v1::Down down_back = down;
    Shorten(&down_back);
    Restore(&down_back);
    EXPECT_TRUE(MessageDifferencer::Equals(down_back, down)) << down.ShortDebugString();
  }
}

TEST(Restore, TakesAnyMessage) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 60, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    v1::Up up;
    if (up.ParseFromString(bytes)) Restore(&up);
    v1::Down down;
    if (down.ParseFromString(bytes)) Restore(&down);
  }
  // The steps over both ends of the numbers there are.
  v1::Down down;
  for (const int64_t step : {INT64_MAX, INT64_MIN, int64_t{-1}, INT64_MAX}) {
    down.add_answer()->set_step(step);
    down.mutable_answer()->rbegin()->set_stream_step(INT32_MIN);
  }
  Restore(&down);
  uint64_t sequence = ~uint64_t{0};
  for (int i = 0; i < 4; ++i) {
    const int64_t step[] = {INT64_MAX, INT64_MIN, -1, INT64_MAX};
    sequence += 1 + static_cast<uint64_t>(step[i]);
    EXPECT_EQ(down.answer(i).sequence(), sequence) << i;
    EXPECT_EQ(down.answer(i).step(), 0) << i;
  }
}

}  // namespace
}  // namespace ddnn

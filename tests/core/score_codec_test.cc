#include "runtime/core/score_codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/random_network.h"

namespace ddnn {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

v1::ScoreCode Code(int bits, float range) {
  v1::ScoreCode code;
  code.set_bits(bits);
  code.set_range(range);
  return code;
}

TEST(Scores, AreFloatsWithoutACode) {
  EXPECT_EQ(PackScores({1.0f, -2.0f}), std::string("\0\0\x80\x3f\0\0\0\xc0", 8));
  std::vector<float> scores = {1.25f};
  RoundScores({}, &scores);
  EXPECT_EQ(scores[0], 1.25f);
  EXPECT_EQ(PackedScoresSize({}, 10), 40u);
}

TEST(Scores, LoseNothingWithoutACodeAndRefuseAnotherSize) {
  std::vector<float> scores;
  ASSERT_TRUE(UnpackScores(PackScores({1.5f, -kInf, 0.0f}), 3, &scores).ok());
  EXPECT_EQ(scores, (std::vector<float>{1.5f, -kInf, 0.0f}));
  for (size_t size : {0, 4, 11, 13, 16}) {
    const absl::Status status = UnpackScores(std::string(size, 'x'), 3, &scores);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << size;
  }
  EXPECT_FALSE(UnpackScores("", -1, &scores).ok());
}

TEST(Scores, OfFourBitsByHand) {
  // 15 values from -7 to 7 in steps of 1, and 15 for no number.
  const v1::ScoreCode code = Code(4, 7);
  EXPECT_EQ(PackScores({-7.0f, 7.0f, 0.4f}, code), std::string("\xe0\x07", 2));
  std::vector<float> scores = {-100, -kInf, kInf, 0, -0.6f, std::nanf("")};
  RoundScores(code, &scores);
  EXPECT_EQ(scores[0], -7);
  EXPECT_EQ(scores[1], -7);
  EXPECT_EQ(scores[2], 7);
  EXPECT_EQ(scores[3], 0);
  EXPECT_EQ(scores[4], -1);
  EXPECT_TRUE(std::isnan(scores[5]));
  EXPECT_EQ(PackScores(scores, code).size(), 3u);
}

TEST(Scores, TravelAsTheyWereRounded) {
  Random random(31);
  for (int round = 0; round < 500; ++round) {
    const v1::ScoreCode code = Code(RandomInt(2, 8, &random), RandomFloat(0.01f, 50, &random));
    const int classes = RandomInt(2, 20, &random);
    std::vector<float> scores, there;
    for (int c = 0; c < classes; ++c) scores.push_back(RandomFloat(-30, 30, &random));
    const std::vector<float> exact = scores;
    RoundScores(code, &scores);
    const std::string packed = PackScores(scores, code);
    EXPECT_EQ(packed, PackScores(exact, code));
    EXPECT_EQ(packed.size(), PackedScoresSize(code, classes));
    ASSERT_TRUE(UnpackScores(packed, classes, &there, code).ok());
    EXPECT_EQ(there, scores);
    const float step = 2 * code.range() / static_cast<float>((1 << code.bits()) - 2);
    for (int c = 0; c < classes; ++c) {
      const float clipped = std::min(std::max(exact[c], -code.range()), code.range());
      EXPECT_NEAR(scores[c], clipped, step * 0.5001f);
    }
  }
}

TEST(Scores, RefuseSpareBitsAndAnotherSize) {
  const v1::ScoreCode code = Code(3, 1);
  std::vector<float> scores;
  EXPECT_TRUE(UnpackScores(std::string("\xff\x01", 2), 3, &scores, code).ok());
  for (float score : scores) EXPECT_TRUE(std::isnan(score));
  EXPECT_TRUE(absl::IsInvalidArgument(UnpackScores(std::string("\xff\x02", 2), 3, &scores, code)));
  for (size_t size : {0, 1, 3, 12}) {
    EXPECT_FALSE(UnpackScores(std::string(size, '\0'), 3, &scores, code).ok());
  }
}

}  // namespace
}  // namespace ddnn

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/core/feature_codec.h"
#include "runtime/core/score_codec.h"
#include "tests/node/networks.h"
#include "tests/node/one_node.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Says something to a node that must refuse it without any effect; returns the refusal.
class Refusal {
 public:
  explicit Refusal(OneNode* to) : to_(to) {}

  std::string Scores(int child, const std::string& packed, uint64_t presence) {
    return Check(to_->node().OnChildScores(child, kOne, packed, presence, to_->now(), &actions_));
  }
  std::string Features(int child, const std::string& packed, uint64_t presence) {
    return Check(to_->node().OnChildFeatures(child, kOne, packed, presence, to_->now(), &actions_));
  }
  std::string Absent(int child) {
    return Check(to_->node().OnChildAbsent(child, kOne, to_->now(), &actions_));
  }
  std::string Pixels(int child, int view, const std::string& bytes) {
    return Check(to_->node().OnChildPixels(child, kOne, {{view, bytes}}, to_->now(), &actions_));
  }

 private:
  std::string Check(const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(actions_, IsEmpty());
    EXPECT_EQ(to_->counters().entered, 0u);
    EXPECT_EQ(to_->counters().payload_bytes, 0u);
    EXPECT_FALSE(to_->node().Knows(kOne));
    return std::string(status.message());
  }

  OneNode* const to_;
  std::vector<Action> actions_;
};

const std::string kScores = PackScores({1, 2, 3});

TEST(HostileChild, ThatDoesNotExistIsRefused) {
  OneNode edge(SmallNetwork('e'), 1);
  for (int child : {-1, 3, 64, 1 << 30, std::numeric_limits<int>::min()}) {
    EXPECT_THAT(Refusal(&edge).Scores(child, kScores, 1), HasSubstr("tier edge, which has 3"));
    EXPECT_THAT(Refusal(&edge).Features(child, "1234", 1), HasSubstr("which has 3"));
    EXPECT_THAT(Refusal(&edge).Absent(child), HasSubstr("which has 3"));
    EXPECT_THAT(Refusal(&edge).Pixels(child, 0, std::string(16, 'p')), HasSubstr("which has 3"));
  }
}

TEST(HostileChild, ThatDoesNotExistNeitherJoinsNorGoes) {
  OneNode edge(SmallNetwork('e'), 1);
  for (int child : {-1, 3, 64, 1 << 30}) {
    edge.Joined(child);
    EXPECT_THAT(edge.Gone(child), IsEmpty());
  }
  for (int child : {0, 1}) edge.Scores(child, kOne, SureScores(0));
  EXPECT_THAT(Of<GiveAnswer>(edge.Scores(2, kOne, SureScores(0))), SizeIs(1));
}

TEST(HostileChild, WithScoresOfTheWrongSizeIsRefused) {
  OneNode edge(SmallNetwork('e'), 1);
  for (size_t size : {0, 1, 11, 13, 24, 100000}) {
    EXPECT_THAT(Refusal(&edge).Scores(1, std::string(size, 'x'), 0b10),
                AllOf(HasSubstr("scores of node 1 of tier device"), HasSubstr("expected 12")));
  }
}

TEST(HostileChild, WithFeaturesOfTheWrongSizeIsRefused) {
  OneNode cloud(SmallNetwork('a'), 1);
  for (size_t size : {0, 15, 17, 100000}) {
    EXPECT_THAT(Refusal(&cloud).Features(2, std::string(size, 'x'), 0b100),
                AllOf(HasSubstr("features of node 2 of tier device"), HasSubstr("expected 16")));
  }
}

TEST(HostileChild, WithFeaturesThatAreNoNumbersIsRefused) {
  OneNode cloud(SmallNetwork('f'), 2);
  cloud.Scores(0, kTwo, UnsureScores());
  std::vector<float> values(cloud.FeaturesOf(0).size() / 4, 1.0f);
  values.back() = std::numeric_limits<float>::quiet_NaN();
  const std::string packed = PackFeatures(ValueType{{static_cast<int>(values.size())}}, {}, values);
  std::vector<Action> actions;
  const absl::Status status =
      cloud.node().OnChildFeatures(0, kTwo, packed, 0b11, cloud.now(), &actions);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(actions, IsEmpty());
}

TEST(HostileChild, ThatSpeaksForOthersViewsIsRefused) {
  OneNode edge(SmallNetwork('e'), 1);
  for (uint64_t presence : {0b001u, 0b011u, 0b110u, 0b1000u}) {
    EXPECT_THAT(Refusal(&edge).Scores(1, kScores, presence), HasSubstr("expected some of 0x2"));
    EXPECT_THAT(Refusal(&edge).Features(1, "1234", presence), HasSubstr("expected some of 0x2"));
  }
  EXPECT_THAT(Refusal(&edge).Scores(1, kScores, ~uint64_t{0}), HasSubstr("0xffffffffffffffff"));
}

TEST(HostileChild, WithSeveralViewsMustSayWhich) {
  OneNode cloud(SmallNetwork('f'), 2);
  EXPECT_THAT(Refusal(&cloud).Scores(1, kScores, 0), HasSubstr("expected some of 0xc"));
}

TEST(HostileChild, WithOneViewNeedNotSayWhich) {
  OneNode edge(SmallNetwork('e'), 1);
  std::vector<Action> actions;
  for (int child : {0, 1, 2}) {
    ASSERT_TRUE(edge.node()
                    .OnChildScores(child, kOne, PackScores(SureScores(0)), 0, edge.now(), &actions)
                    .ok());
  }
  ASSERT_THAT(Of<GiveAnswer>(actions), SizeIs(1));
  EXPECT_EQ(Of<GiveAnswer>(actions)[0].answer.presence, 0b111u);
}

TEST(HostileChild, ThatSendsScoresNobodyDecidesOnIsRefused) {
  OneNode cloud(SmallNetwork('e'), 2);
  EXPECT_THAT(Refusal(&cloud).Scores(0, kScores, 0b111), HasSubstr("expected features"));
}

TEST(HostileChild, WithPixelsOfAnothersViewIsRefused) {
  OneNode edge(SmallNetwork('e'), 1);
  for (int view : {-63, -1, 0, 2, 3, 63, 64, 65, 1 << 30}) {
    EXPECT_THAT(Refusal(&edge).Pixels(1, view, std::string(16, 'p')), HasSubstr("views 0x2"));
  }
}

TEST(HostileChild, WithPixelsOfTheWrongSizeIsRefused) {
  OneNode edge(SmallNetwork('e'), 1);
  for (size_t size : {0, 15, 17}) {
    EXPECT_THAT(Refusal(&edge).Pixels(1, 1, std::string(size, 'p')), HasSubstr("expected 16"));
  }
}

TEST(HostileChild, ThatIsACameraHasNoPixelsToAdd) {
  OneNode device(SmallNetwork('e'), 0);
  Refusal(&device).Pixels(0, 0, std::string(16, 'p'));
}

TEST(HostileChild, IsRefusedWithoutHarmToTheSampleUnderWay) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, SureScores(1));
  std::vector<Action> actions;
  EXPECT_FALSE(edge.node().OnChildScores(1, kOne, "short", 0, edge.now(), &actions).ok());
  edge.Scores(1, kOne, SureScores(1));
  const auto gives = Of<GiveAnswer>(edge.Scores(2, kOne, SureScores(1)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.presence, 0b111u);
}

TEST(HostileChild, ThatReportsASampleTwiceCountsOnce) {
  OneNode edge(SmallNetwork('e', v1::AP), 1);
  edge.Scores(0, kOne, {30, 0, 0});
  EXPECT_THAT(edge.Scores(0, kOne, {0, 300, 0}), IsEmpty());
  EXPECT_EQ(edge.counters().late_messages, 1u);
  edge.Scores(1, kOne, {30, 0, 0});
  const auto gives = Of<GiveAnswer>(edge.Scores(2, kOne, {30, 0, 0}));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_THAT(gives[0].answer.scores, ElementsAre(30, 0, 0));
  EXPECT_THAT(gives[0].children, ElementsAre(0, 1, 2));
}

TEST(HostileChild, ThatSendsFeaturesTwiceCountsOnce) {
  OneNode cloud(SmallNetwork('a'), 1);
  cloud.Features(0, kOne);
  std::vector<Action> actions;
  ASSERT_TRUE(
      cloud.node().OnChildFeatures(0, kOne, std::string(16, '\0'), 0, cloud.now(), &actions).ok());
  EXPECT_EQ(cloud.counters().late_messages, 1u);
  cloud.Absent(1, kOne);
  const auto runs = Of<RunSection>(cloud.Absent(2, kOne));
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0].input.values[0], static_cast<unsigned char>(cloud.FeaturesOf(0)[0]) / 256.0f);
}

TEST(HostileChild, ThatIsAbsentAfterItSpokeStaysPresent) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, SureScores(1));
  edge.Absent(0, kOne);
  EXPECT_EQ(edge.counters().late_messages, 1u);
  edge.Scores(1, kOne, SureScores(1));
  const auto gives = Of<GiveAnswer>(edge.Scores(2, kOne, SureScores(1)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.presence, 0b111u);
}

TEST(HostileChild, ThatSpeaksAfterItWasAbsentStaysAbsent) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Absent(0, kOne);
  edge.Scores(0, kOne, SureScores(1));
  edge.Scores(1, kOne, SureScores(1));
  const auto gives = Of<GiveAnswer>(edge.Scores(2, kOne, SureScores(1)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.presence, 0b110u);
}

TEST(HostileChild, ThatSendsFeaturesAfterItWasAbsentStaysAbsent) {
  OneNode cloud(SmallNetwork('a'), 1);
  cloud.Absent(0, kOne);
  cloud.Features(0, kOne);
  EXPECT_EQ(cloud.counters().late_messages, 1u);
  cloud.Features(1, kOne);
  cloud.Features(2, kOne);
  const auto gives = Of<GiveAnswer>(cloud.Section(kOne, SureScores(0)));
  ASSERT_THAT(gives, SizeIs(1));
  EXPECT_EQ(gives[0].answer.presence, 0b110u);
}

TEST(HostileChild, BeginsNoSampleWithFeaturesNobodyAskedFor) {
  OneNode edge(SmallNetwork('e'), 1);
  EXPECT_THAT(edge.Features(0, kOne), IsEmpty());
  EXPECT_EQ(edge.counters().entered, 0u);
  EXPECT_EQ(edge.counters().late_messages, 1u);
}

TEST(HostileChild, ThatWasNotAskedForItsFeaturesDoesNotJoinThem) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, UnsureScores());
  edge.Absent(1, kOne);
  edge.Scores(2, kOne, UnsureScores());
  EXPECT_THAT(edge.Features(1, kOne), IsEmpty());
  EXPECT_EQ(edge.counters().late_messages, 1u);
  edge.Features(0, kOne);
  EXPECT_THAT(Of<RunSection>(edge.Features(2, kOne)), SizeIs(1));
  const auto sends = Of<SendFeatures>(edge.Section(kOne, UnsureScores()));
  ASSERT_THAT(sends, SizeIs(1));
  EXPECT_EQ(sends[0].presence, 0b101u);
}

TEST(HostileChild, ThatWasTooLateToBeAskedDoesNotJoinItsFeatures) {
  OneNode edge(SmallNetwork('e'), 1);
  edge.Scores(0, kOne, UnsureScores());
  edge.Pass(absl::Milliseconds(200));
  EXPECT_THAT(edge.Features(1, kOne), IsEmpty());
  EXPECT_EQ(edge.counters().late_messages, 1u);
}

TEST(HostileChild, MayCountBackwards) {
  OneNode edge(SmallNetwork('e'), 1);
  for (uint64_t sequence : {~uint64_t{0}, uint64_t{5}, uint64_t{4}, uint64_t{0}}) {
    const SampleKey key{7, sequence};
    for (int child : {0, 1}) edge.Scores(child, key, SureScores(0));
    const auto gives = Of<GiveAnswer>(edge.Scores(2, key, SureScores(0)));
    ASSERT_THAT(gives, SizeIs(1));
    EXPECT_EQ(gives[0].answer.sample, key);
  }
  EXPECT_EQ(edge.counters().answered, 4u);
}

}  // namespace
}  // namespace ddnn

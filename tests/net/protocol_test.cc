#include "runtime/net/protocol.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/core/bundle.h"
#include "runtime/core/feature_codec.h"
#include "runtime/net/outbox.h"
#include "runtime/net/status.h"
#include "tests/node/networks.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kHash(32, 'h');

v1::Hello HelloOf(const std::string& tier, int node) {
  v1::Hello hello;
  hello.set_protocol_version(kProtocolVersion);
  hello.set_bundle_sha256(kHash);
  hello.set_tier(tier);
  hello.set_node(node);
  return hello;
}

TEST(CheckHello, GivesTheSlotAmongTheParentsChildren) {
  const NetworkPlan plan = SmallNetwork('f');
  EXPECT_EQ(*CheckHello(plan, 1, 1, kHash, HelloOf("device", 2)), 0);
  EXPECT_EQ(*CheckHello(plan, 1, 1, kHash, HelloOf("device", 3)), 1);
  EXPECT_EQ(*CheckHello(plan, 2, 0, kHash, HelloOf("edge", 1)), 1);
}

TEST(CheckHello, NamesBothBundlesInHexadecimal) {
  v1::Hello hello = HelloOf("device", 0);
  hello.set_bundle_sha256(std::string(32, 'x'));
  const absl::Status status = CheckHello(SmallNetwork('e'), 1, 0, kHash, hello).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(ToHex(kHash)), HasSubstr(ToHex(hello.bundle_sha256()))));
}

TEST(CheckHello, RefusesAnotherVersionAndAMalformedHash) {
  const NetworkPlan plan = SmallNetwork('e');
  v1::Hello hello = HelloOf("device", 0);
  hello.set_protocol_version(kProtocolVersion + 1);
  EXPECT_EQ(CheckHello(plan, 1, 0, kHash, hello).status().code(),
            absl::StatusCode::kFailedPrecondition);
  hello = HelloOf("device", 0);
  hello.set_bundle_sha256("short");
  EXPECT_EQ(CheckHello(plan, 1, 0, kHash, hello).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(CheckHello, RefusesWhoIsNoChildHere) {
  const NetworkPlan plan = SmallNetwork('f');
  for (const v1::Hello& hello : {HelloOf("device", 4), HelloOf("device", -1), HelloOf("device", 0),
                                 HelloOf("edge", 0), HelloOf("", 2), HelloOf("cloud", 0)}) {
    const absl::Status status = CheckHello(plan, 1, 1, kHash, hello).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange) << hello.ShortDebugString();
  }
  EXPECT_THAT(std::string(CheckHello(plan, 1, 1, kHash, HelloOf("device", 9)).status().message()),
              AllOf(HasSubstr("9"), HasSubstr("2, 3")));
}

class CheckUpSampleTest : public ::testing::Test {
 protected:
  absl::Status Check(v1::UpSample sample) { return CheckUpSample(plan_, 0, 1, &sample); }
  v1::UpSample Scores() {
    v1::UpSample sample;
    sample.set_scores(std::string(4 * plan_.classes(), '\0'));
    return sample;
  }
  void ExpectRefused(const v1::UpSample& sample, const std::string& why) {
    const absl::Status status = Check(sample);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << why;
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("device.1"), HasSubstr(why)));
  }

  const NetworkPlan plan_ = SmallNetwork('e');
};

TEST_F(CheckUpSampleTest, TakesWhatTheSpecAllows) {
  EXPECT_TRUE(Check(Scores()).ok());
  v1::UpSample features;
  features.set_features(SomeFeatures(plan_.node(0, 1).features, 1));
  EXPECT_TRUE(Check(features).ok());
  v1::UpSample absent;
  absent.set_absent(true);
  EXPECT_TRUE(Check(absent).ok());
}

TEST_F(CheckUpSampleTest, FillsInADevicesPresence) {
  v1::UpSample sample = Scores();
  ASSERT_TRUE(CheckUpSample(plan_, 0, 1, &sample).ok());
  EXPECT_EQ(sample.presence(), 2u);
}

TEST_F(CheckUpSampleTest, RefusesWrongSizes) {
  v1::UpSample sample = Scores();
  sample.mutable_scores()->pop_back();
  ExpectRefused(sample, "scores have 11 bytes, expected 12");
  sample.Clear();
  sample.set_features(std::string(PackedSize(plan_.node(0, 1).features) + 1, '\0'));
  ExpectRefused(sample, "features have");
}

TEST_F(CheckUpSampleTest, RefusesForeignViewsAndContradictions) {
  v1::UpSample sample = Scores();
  sample.set_presence(1);
  ExpectRefused(sample, "presence mask 0x1");
  sample = Scores();
  sample.set_absent(true);
  ExpectRefused(sample, "absent, and yet");
  ExpectRefused(v1::UpSample(), "says nothing");
}

TEST_F(CheckUpSampleTest, RefusesPicturesOfOthersTwiceOrOfTheWrongSize) {
  v1::UpSample sample;
  v1::ViewPixels* view = sample.add_pixels();
  view->set_view(1);
  view->set_pixels(std::string(16, 'p'));
  EXPECT_TRUE(Check(sample).ok());
  *sample.add_pixels() = *view;
  ExpectRefused(sample, "twice");
  sample.mutable_pixels()->RemoveLast();
  for (int other : {0, 2, -1, 64, 1 << 30}) {
    sample.mutable_pixels(0)->set_view(other);
    ExpectRefused(sample, "which is not under it");
  }
  sample.mutable_pixels(0)->set_view(1);
  sample.mutable_pixels(0)->set_pixels("short");
  ExpectRefused(sample, "have 5 bytes, expected 16");
}

TEST(CheckUpSample, RefusesScoresWhereNobodyDecidesOverThem) {
  const NetworkPlan plan = SmallNetwork('a');
  v1::UpSample sample;
  sample.set_scores(std::string(12, '\0'));
  EXPECT_THAT(std::string(CheckUpSample(plan, 0, 0, &sample).message()),
              HasSubstr("decides no exit"));
}

TEST(MaxUpBytes, HoldsTheLargestLegalMessage) {
  for (char figure : {'a', 'b', 'c', 'd', 'e', 'f'}) {
    const NetworkPlan plan = SmallNetwork(figure);
    for (int tier = 0; tier < plan.root_tier(); ++tier) {
      const NodePlan& node = plan.node(tier, 0);
      v1::UpSample sample;
      sample.set_sequence(~uint64_t{0});
      sample.set_stream(~uint32_t{0});
      sample.set_scores(std::string(4 * plan.classes(), 's'));
      sample.set_features(std::string(PackedSize(node.features), 'f'));
      sample.set_presence(~uint64_t{0});
      sample.set_time_left_ms(~uint32_t{0});
      for (int view = 0; view < plan.views(); ++view) {
        if (~node.views >> view & 1) continue;
        sample.add_pixels()->set_view(view);
        sample.mutable_pixels()->rbegin()->set_pixels(std::string(16, 'p'));
      }
      EXPECT_LE(sample.ByteSizeLong() + 6, MaxUpSampleBytes(plan, tier, 0)) << figure << tier;
    }
  }
}

TEST(DownAnswer, ComesBackAsItWas) {
  const NetworkPlan plan = SmallNetwork('e');
  Answer answer;
  answer.sample = {7, 1234567890123};
  answer.class_index = 2;
  answer.exit = 1;
  answer.entropy = 0.25f;
  answer.presence = 5;
  answer.degraded = answer.hard = true;
  answer.reason = "why";
  for (Outcome outcome : {Outcome::kAnswered, Outcome::kShed, Outcome::kExpired}) {
    answer.outcome = outcome;
    const auto back = FromProto(plan, ToProto(answer));
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_TRUE(back->sample == answer.sample);
    EXPECT_EQ(back->outcome, outcome);
    EXPECT_EQ(back->class_index, 2);
    EXPECT_EQ(back->exit, 1);
    EXPECT_EQ(back->entropy, 0.25f);
    EXPECT_EQ(back->presence, 5u);
    EXPECT_TRUE(back->degraded && back->hard);
    EXPECT_EQ(back->reason, "why");
  }
}

TEST(DownAnswer, RefusesWhatTheNetworkDoesNotHave) {
  const NetworkPlan plan = SmallNetwork('e');
  v1::DownAnswer answer;
  answer.set_class_index(3);
  EXPECT_FALSE(FromProto(plan, answer).ok());
  answer.Clear();
  answer.set_exit(3);
  EXPECT_FALSE(FromProto(plan, answer).ok());
  answer.Clear();
  answer.set_presence(8);
  EXPECT_FALSE(FromProto(plan, answer).ok());
  answer.Clear();
  answer.set_outcome(static_cast<v1::AnswerOutcome>(9));
  EXPECT_FALSE(FromProto(plan, answer).ok());
}

v1::UpSample Sized(size_t bytes) {
  v1::UpSample sample;
  sample.set_features(std::string(bytes, 'f'));
  return sample;
}

TEST(UpOutbox, MergesWhatQueuedUpInOrder) {
  UpOutbox outbox(1000, 1 << 20);
  for (int i = 0; i < kMaxPerMessage + 5; ++i) {
    v1::UpSample sample = Sized(10);
    sample.set_sequence(i);
    ASSERT_TRUE(outbox.Add(std::move(sample)));
  }
  v1::Up message;
  outbox.Take(&message);
  ASSERT_EQ(message.sample_size(), kMaxPerMessage);
  EXPECT_EQ(message.sample(3).sequence(), 3u);
  outbox.Take(&message);
  ASSERT_EQ(message.sample_size(), 5);
  EXPECT_EQ(message.sample(4).sequence(), static_cast<uint64_t>(kMaxPerMessage + 4));
  EXPECT_TRUE(outbox.empty());
}

TEST(UpOutbox, KeepsMessagesBelowTheReceiveLimitButForOneLargeSample) {
  UpOutbox outbox(1000, 1 << 20);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(outbox.Add(Sized(kMergeBytes / 4)));
  ASSERT_TRUE(outbox.Add(Sized(kMergeBytes * 2)));
  int messages = 0, samples = 0;
  while (!outbox.empty()) {
    v1::Up message;
    outbox.Take(&message);
    ++messages;
    samples += message.sample_size();
    EXPECT_TRUE(message.ByteSizeLong() <= kMergeBytes || message.sample_size() == 1);
  }
  EXPECT_EQ(samples, 11);
  EXPECT_EQ(messages, 5);
}

TEST(UpOutbox, IsBoundedInNumberAndBytes) {
  UpOutbox few(2, 1 << 20);
  EXPECT_TRUE(few.Add(Sized(1)));
  EXPECT_TRUE(few.Add(Sized(1)));
  EXPECT_FALSE(few.Add(Sized(1)));
  UpOutbox small(100, 1000);
  EXPECT_TRUE(small.Add(Sized(600)));
  EXPECT_FALSE(small.Add(Sized(600)));
  v1::Up message;
  small.Take(&message);
  EXPECT_TRUE(small.Add(Sized(600)));
}

TEST(DownOutbox, StaysBelowTheReceiveLimitWithTheLongestReasons) {
  DownOutbox outbox(1000);
  outbox.SetWelcome();
  outbox.SetStart();
  Answer answer;
  answer.sample = {~uint32_t{0}, ~uint64_t{0}};
  answer.presence = ~uint64_t{0};
  answer.reason = std::string(10000, 'r');
  v1::SampleRef wanted;
  wanted.set_sequence(~uint64_t{0});
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(outbox.Add(ToProto(answer)));
    ASSERT_TRUE(outbox.Add(wanted));
  }
  v1::Down message;
  outbox.Take(&message);
  EXPECT_TRUE(message.has_welcome() && message.start());
  EXPECT_EQ(message.answer_size(), kMaxPerMessage);
  EXPECT_LE(message.ByteSizeLong(), MaxDownBytes());
  outbox.Take(&message);
  EXPECT_FALSE(message.has_welcome() || message.start());
  EXPECT_EQ(message.answer_size(), 100 - kMaxPerMessage);
  EXPECT_TRUE(outbox.empty());
}

TEST(Status, KeepsEveryCodeThereAndBack) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "why");
    EXPECT_EQ(static_cast<int>(ToGrpc(status).error_code()), code);
    EXPECT_EQ(FromGrpc(ToGrpc(status)), status);
  }
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
}

TEST(Status, CutsTheMessageBetweenCharacters) {
  std::string text(kMaxStatusMessage - 1, 'a');
  text += "\xc3\xa4 and more";  // a two-byte character across the limit
  const std::string cut = ToGrpc(absl::InternalError(text)).error_message();
  EXPECT_EQ(cut, std::string(kMaxStatusMessage - 1, 'a'));
  EXPECT_EQ(CutText("\xc3\xa4", 1), "");
  EXPECT_EQ(CutText("abc", 3), "abc");
}

}  // namespace
}  // namespace ddnn

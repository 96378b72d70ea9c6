#include "runtime/net/protocol.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/core/bundle.h"
#include "runtime/core/feature_codec.h"
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

class CheckKeptTest : public ::testing::Test {
 protected:
  // Of device 1 of figure (e).
  v1::KeptSample Kept() {
    v1::KeptSample kept;
    kept.set_view(1);
    kept.set_log(std::string(kLogBytes, 'l'));
    kept.set_number(2);
    kept.set_after(1);
    kept.set_entropy(0.5f);
    kept.set_features(SomeFeatures(plan_.node(0, 1).features, 1));
    return kept;
  }
  void ExpectRefused(const v1::KeptSample& kept, const std::string& why) {
    for (int tier : {0, 1}) {
      const absl::Status status = CheckKept(plan_, tier, tier == 0 ? 1 : 0, kept);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << why;
      EXPECT_THAT(std::string(status.message()), HasSubstr(why));
    }
  }

  const NetworkPlan plan_ = SmallNetwork('e');
};

TEST_F(CheckKeptTest, TakesFeaturesOrAPictureFromTheDeviceAndFromThoseAboveIt) {
  v1::KeptSample kept = Kept();
  EXPECT_TRUE(CheckKept(plan_, 0, 1, kept).ok());
  EXPECT_TRUE(CheckKept(plan_, 1, 0, kept).ok());
  kept.clear_features();
  kept.set_pixels(std::string(plan_.view_shape().size(), 'p'));
  kept.set_scores(std::string(4 * plan_.classes(), '\0'));
  EXPECT_TRUE(CheckKept(plan_, 0, 1, kept).ok());
  kept.clear_entropy();
  kept.clear_scores();
  kept.set_expired(true);
  EXPECT_TRUE(CheckKept(plan_, 0, 1, kept).ok());
}

TEST_F(CheckKeptTest, RefusesAnotherChildsView) {
  EXPECT_THAT(std::string(CheckKept(plan_, 0, 2, Kept()).message()),
              AllOf(HasSubstr("device.2"), HasSubstr("view 1, expected one of 0x4")));
  v1::KeptSample kept = Kept();
  for (int view : {-1, 3, 64, 1 << 30}) {
    kept.set_view(view);
    ExpectRefused(kept, "view");
  }
}

TEST_F(CheckKeptTest, RefusesWhatDoesNotFitTheSpec) {
  v1::KeptSample kept = Kept();
  kept.set_log("short");
  ExpectRefused(kept, "log has 5 bytes, expected 16");
  kept = Kept();
  kept.set_number(0);
  ExpectRefused(kept, "number 0");
  kept = Kept();
  kept.set_after(2);
  ExpectRefused(kept, "number 2 after 2");
  kept = Kept();
  kept.set_class_index(3);
  ExpectRefused(kept, "class 3, the network has 3");
  kept = Kept();
  kept.set_exit(99);
  ExpectRefused(kept, "exit 99");
  for (float entropy : {-0.1f, 1.1f, std::nanf("")}) {
    kept = Kept();
    kept.set_entropy(entropy);
    ExpectRefused(kept, "entropy");
  }
  kept = Kept();
  kept.set_scores("x");
  ExpectRefused(kept, "scores have 1 bytes, expected 12");
  kept = Kept();
  kept.set_features(kept.features() + "x");
  ExpectRefused(kept, "features have");
  kept = Kept();
  kept.set_pixels(std::string(plan_.view_shape().size(), 'p'));
  ExpectRefused(kept, "expected one of the two");
  kept.clear_features();
  kept.set_pixels("p");
  ExpectRefused(kept, "pixels have 1 bytes, expected 16");
  kept.clear_pixels();
  ExpectRefused(kept, "expected one of the two");
}

TEST_F(CheckKeptTest, TakesOnlyNamesAndThePictureOfAnotherBundle) {
  v1::KeptSample good;
  good.set_view(1);
  good.set_log(std::string(kLogBytes, 'l'));
  good.set_number(1);
  good.set_bundle_sha256(std::string(32, 'b'));
  good.set_class_name("llama");
  good.set_exit_name("local");
  good.set_entropy(0.5f);
  good.set_pixels(std::string(plan_.view_shape().size(), 'p'));
  EXPECT_TRUE(CheckKept(plan_, 0, 1, good).ok());
  v1::KeptSample kept = good;
  kept.set_bundle_sha256("b");
  ExpectRefused(kept, "bundle_sha256 has 1 bytes, expected 32");
  kept.clear_bundle_sha256();
  ExpectRefused(kept, "names, but not of which bundle");
  kept = good;
  kept.set_exit_name(std::string(kMaxKeptName + 1, 'n'));
  ExpectRefused(kept, "names of 5 and 101 bytes, at most 100");
  for (int field = 0; field < 3; ++field) {
    kept = good;
    if (field == 0) kept.set_class_index(1);
    if (field == 1) kept.set_exit(1);
    if (field == 2) kept.set_scores(std::string(4 * plan_.classes(), '\0'));
    ExpectRefused(kept, "of another bundle, expected names and a picture only");
  }
  kept = good;
  kept.clear_pixels();
  kept.set_features(SomeFeatures(plan_.node(0, 1).features, 1));
  ExpectRefused(kept, "of another bundle, expected names and a picture only");
}

TEST_F(CheckKeptTest, RefusesAnAcknowledgementOfSomebodyElses) {
  v1::KeptAck ack;
  ack.set_view(1);
  ack.set_log(std::string(kLogBytes, 'l'));
  EXPECT_TRUE(CheckKeptAck(plan_, 0, 1, ack).ok());
  EXPECT_FALSE(CheckKeptAck(plan_, 0, 2, ack).ok());
  ack.set_view(200);
  EXPECT_FALSE(CheckKeptAck(plan_, 1, 0, ack).ok());
  ack.set_view(1);
  ack.set_log("");
  EXPECT_FALSE(CheckKeptAck(plan_, 0, 1, ack).ok());
}

TEST(KeptSizes, EveryKeptSampleFitsIntoAMessage) {
  for (char figure : {'a', 'c', 'e', 'f'}) {
    const NetworkPlan plan = SmallNetwork(figure);
    for (int view = 0; view < plan.views(); ++view) {
      v1::Up up;
      v1::KeptSample* kept = up.add_kept();
      kept->set_view(63);
      kept->set_log(std::string(kLogBytes, 'l'));
      kept->set_number(~0u);
      kept->set_after(~0u - 1);
      kept->set_stream(~0u);
      kept->set_sequence(~uint64_t{0});
      kept->set_time_us(-1);
      kept->set_class_index(~0u);
      kept->set_exit(~0u);
      kept->set_entropy(0.5f);
      kept->set_in_doubt(true);
      kept->set_bundle_sha256(std::string(32, 'b'));
      kept->set_class_name(std::string(kMaxKeptName, 'c'));
      kept->set_exit_name(std::string(kMaxKeptName, 'e'));
      kept->set_scores(std::string(4 * plan.classes(), '\0'));
      kept->set_features(SomeFeatures(plan.node(0, view).features, 1));
      EXPECT_LE(kept->ByteSizeLong(), MaxKeptBytes(plan, view));
      kept->clear_features();
      kept->set_pixels(std::string(plan.view_shape().size(), 'p'));
      EXPECT_LE(kept->ByteSizeLong(), MaxKeptBytes(plan, view));
      const int parent = plan.node(0, view).parent;
      if (parent < 0) continue;
      EXPECT_LE(up.ByteSizeLong(), MaxUpBytes(plan, 1, parent));
    }
  }
}

}  // namespace
}  // namespace ddnn

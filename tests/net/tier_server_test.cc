#include "runtime/net/tier_server.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "ddnn/v1/tier.grpc.pb.h"
#include "gmock/gmock.h"
#include "runtime/core/feature_codec.h"
#include "runtime/net/shorten.h"
#include "tests/net/stream_ends.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

v1::Up HelloOf(int node, const std::string& hash = kHash) {
  v1::Up up;
  up.mutable_hello()->set_protocol_version(kProtocolVersion);
  up.mutable_hello()->set_bundle_sha256(hash);
  up.mutable_hello()->set_tier("device");
  up.mutable_hello()->set_node(node);
  return up;
}

// A child that says what it likes.
class RawChild {
 public:
  explicit RawChild(const std::string& address)
      : stub_(v1::TierService::NewStub(
            grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
    stream_ = stub_->Join(&context_);
  }
  ~RawChild() {
    if (!finished_) Hang();
  }

  bool Say(const v1::Up& up) { return stream_->Write(up); }
  bool Hear(v1::Down* down) { return stream_->Read(down); }
  bool Join(int node) {
    v1::Down down;
    return Say(HelloOf(node)) && Hear(&down) && down.has_welcome();
  }
  /// Reads to the end; what the parent ended it with.
  grpc::Status End() {
    v1::Down down;
    while (stream_->Read(&down)) {
    }
    finished_ = true;
    return stream_->Finish();
  }
  void Hang() {
    context_.TryCancel();
    End();
  }

 private:
  std::unique_ptr<v1::TierService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::Up, v1::Down>> stream_;
  bool finished_ = false;
};

class TierServerTest : public ::testing::Test {
 protected:
  v1::Up Scores(uint64_t sequence) {
    v1::Up up;
    up.add_sample()->set_sequence(sequence);
    up.mutable_sample(0)->set_scores(std::string(12, '\0'));
    return up;
  }
  grpc::Status Ends(const v1::Up& up, bool join = true) {
    RawChild child(parent_.address());
    if (join) {
      EXPECT_TRUE(child.Join(0));
    }
    child.Say(up);
    return child.End();
  }
  bool WaitUntilEmpty() {
    return parent_.children.waiter.WaitUntil([&] { return parent_.children.here.empty(); });
  }

  const NetworkPlan plan_ = SmallNetwork('e');
  Parent parent_{plan_};
};

TEST_F(TierServerTest, HandsOnWhatAChildSays) {
  RawChild child(parent_.address());
  ASSERT_TRUE(child.Join(1));
  v1::Up up = Scores(5);
  up.set_ready(true);
  ASSERT_TRUE(child.Say(up));
  ASSERT_TRUE(parent_.children.WaitForSamples(1));
  EXPECT_EQ(parent_.children.samples[0].sequence(), 5u);
  EXPECT_EQ(parent_.children.samples[0].presence(), 2u);
  EXPECT_EQ(parent_.children.ready, std::set<int>{1});
}

TEST_F(TierServerTest, RefusesAnotherBundle) {
  const grpc::Status status = Ends(HelloOf(0, std::string(32, 'x')), /*join=*/false);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(),
              AllOf(HasSubstr(ToHex(kHash)), HasSubstr(ToHex(std::string(32, 'x')))));
  EXPECT_EQ(parent_.tier()->counters().refused, 1u);
  EXPECT_EQ(parent_.children.joins, 0);
}

TEST_F(TierServerTest, RefusesAViewOutOfRange) {
  EXPECT_EQ(Ends(HelloOf(3), /*join=*/false).error_code(), grpc::StatusCode::OUT_OF_RANGE);
}

TEST_F(TierServerTest, RefusesATakenPlaceAndFreesItWhenTheChildIsGone) {
  auto first = std::make_unique<RawChild>(parent_.address());
  ASSERT_TRUE(first->Join(0));
  const grpc::Status status = Ends(HelloOf(0), /*join=*/false);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_THAT(status.error_message(), AllOf(HasSubstr("device.0"), HasSubstr("127.0.0.1")));
  first.reset();
  ASSERT_TRUE(WaitUntilEmpty());
  // The place is free once the handler has heard of it and returned; a moment may lie between.
  bool joined = false;
  for (int i = 0; i < 1000 && !joined; ++i) joined = RawChild(parent_.address()).Join(0);
  EXPECT_TRUE(joined);
}

TEST_F(TierServerTest, RefusesAFirstMessageThatIsNoHello) {
  EXPECT_EQ(Ends(Scores(1), /*join=*/false).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  v1::Up both = HelloOf(0);
  *both.add_sample() = Scores(1).sample(0);
  EXPECT_EQ(Ends(both, /*join=*/false).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(parent_.children.samples.empty());
}

TEST_F(TierServerTest, RefusesASecondHello) {
  const grpc::Status status = Ends(HelloOf(0));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("second hello"));
}

TEST_F(TierServerTest, RefusesAWrongFeatureSizeAndNothingOfThatMessageCounts) {
  v1::Up up = Scores(1);
  const size_t wrong = PackedSize(plan_.node(0, 0).features) + 1;
  up.add_sample()->set_features(std::string(wrong, 'x'));
  const grpc::Status status = Ends(up);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr(absl::StrCat("features have ", wrong, " bytes")));
  EXPECT_TRUE(parent_.children.samples.empty());
  EXPECT_EQ(parent_.tier()->counters().malformed, 1u);
  EXPECT_TRUE(WaitUntilEmpty());
}

TEST_F(TierServerTest, RefusesTooManySamplesInOneMessage) {
  v1::Up up;
  for (int i = 0; i <= kMaxPerMessage; ++i) up.add_sample()->set_absent(true);
  EXPECT_EQ(Ends(up).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(TierServerTest, RefusesAMessageLargerThanTheSpecAllows) {
  v1::Up up = Scores(1);
  up.mutable_sample(0)->set_features(std::string(MaxUpBytes(plan_, 1, 0) + 1, 'f'));
  const grpc::Status status = Ends(up);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_THAT(status.error_message(), HasSubstr("larger than max"));
  EXPECT_TRUE(WaitUntilEmpty());
  EXPECT_TRUE(parent_.children.samples.empty());
}

TEST_F(TierServerTest, RefusesClocksOutsideOfTheCalendar) {
  for (int64_t wrong : {int64_t{-1}, std::numeric_limits<int64_t>::min(), kMaxClockUs + 1}) {
    v1::Up up = Scores(1);
    up.set_clock_us(wrong);
    const grpc::Status status = Ends(up);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr(absl::StrCat("clock_us ", wrong)));
    EXPECT_TRUE(WaitUntilEmpty());
  }
  EXPECT_TRUE(parent_.children.samples.empty());
  EXPECT_TRUE(parent_.children.clocks.empty());
  RawChild child(parent_.address());
  ASSERT_TRUE(child.Join(1));
  v1::Up up;
  up.set_clock_us(kMaxClockUs);
  ASSERT_TRUE(child.Say(up)) << "alone";
  ASSERT_TRUE(parent_.children.waiter.WaitUntil([&] { return !parent_.children.clocks.empty(); }));
  EXPECT_EQ(parent_.children.clocks[0], absl::FromUnixMicros(kMaxClockUs));
}

v1::KeptSample KeptBy(const NetworkPlan& plan, int view) {
  v1::KeptSample kept;
  kept.set_view(view);
  kept.set_log(std::string(kLogBytes, 'l'));
  kept.set_number(1);
  kept.set_features(SomeFeatures(plan.node(0, view).features, 1));
  return kept;
}

TEST_F(TierServerTest, HandsOnWhatAChildKept) {
  RawChild child(parent_.address());
  ASSERT_TRUE(child.Join(1));
  v1::Up up;
  *up.add_kept() = KeptBy(plan_, 1);
  ASSERT_TRUE(child.Say(up));
  EXPECT_TRUE(parent_.children.waiter.WaitUntil([&] { return parent_.children.kept.size() == 1; }));
}

TEST_F(TierServerTest, RefusesWhatAnotherChildKeptAndNothingOfThatMessageCounts) {
  RawChild child(parent_.address());
  ASSERT_TRUE(child.Join(1));
  v1::Up up;
  *up.add_kept() = KeptBy(plan_, 1);
  *up.add_kept() = KeptBy(plan_, 2);
  child.Say(up);
  const grpc::Status status = child.End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("view 2"));
  EXPECT_TRUE(parent_.children.waiter.Read([&] { return parent_.children.kept.empty(); }));
}

TEST_F(TierServerTest, EndsOnlyTheStreamOfWhoMisbehaves) {
  RawChild good(parent_.address());
  ASSERT_TRUE(good.Join(1));
  EXPECT_FALSE(Ends(HelloOf(0)).ok());
  ASSERT_TRUE(good.Say(Scores(9)));
  EXPECT_TRUE(parent_.children.WaitForSamples(1));
}

TEST_F(TierServerTest, SurvivesFieldsNobodyKnows) {
  // Fields nobody knows, and no hello.
  v1::Up up;
  up.GetReflection()->MutableUnknownFields(&up)->AddLengthDelimited(15, std::string(500, '\xff'));
  EXPECT_EQ(Ends(up, /*join=*/false).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  RawChild good(parent_.address());
  EXPECT_TRUE(good.Join(1));
}

TEST_F(TierServerTest, SendsAnswersRequestsAndStartMerged) {
  RawChild child(parent_.address());
  ASSERT_TRUE(child.Join(2));
  const int kAnswers = 500;
  for (int i = 0; i < kAnswers; ++i) {
    Answer answer;
    answer.sample = {0, static_cast<uint64_t>(i)};
    parent_.tier()->SendAnswer(2, answer, absl::ZeroDuration());
  }
  parent_.tier()->SendWanted(2, {3, 77}, absl::ZeroDuration());
  parent_.tier()->SendStart(2);
  uint64_t answers = 0;
  bool start = false, wanted = false;
  while (answers < kAnswers || !start || !wanted) {
    v1::Down down;
    ASSERT_TRUE(child.Hear(&down));
    Restore(&down);
    EXPECT_LE(down.answer_size(), kMaxPerMessage);
    for (const v1::DownAnswer& answer : down.answer()) EXPECT_EQ(answer.sequence(), answers++);
    for (const v1::SampleRef& ref : down.want_features()) wanted |= ref.sequence() == 77;
    start |= down.start();
  }
}

TEST(TierServer, CutsOffAChildThatDoesNotRead) {
  const NetworkPlan plan = SmallNetwork('e');
  Parent parent(plan, /*max_pending=*/64);
  RawChild child(parent.address());
  ASSERT_TRUE(child.Join(0));
  Answer answer;
  answer.reason = std::string(kMaxReason, 'r');
  // Flow control lets some megabytes through before anything queues up.
  for (int i = 0; i < 1000000 && parent.tier()->counters().cut_off == 0; ++i) {
    answer.sample.sequence = i;
    parent.tier()->SendAnswer(0, answer, absl::ZeroDuration());
  }
  EXPECT_EQ(parent.tier()->counters().cut_off, 1u);
  EXPECT_TRUE(parent.children.waiter.WaitUntil([&] { return parent.children.here.empty(); }));
}

TEST(TierServer, EndsTheStreamOfWhoNeverSaysHello) {
  const NetworkPlan plan = SmallNetwork('e');
  Parent parent(plan, 8192, absl::Milliseconds(1));
  const grpc::Status status = RawChild(parent.address()).End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(status.error_message(), "no hello");
}

TEST(TierServer, MayEndWhileHellosAreOverdue) {
  const NetworkPlan plan = SmallNetwork('e');
  for (int i = 0; i < 100; ++i) {
    Parent parent(plan, 8192, absl::Milliseconds(i % 5));
    std::vector<std::unique_ptr<RawChild>> children;
    for (int k = 0; k < 4; ++k) children.push_back(std::make_unique<RawChild>(parent.address()));
    parent.Stop();
    EXPECT_EQ(parent.children.joins, 0);
  }
}

TEST(Listen, RefusesAPortThatIsTaken) {
  const NetworkPlan plan = SmallNetwork('e');
  Parent parent(plan);
  const auto second = Listen(parent.address(), 1024, {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(parent.address()));
}

TEST(Listen, NamesAnAddressItCannotListenAt) {
  for (const char* bad : {"nonsense", "127.0.0.1", "203.0.113.7:7000", "127.0.0.1:70000", ":"}) {
    const auto listener = Listen(bad, 1024, {});
    EXPECT_EQ(listener.status().code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(listener.status().message()), HasSubstr(bad));
  }
}

}  // namespace
}  // namespace ddnn

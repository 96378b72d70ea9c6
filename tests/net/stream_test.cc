#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <limits>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "ddnn/v1/tier.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/core/bundle.h"
#include "runtime/core/feature_codec.h"
#include "runtime/net/listener.h"
#include "runtime/net/protocol.h"
#include "runtime/net/shorten.h"
#include "runtime/net/tier_client.h"
#include "runtime/net/tier_server.h"
#include "tests/net/waiter.h"
#include "tests/node/networks.h"
#include "tests/support/emulator.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kHash(32, 'h');

class Children : public TierServer::Handler {
 public:
  void OnChildJoined(int child) override {
    waiter.Change([&] { here.insert(child), ++joins; });
  }
  void OnChildGone(int child) override {
    waiter.Change([&] { here.erase(child); });
  }
  void OnChildReady(int child) override {
    waiter.Change([&] { ready.insert(child); });
  }
  void OnChildClock(int child, absl::Time said) override {
    waiter.Change([&] { clocks.push_back(said); });
  }
  absl::Status OnSample(int child, v1::UpSample sample) override {
    waiter.Change([&] { samples.push_back(std::move(sample)); });
    return absl::OkStatus();
  }
  void OnKept(int child, v1::KeptSample sample) override {
    waiter.Change([&] { kept.push_back(std::move(sample)); });
  }
  bool WaitForSamples(size_t count) {
    return waiter.WaitUntil([&] { return samples.size() >= count; });
  }

  Waiter waiter;
  std::set<int> here, ready;
  int joins = 0;
  std::vector<absl::Time> clocks;
  std::vector<v1::UpSample> samples;
  std::vector<v1::KeptSample> kept;
};

// A parent that can be stopped and started again at the same port.
class Parent {
 public:
  explicit Parent(const NetworkPlan& plan, size_t max_pending = 8192,
                  absl::Duration hello_limit = absl::Seconds(10))
      : plan_(plan) {
    options_.max_pending = max_pending;
    options_.hello_limit = hello_limit;
    Start("127.0.0.1:0");
  }
  /// One that lets answers wait for company, by this clock.
  Parent(const NetworkPlan& plan, absl::Duration max_batching_delay, Clock now) : plan_(plan) {
    options_.max_batching_delay = max_batching_delay;
    options_.now = std::move(now);
    Start("127.0.0.1:0");
  }
  ~Parent() { Stop(); }

  void Start(const std::string& address) {
    options_.tier = 1;
    options_.bundle_sha256 = kHash;
    tier_ = std::make_unique<TierServer>(plan_, options_, &children);
    auto listener = Listen(address, MaxUpBytes(plan_, 1, 0), {tier_->service()});
    ASSERT_TRUE(listener.ok()) << listener.status();
    server_ = std::move(listener->server);
    address_ = absl::StrCat("127.0.0.1:", listener->port);
  }
  void Stop() {
    if (tier_ == nullptr) return;
    tier_->Shutdown(absl::Seconds(5));
    server_->Shutdown();
    server_.reset();
    tier_.reset();
  }
  void Restart() {
    Stop();
    Start(address_);
  }

  TierServer* tier() { return tier_.get(); }
  const std::string& address() const { return address_; }

  Children children;

 private:
  const NetworkPlan& plan_;
  TierServer::Options options_;
  std::string address_;
  std::unique_ptr<TierServer> tier_;
  std::unique_ptr<grpc::Server> server_;
};

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

class Up : public TierClient::Handler {
 public:
  void OnParentUp() override {
    waiter.Change([&] { up = true, ++ups; });
  }
  void OnParentGone() override {
    waiter.Change([&] { up = false; });
  }
  void OnFeaturesWanted(SampleKey sample) override {
    waiter.Change([&] { wanted.push_back(sample); });
  }
  void OnParentAnswer(const Answer& answer) override {
    waiter.Change([&] { answers.push_back(answer); });
  }
  void OnStart() override {
    waiter.Change([&] { started = true; });
  }
  void OnRefused(const absl::Status& why) override {
    waiter.Change([&] { refused = why; });
  }

  bool WaitForUps(int count) {
    return waiter.WaitUntil([&] { return up && ups >= count; });
  }

  Waiter waiter;
  bool up = false, started = false;
  int ups = 0;
  absl::Status refused;
  std::vector<SampleKey> wanted;
  std::vector<Answer> answers;
};

class TierClientTest : public ::testing::Test {
 protected:
  TierClient::Options Options(int node) {
    TierClient::Options options;
    options.target = parent_.address();
    options.index = node;
    options.bundle_sha256 = kHash;
    options.min_backoff = absl::Milliseconds(1);
    options.max_backoff = absl::Milliseconds(20);
    return options;
  }
  v1::UpSample Scores(uint64_t sequence) {
    v1::UpSample sample;
    sample.set_sequence(sequence);
    sample.set_scores(std::string(12, '\0'));
    return sample;
  }

  const NetworkPlan plan_ = SmallNetwork('e');
  Parent parent_{plan_};
  Up up_;
};

TEST_F(TierClientTest, CarriesSamplesUpAndAnswersDownInOrder) {
  TierClient client(plan_, Options(0), &up_);
  client.Start();
  ASSERT_TRUE(up_.WaitForUps(1));
  const size_t kSamples = 1000;
  for (size_t i = 0; i < kSamples; ++i) client.Send(Scores(i));
  ASSERT_TRUE(parent_.children.WaitForSamples(kSamples));
  for (size_t i = 0; i < kSamples; ++i) {
    ASSERT_EQ(parent_.children.samples[i].sequence(), i);
    Answer answer;
    answer.sample.sequence = i;
    parent_.tier()->SendAnswer(0, answer, absl::ZeroDuration());
  }
  ASSERT_TRUE(up_.waiter.WaitUntil([&] { return up_.answers.size() == kSamples; }));
  for (size_t i = 0; i < kSamples; ++i) ASSERT_EQ(up_.answers[i].sample.sequence, i);
}

TEST_F(TierClientTest, SaysItsClockWhenAStreamBeginsAndThenSeldom) {
  const absl::Time clock = absl::FromUnixSeconds(1234567890);
  TierClient::Options options = Options(0);
  options.wall_clock = [clock] { return clock; };
  options.clock_period = absl::Hours(1);
  TierClient client(plan_, options, &up_);
  client.TellClock();
  client.Start();
  Children& children = parent_.children;
  ASSERT_TRUE(children.waiter.WaitUntil([&] { return children.clocks.size() == 1; }));
  EXPECT_EQ(children.clocks[0], clock);
  for (size_t i = 0; i < 50; ++i) {
    client.Send(Scores(i));
    ASSERT_TRUE(children.WaitForSamples(i + 1));
  }
  EXPECT_EQ(children.clocks.size(), 1u);
  parent_.Restart();
  EXPECT_TRUE(children.waiter.WaitUntil([&] { return children.clocks.size() == 2; }));
}

TEST_F(TierClientTest, SaysItsClockOnMessagesThatGoAnyway) {
  TierClient::Options options = Options(0);
  options.clock_period = absl::ZeroDuration();
  TierClient client(plan_, options, &up_);
  client.TellClock();
  client.Start();
  Children& children = parent_.children;
  ASSERT_TRUE(children.waiter.WaitUntil([&] { return children.clocks.size() == 1; }));
  for (size_t i = 0; i < 50; ++i) {
    client.Send(Scores(i));
    ASSERT_TRUE(children.WaitForSamples(i + 1));
  }
  EXPECT_EQ(children.clocks.size(), 51u);
}

TEST_F(TierClientTest, CountsTheKernelsBytes) {
  if (!KernelCountsBytes()) GTEST_SKIP() << "emulated";
  TierClient client(plan_, Options(0), &up_);
  client.Start();
  ASSERT_TRUE(up_.WaitForUps(1));
  const size_t kSamples = 200;
  for (size_t i = 0; i < kSamples; ++i) client.Send(Scores(i));
  ASSERT_TRUE(parent_.children.WaitForSamples(kSamples));
  const WireCounters wire = client.wire();
  EXPECT_GE(wire.bytes_sent, kSamples * 12);
  EXPECT_LT(wire.bytes_sent, kSamples * 12 * 20);
  EXPECT_GT(wire.bytes_received, 0u);
  EXPECT_GT(wire.segments_sent, 0u);
  EXPECT_GT(wire.segments_received, 0u);
  EXPECT_GT(wire.data_segments_sent, 0u);
  EXPECT_LE(wire.data_segments_sent, wire.segments_sent);
  EXPECT_GT(wire.data_segments_received, 0u);
  client.Stop(absl::Seconds(5));
  EXPECT_GE(client.wire().bytes_sent, wire.bytes_sent) << "kept after the connection is closed";
}

TEST_F(TierClientTest, ComesBackAfterTheParentRestartedAndAddsUpItsBytes) {
  TierClient client(plan_, Options(0), &up_);
  client.SendReady();
  client.Start();
  ASSERT_TRUE(up_.WaitForUps(1));
  for (size_t i = 0; i < 100; ++i) client.Send(Scores(i));
  ASSERT_TRUE(parent_.children.WaitForSamples(100));
  parent_.Stop();
  ASSERT_TRUE(up_.waiter.WaitUntil([&] { return !up_.up; }));
  client.Send(Scores(1));  // into the void
  parent_.children.ready.clear();
  parent_.Start(parent_.address());
  ASSERT_TRUE(up_.WaitForUps(2));
  client.Send(Scores(100));
  ASSERT_TRUE(parent_.children.WaitForSamples(101));
  EXPECT_EQ(parent_.children.samples.back().sequence(), 100u);
  EXPECT_TRUE(parent_.children.waiter.WaitUntil([&] { return parent_.children.ready.size() == 1; }))
      << "readiness is said again";
  if (KernelCountsBytes()) {
    EXPECT_GE(client.wire().bytes_sent, 101u * 12);
  }
}

TEST_F(TierClientTest, WaitsForAParentThatIsNotThereYet) {
  const std::string address = parent_.address();
  parent_.Stop();
  TierClient client(plan_, Options(0), &up_);
  client.Start();
  parent_.Start(address);
  EXPECT_TRUE(up_.WaitForUps(1));
}

TEST_F(TierClientTest, ReportsWhatIsRefusedForGood) {
  TierClient::Options other = Options(0);
  other.bundle_sha256 = std::string(32, 'x');
  TierClient client(plan_, other, &up_);
  client.Start();
  ASSERT_TRUE(up_.waiter.WaitUntil([&] { return !up_.refused.ok(); }));
  EXPECT_EQ(up_.refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(up_.refused.message()),
              AllOf(HasSubstr(parent_.address()), HasSubstr(ToHex(kHash))));
  EXPECT_EQ(up_.ups, 0);
}

TEST_F(TierClientTest, ReportsATakenPlace) {
  TierClient first(plan_, Options(1), &up_);
  first.Start();
  ASSERT_TRUE(up_.WaitForUps(1));
  Up second_up;
  TierClient second(plan_, Options(1), &second_up);
  second.Start();
  ASSERT_TRUE(second_up.waiter.WaitUntil([&] { return !second_up.refused.ok(); }));
  EXPECT_EQ(second_up.refused.code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(TierClientTest, SaysWhatWaitsBeforeItStops) {
  TierClient client(plan_, Options(0), &up_);
  client.Start();
  ASSERT_TRUE(up_.WaitForUps(1));
  for (size_t i = 0; i < 500; ++i) client.Send(Scores(i));
  client.Stop(absl::Seconds(20));
  EXPECT_TRUE(parent_.children.WaitForSamples(500));
}

// Time stands still until a test moves it.
class StoppedClock {
 public:
  Clock clock() {
    return [this] { return absl::FromUnixMillis(1700000000000 + ms_); };
  }
  absl::Time now() { return clock()(); }
  void Pass(int ms) { ms_ += ms; }

 private:
  std::atomic<int64_t> ms_{0};
};

class BatchingTest : public TierClientTest {
 protected:
  static constexpr absl::Duration kDelay = absl::Milliseconds(50);

  TierClient::Options Options(int node) {
    TierClient::Options options = TierClientTest::Options(node);
    options.target = slow_parent_.address();
    options.max_batching_delay = kDelay;
    options.now = time_.clock();
    return options;
  }

  StoppedClock time_;
  Parent slow_parent_{plan_, kDelay, time_.clock()};
};

TEST_F(BatchingTest, SamplesWaitForCompanyAndLeaveInOneMessage) {
  TierClient client(plan_, Options(0), &up_);
  client.Start();
  ASSERT_TRUE(up_.WaitForUps(1));
  const uint64_t before = client.messages().sent;
  const absl::Time due = time_.now() + kDelay;
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(client.Send(Scores(i)), due);
    time_.Pass(9);
  }
  EXPECT_EQ(client.Flush(), due);
  EXPECT_EQ(client.messages().sent, before) << "the first of them has 5 ms left to wait";
  time_.Pass(5);
  EXPECT_EQ(client.Flush(), absl::InfiniteFuture());
  ASSERT_TRUE(slow_parent_.children.WaitForSamples(5));
  EXPECT_EQ(client.messages().sent, before + 1);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(slow_parent_.children.samples[i].sequence(), i);
}

TEST_F(BatchingTest, AFullMessageLeavesAtOnce) {
  TierClient client(plan_, Options(0), &up_);
  client.Start();
  ASSERT_TRUE(up_.WaitForUps(1));
  for (int i = 0; i < kMaxPerMessage - 1; ++i) {
    EXPECT_EQ(client.Send(Scores(i)), time_.now() + kDelay);
  }
  EXPECT_EQ(client.Send(Scores(kMaxPerMessage)), absl::InfiniteFuture());
  EXPECT_TRUE(slow_parent_.children.WaitForSamples(kMaxPerMessage));
}

TEST_F(BatchingTest, ASampleThatIsInAHurryTakesTheOthersAlong) {
  TierClient client(plan_, Options(0), &up_);
  client.Start();
  ASSERT_TRUE(up_.WaitForUps(1));
  client.Send(Scores(1));
  v1::UpSample hasty = Scores(2);
  hasty.set_time_left_ms(80);
  EXPECT_EQ(client.Send(hasty), time_.now() + absl::Milliseconds(10));
  time_.Pass(10);
  EXPECT_EQ(client.Flush(), absl::InfiniteFuture());
  ASSERT_TRUE(slow_parent_.children.WaitForSamples(2));
  EXPECT_EQ(slow_parent_.children.samples[1].time_left_ms(), 70u);
}

TEST_F(BatchingTest, WhatWaitsIsSaidBeforeTheEnd) {
  TierClient client(plan_, Options(0), &up_);
  client.Start();
  ASSERT_TRUE(up_.WaitForUps(1));
  client.Send(Scores(1));
  client.Stop(absl::Seconds(20));
  EXPECT_TRUE(slow_parent_.children.WaitForSamples(1));
}

TEST_F(BatchingTest, RequestsAndAnswersWaitForEachOther) {
  TierClient client(plan_, Options(0), &up_);
  client.Start();
  ASSERT_TRUE(up_.WaitForUps(1));
  const uint64_t before = client.messages().received;
  Answer answer;
  answer.sample = {0, 7};
  TierServer* tier = slow_parent_.tier();
  const absl::Time due = time_.now() + kDelay;
  EXPECT_EQ(tier->SendWanted(0, {0, 8}, absl::Seconds(2)), due);
  time_.Pass(20);
  EXPECT_EQ(tier->SendAnswer(0, answer, absl::Seconds(2)), due);
  EXPECT_EQ(tier->Flush(), due);
  time_.Pass(30);
  EXPECT_EQ(tier->Flush(), absl::InfiniteFuture());
  ASSERT_TRUE(up_.waiter.WaitUntil([&] { return !up_.answers.empty(); }));
  EXPECT_EQ(up_.wanted, (std::vector<SampleKey>{{0, 8}}));
  EXPECT_EQ(client.messages().received, before + 1);
  // A child that gives up now is told now.
  EXPECT_EQ(tier->SendAnswer(0, answer, absl::ZeroDuration()), absl::InfiniteFuture());
  EXPECT_TRUE(up_.waiter.WaitUntil([&] { return up_.answers.size() == 2; }));
}

// A port where connections are taken and nothing is ever said.
class SilentPort {
 public:
  SilentPort() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address_);
    auto* address = reinterpret_cast<sockaddr*>(&address_);
    EXPECT_EQ(bind(fd_, address, length), 0);
    EXPECT_EQ(getsockname(fd_, address, &length), 0);
    EXPECT_EQ(listen(fd_, 4), 0);
  }
  ~SilentPort() { close(fd_); }

  std::string address() const { return absl::StrCat("127.0.0.1:", ntohs(address_.sin_port)); }
  /// Returns when someone has connected.
  int Accept() { return accept(fd_, nullptr, nullptr); }

 private:
  const int fd_;
  sockaddr_in address_ = {};
};

// Passes bytes on in both directions, until it is told to swallow them: a link that is dead while
// both ends believe that it stands.
class Proxy {
 public:
  explicit Proxy(const std::string& target) : target_(target), thread_([this] { Run(); }) {}
  ~Proxy() {
    stopping_ = true;
    thread_.join();
    for (int fd : ends_) close(fd);
  }

  std::string address() const { return port_.address(); }
  void Swallow() { swallowing_ = true; }

 private:
  void Run() {
    ends_[0] = port_.Accept();
    ends_[1] = Connect();
    while (!stopping_) {
      pollfd polled[2] = {{ends_[0], POLLIN, 0}, {ends_[1], POLLIN, 0}};
      if (poll(polled, 2, 10) <= 0) continue;
      for (int from : {0, 1}) {
        if ((polled[from].revents & (POLLIN | POLLHUP)) == 0) continue;
        char bytes[4096];
        const ssize_t count = recv(ends_[from], bytes, sizeof(bytes), 0);
        if (count <= 0) return;
        if (!swallowing_) send(ends_[1 - from], bytes, count, MSG_NOSIGNAL);
      }
    }
  }
  int Connect() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(std::stoi(target_.substr(target_.rfind(':') + 1)));
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }

  const std::string target_;
  SilentPort port_;
  std::atomic<bool> swallowing_{false}, stopping_{false};
  int ends_[2] = {-1, -1};
  std::thread thread_;
};

TEST_F(TierClientTest, NoticesALinkThatSwallowsEverything) {
  Proxy proxy(parent_.address());
  TierClient::Options options = Options(0);
  options.target = proxy.address();
  options.keepalive_time = absl::Milliseconds(100);
  options.keepalive_timeout = absl::Seconds(2);  // a slow machine answers within that
  options.min_backoff = absl::Minutes(1);        // one loss is enough
  options.max_backoff = absl::Minutes(1);
  TierClient client(plan_, options, &up_);
  client.Start();
  ASSERT_TRUE(up_.WaitForUps(1));
  proxy.Swallow();
  EXPECT_TRUE(up_.waiter.WaitUntil([&] { return !up_.up; }));
}

// Threads that start meanwhile share one processor, where one that is woken may overtake the one
// that woke it.
class OneProcessor {
 public:
  OneProcessor() {
    EXPECT_EQ(sched_getaffinity(0, sizeof(before_), &before_), 0);
    int first = 0;
    while (first < CPU_SETSIZE - 1 && !CPU_ISSET(first, &before_)) ++first;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    EXPECT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  }
  ~OneProcessor() { sched_setaffinity(0, sizeof(before_), &before_); }

 private:
  cpu_set_t before_;
};

// gRPC's callback threads end with the last channel or server of the process, and whoever lets go
// of that waits for them; one of them cannot, and the process aborts. So this test has no server.
TEST(TierClient, LeavesItsChannelToNoneOfGrpcsThreads) {
  const NetworkPlan plan = SmallNetwork('e');
  SilentPort port;
  OneProcessor one_processor;
  Up up;
  TierClient::Options options;
  options.target = port.address();
  options.bundle_sha256 = kHash;
  for (int i = 0; i < 4000; ++i) {
    TierClient client(plan, options, &up);
    client.Start();
    const int connection = port.Accept();
    ASSERT_GE(connection, 0);
    client.Stop(absl::ZeroDuration());
    close(connection);
  }
  EXPECT_EQ(up.ups, 0);
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

#include "runtime/net/tier_client.h"

#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/net/stream_ends.h"
#include "tests/support/emulator.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

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

}  // namespace
}  // namespace ddnn

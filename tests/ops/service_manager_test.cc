#include "runtime/ops/service_manager.h"

#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/notify_socket.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string PathName() { return absl::StrCat(::testing::TempDir(), "/notify.", getpid()); }

class ServiceManagerTest : public ::testing::Test {
 protected:
  NotifySocket manager_{PathName()};
  // Its own thread asks once, at the start: no test lives for a quarter of an hour.
  ServiceManager service_{{PathName(), absl::Hours(1)}};

  void Start() {
    service_.Ready([](std::function<void()> works) { works(); });
    EXPECT_EQ(manager_.Next(), "READY=1");
    EXPECT_EQ(manager_.Next(), "WATCHDOG=1");
  }
};

TEST_F(ServiceManagerTest, FeedsTheWatchdogOnceForEachAnswer) {
  Start();
  EXPECT_THAT(manager_.Heard(), IsEmpty());
  service_.Beat();
  service_.Beat();
  EXPECT_THAT(manager_.Heard(), ElementsAre("WATCHDOG=1", "WATCHDOG=1"));
}

TEST(ServiceManager, DoesNotFeedTheWatchdogOfAStuckProcess) {
  NotifySocket manager(PathName());
  std::vector<std::function<void()>> asked;
  ServiceManager service({PathName(), absl::ZeroDuration()});
  service.Ready([&](std::function<void()> works) { asked.push_back(works); });
  service.Beat();
  service.Beat();
  service.Beat();
  EXPECT_THAT(manager.Heard(), ElementsAre("READY=1"));
  ASSERT_EQ(asked.size(), 1u) << "questions must not pile up";
  asked[0]();
  asked[0]();
  EXPECT_THAT(manager.Heard(), ElementsAre("WATCHDOG=1"));
  service.Beat();
  EXPECT_EQ(asked.size(), 2u) << "it may come to life again";
}

TEST_F(ServiceManagerTest, AsksAnotherOnceTheWorkHasChanged) {
  Start();
  bool asked = false;
  service_.Ready([&](std::function<void()>) { asked = true; });
  service_.Beat();
  EXPECT_TRUE(asked);
  EXPECT_THAT(manager_.Heard(), IsEmpty());
}

TEST_F(ServiceManagerTest, SaysOneLineAndThatItStopsOnce) {
  Start();
  service_.Say("connected to edge.local:7100\nREADY=0");
  service_.Stopping();
  service_.Stopping();
  EXPECT_THAT(manager_.Heard(), ElementsAre("STATUS=connected to edge.local:7100", "STOPPING=1"));
}

TEST(ServiceManager, TakesAnswersThatComeTooLate) {
  NotifySocket manager(PathName());
  std::function<void()> late;
  {
    ServiceManager service({PathName(), absl::ZeroDuration()});
    service.Ready([&](std::function<void()> works) { late = works; });
    service.Beat();
  }
  late();
  EXPECT_THAT(manager.Heard(), ElementsAre("READY=1", "STOPPING=1"));
}

TEST(ServiceManager, SpeaksToAnAbstractSocket) {
  const std::string name = absl::StrCat("@ddnn-service-test-", getpid());
  NotifySocket manager(name);
  ServiceManager service({name, absl::ZeroDuration()});
  service.Say("hello");
  EXPECT_THAT(manager.Heard(), ElementsAre("STATUS=hello"));
}

TEST(ServiceManager, WorksWhereNobodyListens) {
  for (const std::string& socket : {std::string(), PathName()}) {
    ServiceManager service({socket, absl::ZeroDuration()});
    service.Ready([](std::function<void()> works) { works(); });
    service.Say("nobody hears it");
    service.Beat();
    service.Stopping();
  }
}

// Sets variables for one test; those before it come back.
class Variables {
 public:
  explicit Variables(const std::map<std::string, std::string>& values) {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
      const char* before = std::getenv(name);
      if (before != nullptr) before_[name] = before;
      unsetenv(name);
    }
    for (const auto& [name, value] : values) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Variables() {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) unsetenv(name);
    for (const auto& [name, value] : before_) setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  std::map<std::string, std::string> before_;
};

TEST(ServiceEnvironment, IsReadFromTheVariables) {
  Variables variables({{"NOTIFY_SOCKET", "@systemd"},
                       {"WATCHDOG_USEC", "30000000"},
                       {"WATCHDOG_PID", absl::StrCat(getpid())}});
  const auto environment = ReadServiceEnvironment();
  ASSERT_TRUE(environment.ok()) << environment.status();
  EXPECT_EQ(environment->socket, "@systemd");
  EXPECT_EQ(environment->watchdog, absl::Seconds(30));
}

TEST(ServiceEnvironment, IsEmptyOutsideOfSystemd) {
  Variables variables({});
  const auto environment = ReadServiceEnvironment();
  ASSERT_TRUE(environment.ok()) << environment.status();
  EXPECT_EQ(environment->socket, "");
  EXPECT_EQ(environment->watchdog, absl::ZeroDuration());
}

TEST(ServiceEnvironment, LeavesAnothersWatchdogAlone) {
  Variables variables({{"WATCHDOG_USEC", "30000000"}, {"WATCHDOG_PID", "1"}});
  EXPECT_EQ(ReadServiceEnvironment()->watchdog, absl::ZeroDuration());
}

TEST(ServiceEnvironment, NamesWhatMakesNoSense) {
  const std::map<std::string, std::string> cases[] = {
      {{"NOTIFY_SOCKET", "relative/path"}},
      {{"NOTIFY_SOCKET", "/" + std::string(200, 'x')}},
      {{"WATCHDOG_USEC", "soon"}},
      {{"WATCHDOG_USEC", "-5"}},
      {{"WATCHDOG_PID", "me"}, {"WATCHDOG_USEC", "1000"}},
  };
  for (const auto& values : cases) {
    Variables variables(values);
    const absl::Status status = ReadServiceEnvironment().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(values.begin()->first));
    EXPECT_THAT(std::string(status.message()), HasSubstr(values.begin()->second));
  }
}

}  // namespace
}  // namespace ddnn

#include <google/protobuf/util/json_util.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/core/bundle.h"
#include "runtime/ops/config.h"
#include "runtime/ops/logging.h"
#include "runtime/ops/records.h"
#include "runtime/ops/signals.h"
#include "tests/net/waiter.h"
#include "tests/node/networks.h"
#include "tests/support/emulator.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<std::string> kDevice = {"--bundle=b", "--source=s"};

absl::StatusOr<CommandLine> Parse(Role role, std::vector<std::string> args,
                                  std::vector<std::string> more = {}) {
  args.insert(args.end(), more.begin(), more.end());
  return ParseCommandLine(role, args);
}

void ExpectRefused(Role role, const std::vector<std::string>& args,
                   const std::vector<std::string>& more, const std::string& why) {
  const auto line = Parse(role, args, more);
  ASSERT_FALSE(line.ok()) << why;
  EXPECT_EQ(line.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(line.status().message()), HasSubstr(why));
}

std::string WriteConfig(const std::string& text) {
  const std::string path = absl::StrCat(::testing::TempDir(), "/config.", getpid(), ".textproto");
  std::ofstream(path) << text;
  return path;
}

TEST(CommandLine, FillsInDefaults) {
  const auto line = Parse(Role::kDevice, kDevice);
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.max_in_flight(), 32);
  EXPECT_EQ(line->config.gather_deadline_ms(), 200);
  EXPECT_EQ(line->config.sample_deadline_ms(), 2000);
  EXPECT_EQ(line->config.cache_bytes(), 4 << 20);
  EXPECT_EQ(line->config.max_samples(), 1024);
  EXPECT_EQ(line->config.log_level(), "info");
  EXPECT_EQ(line->config.max_batch(), 0) << "not a device's";
}

TEST(CommandLine, ReadsFlagsInEveryForm) {
  const auto line =
      Parse(Role::kDevice, {"--bundle", "b", "--source", "six-cameras:mnist?params=f", "--json"},
            {"--nowait_for_tree", "--share_pixels=true", "--rate", "2.5", "--view=3", "--threshold",
             "local=0.25", "--threshold=edge=1", "--samples=5000000000"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.source(), "six-cameras:mnist?params=f");
  EXPECT_TRUE(line->config.json() && line->config.share_pixels());
  EXPECT_EQ(line->config.rate(), 2.5);
  EXPECT_EQ(line->config.view(), 3);
  EXPECT_EQ(line->config.samples(), 5000000000);
  EXPECT_EQ(line->config.threshold().at("local"), 0.25f);
  EXPECT_EQ(line->config.threshold().at("edge"), 1.0f);
}

TEST(CommandLine, PutsFlagsOverTheFile) {
  const std::string path =
      WriteConfig("bundle: 'file' source: 's' view: 2 threshold { key: 'x' value: 0.5 }");
  // Wherever --config stands.
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"--config", path, "--view=1"}, {"--view=1", "--config=" + path}}) {
    const auto line = ParseCommandLine(Role::kDevice, args);
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_EQ(line->config.bundle(), "file");
    EXPECT_EQ(line->config.view(), 1);
    EXPECT_EQ(line->config.threshold().at("x"), 0.5f);
  }
}

TEST(CommandLine, RefusesWhatItDoesNotKnowByName) {
  ExpectRefused(Role::kDevice, kDevice, {"--bundel=x"}, "--bundel: no such flag");
  ExpectRefused(Role::kDevice, kDevice, {"--bundel"}, "--bundel: no such flag");
  ExpectRefused(Role::kDevice, kDevice, {"stray"}, "\"stray\"");
  ExpectRefused(Role::kDevice, kDevice, {"--view"}, "--view: its value is missing");
  const std::string path = WriteConfig("bundle: 'b'\nsorce: 's'");
  ExpectRefused(Role::kDevice, {}, {"--config", path}, "sorce");
  EXPECT_FALSE(ParseCommandLine(Role::kDevice, {"--config", "/nowhere/at.all"}).ok());
}

TEST(CommandLine, RefusesWhatDoesNotApplyToTheRole) {
  ExpectRefused(Role::kDevice, kDevice, {"--listen=:1"}, "--listen: does not apply to a device");
  ExpectRefused(Role::kEdge, {"--bundle=b", "--listen=:1"}, {"--store=x"}, "apply to a edge");
  ExpectRefused(Role::kCloud, {"--bundle=b", "--listen=:1"}, {"--parent=x:1"}, "--parent");
  const std::string path = WriteConfig("bundle: 'b' source: 's' store_bytes: 5");
  ExpectRefused(Role::kDevice, {}, {"--config", path}, "store_bytes: does not apply to a device");
}

TEST(CommandLine, RefusesWrongValues) {
  ExpectRefused(Role::kDevice, kDevice, {"--view=two"}, "--view: \"two\"");
  ExpectRefused(Role::kDevice, kDevice, {"--view=64"}, "0 to 63");
  ExpectRefused(Role::kDevice, kDevice, {"--view=-1"}, "0 to 63");
  ExpectRefused(Role::kDevice, kDevice, {"--rate=nan"}, "--rate");
  ExpectRefused(Role::kDevice, kDevice, {"--json=maybe"}, "true or false");
  ExpectRefused(Role::kDevice, kDevice, {"--threshold=0.5"}, "EXIT=ENTROPY");
  ExpectRefused(Role::kDevice, kDevice, {"--threshold=local=7"}, "0 to 1");
  ExpectRefused(Role::kDevice, kDevice, {"--threshold=local=nan"}, "0 to 1");
  const std::string path = WriteConfig("bundle: 'b' source: 's' max_samples: -3");
  ExpectRefused(Role::kDevice, {}, {"--config", path}, "max_samples: \"-3\"");
}

TEST(CommandLine, TakesDashesWithinNamesForUnderscores) {
  const auto line = Parse(Role::kDevice, kDevice, {"--gather-deadline-ms=5", "--share-pixels"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.gather_deadline_ms(), 5);
  EXPECT_TRUE(line->config.share_pixels());
  EXPECT_EQ(line->config.bundle(), "b");
}

TEST(CommandLine, NamesWhatIsMissing) {
  ExpectRefused(Role::kDevice, {"--source=s"}, {}, "--bundle is missing");
  ExpectRefused(Role::kDevice, {"--bundle=b"}, {}, "--source is missing");
  ExpectRefused(Role::kEdge, {"--bundle=b"}, {}, "--listen is missing");
}

TEST(CommandLine, ABundleIsGivenOrComesFromTheParent) {
  ::unsetenv("STATE_DIRECTORY");
  ExpectRefused(Role::kDevice, {"--source=s", "--parent=p:1"}, {}, "--state DIR");
  ExpectRefused(Role::kDevice, {"--source=s", "--state=d"}, {}, "no --parent");
  ExpectRefused(Role::kDevice, {"--source=s", "--bundle=b", "--state=d"}, {}, "--bundle");
  ExpectRefused(Role::kCloud, {"--listen=:1"}, {}, "--bundle is missing");
  const auto given = Parse(Role::kDevice, {"--source=s", "--parent=p:1", "--state=d"}, {});
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_EQ(given->config.state(), "d");
  ::setenv("STATE_DIRECTORY", "/var/lib/ddnn:/var/lib/more", 1);
  const auto device = Parse(Role::kDevice, {"--source=s", "--parent=p:1", "--view=3"}, {});
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ(device->config.state(), "/var/lib/ddnn/device-3");
  const auto edge = Parse(Role::kEdge, {"--listen=:1", "--parent=p:1", "--node=1"}, {});
  ASSERT_TRUE(edge.ok()) << edge.status();
  EXPECT_EQ(edge->config.state(), "/var/lib/ddnn/edge-1");
  EXPECT_EQ(Parse(Role::kDevice, kDevice, {})->config.state(), "");
  ::unsetenv("STATE_DIRECTORY");
}

TEST(CommandLine, HelpWinsAndListsOnlyTheRolesFlags) {
  const auto line = ParseCommandLine(Role::kDevice, {"--nonsense", "1", "--help"});
  EXPECT_FALSE(line.ok()) << "what comes before is looked at";
  EXPECT_TRUE(ParseCommandLine(Role::kDevice, {"--help", "--nonsense"})->help);
  EXPECT_THAT(FlagsHelp(Role::kDevice), AllOf(HasSubstr("--view"), Not(HasSubstr("--listen"))));
  EXPECT_THAT(FlagsHelp(Role::kCloud), AllOf(HasSubstr("--store"), Not(HasSubstr("--view"))));
  EXPECT_THAT(FlagsHelp(Role::kCloud), AllOf(HasSubstr("  --[no]json "), HasSubstr("  --store ")));
}

TEST(CommandLine, KnowsEveryFieldOfTheConfiguration) {
  const auto* descriptor = v1::NodeConfig::descriptor();
  const std::string all =
      FlagsHelp(Role::kDevice) + FlagsHelp(Role::kEdge) + FlagsHelp(Role::kCloud);
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const std::string& name = descriptor->field(i)->name();
    EXPECT_THAT(all, AnyOf(HasSubstr(absl::StrCat("--", name, " ")),
                           HasSubstr(absl::StrCat("--[no]", name, " "))));
  }
}

TEST(HostOptions, OverridesThresholdsByNameAndRefusesUnknownExits) {
  Bundle bundle = FakeBundle(SmallNetwork('e'));
  bundle.thresholds = {0.1f, 0.2f, 0.3f};
  auto line = Parse(Role::kDevice, kDevice, {"--threshold=edge=0.75"});
  ASSERT_TRUE(line.ok());
  const auto options = HostOptions(line->config, bundle, 0, 2);
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->node.thresholds, (std::vector<ExitThreshold>{0.1f, 0.75f, 0.3f}));
  EXPECT_EQ(options->node.index, 2);
  EXPECT_EQ(options->node.gather_deadline, absl::Milliseconds(200));
  (*line->config.mutable_threshold())["nowhere"] = 0.5f;
  EXPECT_THAT(std::string(HostOptions(line->config, bundle, 0, 2).status().message()),
              HasSubstr("nowhere"));
}

TEST(HostOptions, TakesABatchingDelayInAnyUnit) {
  const Bundle bundle = FakeBundle(SmallNetwork('e'));
  for (const auto& args : {std::vector<std::string>{"--max-batching-delay", "50ms"},
                           std::vector<std::string>{"--max_batching_delay=0.05s"}}) {
    auto line = Parse(Role::kDevice, kDevice, args);
    ASSERT_TRUE(line.ok()) << line.status();
    const auto options = HostOptions(line->config, bundle, 0, 0);
    ASSERT_TRUE(options.ok());
    EXPECT_EQ(options->max_batching_delay, absl::Milliseconds(50));
  }
  auto line = Parse(Role::kDevice, kDevice, {});
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(HostOptions(line->config, bundle, 0, 0)->max_batching_delay, absl::ZeroDuration());
}

TEST(CommandLine, RefusesABatchingDelayThatIsNone) {
  for (const char* bad : {"50", "-1ms", "soon", "11s", "inf"}) {
    ExpectRefused(Role::kDevice, kDevice, {"--max-batching-delay", bad},
                  absl::StrCat("max_batching_delay: \"", bad, "\", expected 0 to 10s"));
  }
}

Answer SomeAnswer() {
  Answer answer;
  answer.sample = {1, 42};
  answer.class_index = 2;
  answer.exit = 1;
  answer.entropy = 0.25f;
  answer.presence = 5;
  answer.payload_bytes = 12;
  answer.latency = absl::Microseconds(3500);
  return answer;
}

TEST(Records, NameWhatTheIndicesMean) {
  const v1::AnswerRecord record = ToRecord(SmallNetwork('e'), SomeAnswer());
  EXPECT_EQ(record.class_name(), "c");
  EXPECT_EQ(record.exit(), "edge");
  EXPECT_EQ(record.outcome(), "answered");
  EXPECT_THAT(record.present_view(), ::testing::ElementsAre(0, 2));
  EXPECT_EQ(record.latency_ms(), 3.5);
}

TEST(Records, SayNoClassWhereThereIsNoAnswer) {
  Answer answer = SomeAnswer();
  answer.outcome = Outcome::kShed;
  answer.reason = "overloaded";
  const v1::AnswerRecord record = ToRecord(SmallNetwork('e'), answer);
  EXPECT_EQ(record.outcome(), "shed");
  EXPECT_EQ(record.class_name(), "");
  EXPECT_EQ(record.exit(), "");
  EXPECT_THAT(ToLine(SmallNetwork('e'), record), AllOf(HasSubstr("shed"), HasSubstr("overloaded")));
}

TEST(Records, AreOneLineOfJsonThatReadsBack) {
  const v1::AnswerRecord record = ToRecord(SmallNetwork('e'), SomeAnswer());
  const std::string json = ToJson(record);
  EXPECT_EQ(json.find('\n'), std::string::npos);
  EXPECT_THAT(json, AllOf(HasSubstr("\"class_index\":2"), HasSubstr("\"degraded\":false"),
                          HasSubstr("\"payload_bytes\":12")));
  v1::AnswerRecord back;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(json, &back).ok());
  EXPECT_EQ(back.SerializeAsString(), record.SerializeAsString());
}

TEST(Records, LineUpForPeople) {
  const NetworkPlan plan = SmallNetwork('e');
  Answer other = SomeAnswer();
  other.sample.sequence = 7;
  other.exit = 2;
  other.presence = 7;
  other.latency = absl::Milliseconds(1234);
  const std::string a = ToLine(plan, ToRecord(plan, SomeAnswer()));
  const std::string b = ToLine(plan, ToRecord(plan, other));
  EXPECT_EQ(a.size(), b.size());
  EXPECT_EQ(a.find("entropy"), b.find("entropy"));
  EXPECT_THAT(a, HasSubstr("views 0,2"));
  EXPECT_THAT(b, HasSubstr("views 0-2"));
}

TEST(WriteStats, WritesAFileThatReadsBack) {
  v1::NodeStats stats;
  stats.set_node("device.1");
  stats.set_entered(3);
  (*stats.mutable_shed_reason())["overloaded"] = 2;
  const std::string path = absl::StrCat(::testing::TempDir(), "/stats.", getpid(), ".json");
  ASSERT_TRUE(WriteStats(path, stats).ok());
  v1::NodeStats back;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(*ReadFile(path, 1 << 16), &back).ok());
  EXPECT_EQ(back.shed_reason().at("overloaded"), 2u);
  EXPECT_FALSE(WriteStats("/nowhere/at/all.json", stats).ok());
}

TEST(SignalWatcher, TellsTheFirstSignalOnceAndEvenIfItCameBefore) {
  for (int number : {SIGTERM, SIGINT}) {
    Waiter waiter;
    int got = 0;
    SignalWatcher watcher;
    ASSERT_EQ(kill(getpid(), number), 0);
    watcher.Watch([&](int signal) { waiter.Change([&] { got = signal; }); });
    EXPECT_TRUE(waiter.WaitUntil([&] { return got == number; }));
  }
}

TEST(SignalWatcher, TellsNobodyOnceUnwatched) {
  for (int i = 0; i < 200; ++i) {
    std::atomic<bool> gone{false}, told{false};
    {
      SignalWatcher watcher;
      watcher.Watch([&](int) { told = gone.load(); });
      ASSERT_EQ(kill(getpid(), SIGTERM), 0);
      watcher.Unwatch();
      gone = true;
      // Without a watcher to take it, the signal would end this process.
      for (sigset_t waits; sigpending(&waits) == 0 && sigismember(&waits, SIGTERM) == 1;) {
        std::this_thread::yield();
      }
    }
    ASSERT_FALSE(told);
  }
}

TEST(SignalWatcher, EndsTheProcessAtTheSecond) {
  if (!StartsItself()) GTEST_SKIP() << "emulated";
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(
      {
        SignalWatcher watcher;
        watcher.Watch([](int) { kill(getpid(), SIGINT); });
        kill(getpid(), SIGTERM);
        while (true) pause();
      },
      ::testing::ExitedWithCode(128 + SIGINT), "");
}

TEST(SetUpLogging, ListsTheLevelsThereAre) {
  EXPECT_TRUE(SetUpLogging("test", "off").ok());
  EXPECT_THAT(std::string(SetUpLogging("test", "loud").message()),
              AllOf(HasSubstr("loud"), HasSubstr("debug")));
}

}  // namespace
}  // namespace ddnn

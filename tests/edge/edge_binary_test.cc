#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/lite/lite_engine.h"
#include "runtime/net/node_host.h"
#include "runtime/node/whole_network.h"
#include "tests/net/waiter.h"
#include "tests/support/notify_socket.h"
#include "tests/support/random_network.h"
#include "tests/support/shell.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Binary() { return absl::StrCat(std::getenv("DDNN_BIN_DIR"), "/ddnn-edge"); }

// ddnn-edge as a process; what it says is read line by line.
class EdgeProcess {
 public:
  explicit EdgeProcess(const std::vector<std::string>& flags) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      close(ends[0]);
      close(ends[1]);
      std::vector<std::string> args = {Binary()};
      args.insert(args.end(), flags.begin(), flags.end());
      std::vector<char*> raw;
      for (std::string& arg : args) raw.push_back(arg.data());
      raw.push_back(nullptr);
      execv(raw[0], raw.data());
      _exit(127);
    }
    close(ends[1]);
    out_ = fdopen(ends[0], "r");
  }
  ~EdgeProcess() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    fclose(out_);
  }

  std::string ReadLine() {
    char line[4096] = "";
    if (fgets(line, sizeof(line), out_) == nullptr) return "";
    return line;
  }
  int Terminate() {
    kill(pid_, SIGTERM);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
  FILE* out_ = nullptr;
};

class Watcher : public NodeObserver {
 public:
  void OnAnswer(const Answer& answer) override {
    waiter.Change([&] { answers[answer.sample.sequence] = answer; });
  }
  void OnTreeReady() override {
    waiter.Change([&] { ready = true; });
  }

  Waiter waiter;
  std::map<uint64_t, Answer> answers;
  bool ready = false;
};

class EdgeBinaryTest : public ::testing::Test {
 protected:
  EdgeBinaryTest() : folder_(absl::StrCat(::testing::TempDir(), "/edge.", getpid())) {
    mkdir(folder_.c_str(), 0700);
    RandomSpecOptions options;
    options.views = 2;
    options.tiers = 3;
    options.binary_only = true;
    options.odd_trees = false;
    auto plan = NetworkPlan::Create(RandomSpec(options, &random_));
    EXPECT_TRUE(plan.ok()) << plan.status();
    bundle_ = RandomBundle(*plan, 0.5f, &random_);
    EXPECT_TRUE(SaveBundleTo(folder_ + "/bundle", bundle_).ok());
    bundle_ = *LoadBundle(folder_ + "/bundle");
  }
  ~EdgeBinaryTest() override { EXPECT_EQ(Shell("rm -r " + folder_).code, 0); }

  std::unique_ptr<NodeHost> StartHost(int tier, int index, int parent_port, NodeObserver* watcher) {
    NodeHost::Options options;
    options.node.tier = tier;
    options.node.index = index;
    options.node.gather_deadline = options.node.sample_deadline = absl::Minutes(1);
    if (tier > 0) options.listen = "127.0.0.1:0";
    if (parent_port > 0) options.parent = absl::StrCat("127.0.0.1:", parent_port);
    return *NodeHost::Start(bundle_, CreateLiteEngine, options, watcher);
  }
  std::vector<std::string> Flags(int parent_port) {
    return {"--bundle=" + folder_ + "/bundle",
            "--listen=127.0.0.1:0",
            "--log_level=error",
            absl::StrCat("--parent=127.0.0.1:", parent_port),
            "--gather_deadline_ms=60000",
            "--sample_deadline_ms=60000"};
  }
  static int PortOf(const std::string& line) {
    int port = 0;
    EXPECT_EQ(line.rfind("listening on 127.0.0.1:", 0), 0u) << line;
    EXPECT_TRUE(absl::SimpleAtoi(line.substr(line.rfind(':') + 1), &port)) << line;
    return port;
  }

  Random random_{11};
  const std::string folder_;
  Bundle bundle_;
};

TEST_F(EdgeBinaryTest, TellsSystemdHowItIsAndFeedsItsWatchdog) {
  const std::string name = folder_ + "/notify";
  NotifySocket systemd(name);
  setenv("NOTIFY_SOCKET", name.c_str(), 1);
  setenv("WATCHDOG_USEC", "3600000000", 1);
  EdgeProcess edge(Flags(/*parent_port=*/1));
  unsetenv("NOTIFY_SOCKET");
  unsetenv("WATCHDOG_USEC");
  EXPECT_EQ(systemd.Next(), "STATUS=waiting for 127.0.0.1:1");
  EXPECT_EQ(systemd.Next(), "READY=1");
  EXPECT_EQ(systemd.Next(), "WATCHDOG=1");
  EXPECT_EQ(edge.Terminate(), 0);
  EXPECT_THAT(systemd.Heard(), ElementsAre("STOPPING=1"));
}

TEST_F(EdgeBinaryTest, AnswersAsTheNetworkRunWholeAndDrainsOnSigterm) {
  NodeObserver deaf;
  auto root = StartHost(2, 0, 0, &deaf);
  EdgeProcess edge(Flags(root->port()));
  const int port = PortOf(edge.ReadLine());
  Watcher watchers[2];
  auto device0 = StartHost(0, 0, port, &watchers[0]);
  auto device1 = StartHost(0, 1, port, &watchers[1]);
  for (Watcher& watcher : watchers) {
    ASSERT_TRUE(watcher.waiter.WaitUntil([&] { return watcher.ready; }));
  }
  const size_t kSamples = 50;
  std::vector<WholeInput> inputs;
  for (size_t i = 0; i < kSamples; ++i) {
    const std::string first = RandomPixels(bundle_.plan, &random_);
    const std::string second = RandomPixels(bundle_.plan, &random_);
    inputs.push_back({first + second, 3});
    ASSERT_TRUE(device0->Offer({0, i}, first).ok());
    ASSERT_TRUE(device1->Offer({0, i}, second).ok());
  }
  for (Watcher& watcher : watchers) {
    ASSERT_TRUE(watcher.waiter.WaitUntil([&] { return watcher.answers.size() == kSamples; }));
  }
  auto whole = *WholeNetwork::Create(bundle_, CreateLiteEngine);
  const auto outputs = whole->Run(inputs);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  for (size_t i = 0; i < kSamples; ++i) {
    const Answer wanted = Decide(bundle_.plan, bundle_.thresholds, (*outputs)[i], 3);
    for (Watcher& watcher : watchers) {
      EXPECT_EQ(watcher.answers[i].class_index, wanted.class_index);
      EXPECT_EQ(watcher.answers[i].exit, wanted.exit);
      EXPECT_EQ(watcher.answers[i].entropy, wanted.entropy);
    }
  }
  EXPECT_EQ(edge.Terminate(), 0);
}

TEST_F(EdgeBinaryTest, RefusesATakenPortAndANodeThatIsNotThere) {
  NodeObserver deaf;
  auto root = StartHost(2, 0, 0, &deaf);
  const std::string command = absl::StrCat(Binary(), " --bundle=", folder_,
                                           "/bundle --log_level=error --parent=127.0.0.1:1 ");
  Ended ended = Shell(absl::StrCat(command, "--listen=127.0.0.1:", root->port(), " 2>&1"));
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.out, HasSubstr("in use"));
  ended = Shell(command + "--listen=127.0.0.1:0 --node=1 2>&1");
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.out, HasSubstr("has nodes 0 to 0"));
  ended = Shell(command + "--listen=127.0.0.1:0 --tier=nowhere 2>&1");
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.out, HasSubstr("nowhere"));
}

TEST_F(EdgeBinaryTest, EndsWithTheReasonWhenItsPlaceIsTaken) {
  NodeObserver deaf;
  auto root = StartHost(2, 0, 0, &deaf);
  auto first = StartHost(1, 0, root->port(), &deaf);
  while (!first->parent_up()) std::this_thread::yield();
  const Ended ended =
      Shell(absl::StrCat(Binary(), " --bundle=", folder_, "/bundle --listen=127.0.0.1:0 ",
                         "--log_level=error --parent=127.0.0.1:", root->port(), " 2>&1"));
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.out, HasSubstr("is taken by"));
}

TEST(EdgeBinary, Explains) {
  const Ended ended = Shell(Binary() + " --help");
  EXPECT_EQ(ended.code, 0);
  EXPECT_THAT(ended.out, HasSubstr("--parent cloud.local:7000"));
}

}  // namespace
}  // namespace ddnn

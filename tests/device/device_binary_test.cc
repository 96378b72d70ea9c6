#include <google/protobuf/map.h>
#include <google/protobuf/util/json_util.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "datasets/pictures.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/core/feature_codec.h"
#include "runtime/lite/lite_engine.h"
#include "runtime/net/node_host.h"
#include "runtime/node/whole_network.h"
#include "runtime/ops/records.h"
#include "tests/net/waiter.h"
#include "tests/support/camera_server.h"
#include "tests/support/emulator.h"
#include "tests/support/notify_socket.h"
#include "tests/support/random_network.h"
#include "tests/support/shell.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

std::string Binary() {
  return absl::StrCat(Emulator(), " ", std::getenv("DDNN_BIN_DIR"), "/ddnn-device");
}

// A saved bundle with random weights, a folder of pictures, and its root in this process.
class DeviceBinaryTest : public ::testing::Test {
 protected:
  explicit DeviceBinaryTest(int views = 1)
      : folder_(absl::StrCat(::testing::TempDir(), "/device.", getpid())) {
    mkdir(folder_.c_str(), 0700);
    mkdir((folder_ + "/pictures").c_str(), 0700);
    RandomSpecOptions options;
    options.views = views;
    options.tiers = 2;
    options.binary_only = true;
    options.odd_trees = false;
    v1::NetworkSpec spec = RandomSpec(options, &random_);
    if (spec.input().channels() == 2) spec.mutable_input()->set_channels(1);
    auto plan = NetworkPlan::Create(spec);
    EXPECT_TRUE(plan.ok()) << plan.status();
    bundle_ = RandomBundle(*plan, 0.5f, &random_);
    EXPECT_TRUE(SaveBundleTo(folder_ + "/bundle", bundle_).ok());
    bundle_ = *LoadBundle(folder_ + "/bundle");
    for (int i = 0; i < kPictures; ++i) {
      pictures_.push_back(RandomPixels(bundle_.plan, &random_));
      const std::string path = absl::StrCat(folder_, "/pictures/", 10 + i, ".png");
      EXPECT_TRUE(WritePicture(path, pictures_.back(), bundle_.plan.view_shape()).ok());
    }
  }
  ~DeviceBinaryTest() override {
    if (root_ != nullptr) root_->Stop();
    EXPECT_EQ(Shell("rm -r " + folder_).code, 0);
  }

  void StartRoot() { StartRoot(&deaf_); }
  void StartRoot(NodeObserver* observer) {
    NodeHost::Options options;
    options.node.tier = 1;
    options.listen = "127.0.0.1:0";
    root_ = *NodeHost::Start(bundle_, CreateLiteEngine, options, observer);
  }
  std::string Command(const std::string& more) {
    return absl::StrCat(Binary(), " --bundle=", folder_, "/bundle --source=images:", folder_,
                        "/pictures --log_level=error ",
                        root_ == nullptr ? "" : absl::StrCat("--parent=127.0.0.1:", root_->port()),
                        " ", more);
  }

  static std::string Jpeg() {
    std::vector<uint8_t> jpeg;
    EXPECT_TRUE(cv::imencode(".jpg", cv::Mat(48, 64, CV_8UC3, cv::Scalar::all(90)), jpeg));
    return std::string(jpeg.begin(), jpeg.end());
  }
  // A device that says its process number before its answers.
  std::string OnCamera(const CameraServer& camera, const std::string& more) {
    return absl::StrCat("sh -c 'echo $$; exec ", Binary(), " --bundle=", folder_,
                        "/bundle --parent=127.0.0.1:", root_->port(), " --source=", camera.url(),
                        " --rate=", kRate, " --log_level=error ", more, "'");
  }

  static constexpr int kPictures = 20;
  static constexpr int kRate = 50;  // of cameras, in pictures per second
  Random random_{7};
  const std::string folder_;
  Bundle bundle_;
  std::vector<std::string> pictures_;
  NodeObserver deaf_;
  std::unique_ptr<NodeHost> root_;
};

TEST_F(DeviceBinaryTest, PrintsTheAnswersOfTheWholeNetworkAndItsCounters) {
  StartRoot();
  const std::string stats_file = folder_ + "/stats.json";
  const Ended ended = Shell(Command("--json --stats_file=" + stats_file + " 2>/dev/null"));
  EXPECT_EQ(ended.code, 0);
  std::map<uint64_t, v1::AnswerRecord> records;
  for (absl::string_view line : absl::StrSplit(ended.out, '\n', absl::SkipEmpty())) {
    v1::AnswerRecord record;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(std::string(line), &record).ok());
    records[record.sequence()] = record;
  }
  ASSERT_EQ(records.size(), static_cast<size_t>(kPictures));
  auto whole = *WholeNetwork::Create(bundle_, CreateLiteEngine);
  for (int i = 0; i < kPictures; ++i) {
    const WholeInput input{pictures_[i], 1};
    const auto output = whole->Run({input});
    ASSERT_TRUE(output.ok()) << output.status();
    const Answer wanted = Decide(bundle_.plan, bundle_.thresholds, (*output)[0], 1);
    EXPECT_EQ(records[i].class_index(), wanted.class_index);
    EXPECT_EQ(records[i].exit(), bundle_.plan.exits()[wanted.exit].name);
    EXPECT_EQ(static_cast<float>(records[i].entropy()), wanted.entropy);
  }
  v1::NodeStats stats;
  ASSERT_TRUE(
      google::protobuf::util::JsonStringToMessage(*ReadFile(stats_file, 1 << 16), &stats).ok());
  EXPECT_EQ(stats.entered(), static_cast<uint32_t>(kPictures));
  EXPECT_EQ(stats.answered(), static_cast<uint32_t>(kPictures));
  if (KernelCountsBytes()) {
    EXPECT_GT(stats.wire_bytes_sent(), stats.payload_bytes());
  }
}

TEST_F(DeviceBinaryTest, TellsSystemdHowItIs) {
  StartRoot();
  NotifySocket systemd(folder_ + "/notify");
  const Ended ended = Shell(absl::StrCat(
      "NOTIFY_SOCKET=", folder_, "/notify WATCHDOG_USEC=3600000000 ", Command(">/dev/null 2>&1")));
  EXPECT_EQ(ended.code, 0);
  const std::vector<std::string> heard = systemd.Heard();
  EXPECT_THAT(heard, Contains("READY=1"));
  EXPECT_THAT(heard, Contains(absl::StrCat("STATUS=connected to 127.0.0.1:", root_->port())));
  EXPECT_THAT(heard, Contains("STOPPING=1"));
  EXPECT_EQ(Shell("NOTIFY_SOCKET=nonsense " + Command("2>&1")).code, 1);
}

TEST_F(DeviceBinaryTest, RefusesAViewOutOfRangeNamingTheRange) {
  const Ended ended = Shell(Command("--view=1 --parent=127.0.0.1:1 2>&1"));
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.out, HasSubstr("views 0 to 0"));
}

TEST_F(DeviceBinaryTest, IsRefusedATakenPlaceAndAnotherBundle) {
  StartRoot();
  NodeHost::Options options;
  options.parent = absl::StrCat("127.0.0.1:", root_->port());
  auto first = *NodeHost::Start(bundle_, CreateLiteEngine, options, &deaf_);
  while (!first->parent_up()) std::this_thread::yield();
  Ended ended = Shell(Command("2>&1"));
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.out, HasSubstr("is taken by"));
  first->Stop();

  Bundle other = RandomBundle(bundle_.plan, 0.25f, &random_);
  ASSERT_TRUE(SaveBundleTo(folder_ + "/bundle", other).ok());
  other = *LoadBundle(folder_ + "/bundle");
  ended = Shell(Command("2>&1"));
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.out, HasSubstr(bundle_.sha256_hex()));
  EXPECT_THAT(ended.out, HasSubstr(other.sha256_hex()));
}

TEST_F(DeviceBinaryTest, DrainsAndEndsWellOnSigterm) {
  StartRoot();
  // Slow enough to be in the middle; the first answer says that it runs.
  const Ended ended = Shell(absl::StrCat(
      "{ ", Command("--rate=20 2>/dev/null"), " & echo pid $!; wait $!; echo code $?; } | ",
      "{ read word pid; read answer; kill -TERM $pid; ",
      "while read word code; do case $word in code) exit $code;; esac; done; exit 99; }"));
  EXPECT_EQ(ended.code, 0);
}

// The lines of a process, as it prints them.
class Lines {
 public:
  explicit Lines(const std::string& command) : pipe_(popen(command.c_str(), "r")) {}
  ~Lines() { Close(); }
  /// False at its end.
  bool Next(std::string* line) {
    char buffer[4096];
    if (std::fgets(buffer, sizeof(buffer), pipe_) == nullptr) return false;
    *line = std::string(absl::StripSuffix(buffer, "\n"));
    return true;
  }
  int Close() {
    if (pipe_ == nullptr) return code_;
    const int status = pclose(pipe_);
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    pipe_ = nullptr;
    return code_;
  }

 private:
  std::FILE* pipe_;
  int code_ = -1;
};

uint64_t Sum(const google::protobuf::Map<std::string, uint32_t>& counts) {
  uint64_t sum = 0;
  for (const auto& [reason, count] : counts) sum += count;
  return sum;
}

TEST_F(DeviceBinaryTest, ACameraThatGoesIsAbsentUntilItIsBackAndTheNumbersAddUp) {
  StartRoot();
  CameraServer camera(CameraServer::Protocol::kHttp, Jpeg());
  const std::string stats_file = folder_ + "/stats.json";
  Lines lines(
      OnCamera(camera, absl::StrCat("--log_level=warning --resize=crop --roi=8,8,40,32 ",
                                    "--json --stats_file=", stats_file, " 2>", folder_, "/err")));
  std::string line;
  ASSERT_TRUE(lines.Next(&line));
  const pid_t pid = static_cast<pid_t>(std::stol(line));
  uint64_t last = 0;
  // Reads on to what is wanted of a period after this one.
  const auto until = [&](const std::string& wanted, uint64_t after) {
    while (lines.Next(&line)) {
      v1::AnswerRecord record;
      if (!google::protobuf::util::JsonStringToMessage(line, &record).ok()) continue;
      EXPECT_NE(record.sequence(), last);
      last = record.sequence();
      if (last > after && absl::StrContains(record.outcome() + " " + record.reason(), wanted)) {
        return true;
      }
    }
    return false;
  };
  ASSERT_TRUE(until("answered", 0));
  camera.Stop();
  // A slow device may miss pictures of a camera that is still there: only from here on it is gone.
  while (!absl::StrContains(*ReadFile(folder_ + "/err", 1 << 16), "; trying on")) {
    ASSERT_TRUE(until("", 0));
  }
  const uint64_t gone = static_cast<uint64_t>(absl::ToUnixMillis(absl::Now()) * kRate / 1000);
  ASSERT_TRUE(until("no view present", gone)) << "nobody waits for a deadline";
  camera.Restart();
  ASSERT_TRUE(until("answered", last));
  ASSERT_EQ(kill(pid, SIGTERM), 0);
  while (lines.Next(&line)) {
  }
  EXPECT_EQ(lines.Close(), 0);
  v1::NodeStats stats;
  ASSERT_TRUE(
      google::protobuf::util::JsonStringToMessage(*ReadFile(stats_file, 1 << 16), &stats).ok());
  const v1::FrameStats& frames = stats.frames();
  EXPECT_EQ(frames.captured(), frames.named() + Sum(frames.dropped()));
  EXPECT_EQ(stats.entered(), frames.named() + Sum(frames.absent()));
  EXPECT_EQ(stats.entered(), stats.answered() + stats.shed() + stats.expired());
  EXPECT_GT(frames.absent().at("camera gone"), 0u);
  EXPECT_GE(frames.losses(), 1u);
  EXPECT_THAT(*ReadFile(folder_ + "/err", 1 << 16),
              AllOf(HasSubstr(absl::StrCat(frames.captured(),
                                           " pictures captured: ", frames.named(), " offered")),
                    HasSubstr("[camera gone: ")));
  EXPECT_EQ(root_->Stats().child_clock_size(), 1);
}

class SceneTest : public DeviceBinaryTest {
 protected:
  SceneTest() : DeviceBinaryTest(/*views=*/2) {}
};

// Counts samples by the views that went into their answers.
class ViewCounter : public NodeObserver {
 public:
  void OnAnswer(const Answer& answer) override {
    waiter_.Change([&] { ++answers_[answer.presence]; });
  }
  bool WaitFor(uint64_t presence, int answers) {
    return waiter_.WaitUntil([&] { return answers_[presence] >= answers; });
  }

 private:
  Waiter waiter_;
  std::map<uint64_t, int> answers_;
};

TEST_F(SceneTest, PicturesOfTwoCamerasMeetThoughNobodyStartedThemTogether) {
  ViewCounter root;
  StartRoot(&root);
  CameraServer left(CameraServer::Protocol::kHttp, Jpeg());
  CameraServer right(CameraServer::Protocol::kRtsp, Jpeg());
  std::vector<pid_t> pids;
  std::string line;
  Lines first(OnCamera(left, "--view=0 2>&1"));
  ASSERT_TRUE(first.Next(&line));
  pids.push_back(static_cast<pid_t>(std::stol(line)));
  EXPECT_TRUE(root.WaitFor(1, 5)) << "the first is alone for a while";
  Lines second(OnCamera(right, "--view=1 2>&1"));
  ASSERT_TRUE(second.Next(&line));
  pids.push_back(static_cast<pid_t>(std::stol(line)));
  EXPECT_TRUE(root.WaitFor(3, 20));
  EXPECT_EQ(root_->Stats().child_clock_size(), 2);
  for (pid_t pid : pids) EXPECT_EQ(kill(pid, SIGTERM), 0);
  for (Lines* lines : {&first, &second}) {
    while (lines->Next(&line)) {
    }
    EXPECT_EQ(lines->Close(), 0);
  }
  root_->Stop();  // while its observer is there
}

TEST_F(DeviceBinaryTest, RefusesAFramingThatCannotBe) {
  Ended ended = Shell(Command("--parent=127.0.0.1:1 --roi=1,2,3 2>&1"));
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.out, HasSubstr("--roi: \"1,2,3\""));
  ended = Shell(Command("--parent=127.0.0.1:1 --roi=0,0,5000,5000 2>&1"));
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.out, HasSubstr("--roi 0,0,5000,5000 does not lie in the picture"));
}

TEST(DeviceBinary, ExplainsItselfAndItsErrors) {
  Ended ended = Shell(Binary() + " --help");
  EXPECT_EQ(ended.code, 0);
  EXPECT_THAT(ended.out, HasSubstr("--parent edge.local:7100"));
  ended = Shell(Binary() + " --listen=:1 2>&1");
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.out, HasSubstr("--listen: does not apply to a device"));
  ended = Shell(Binary() + " --bundle=/nowhere --source=camera:0 --parent=x:1 2>&1");
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.out, HasSubstr("/nowhere"));
}

TEST(DeviceBinary, DoesNotLinkLibTorch) {
  const Ended ended = Shell("LD_TRACE_LOADED_OBJECTS=1 " + Binary());
  ASSERT_EQ(ended.code, 0);
  EXPECT_THAT(ended.out, HasSubstr("libc.so"));
  for (const char* forbidden : {"libtorch", "libc10", "libcaffe2"}) {
    EXPECT_EQ(ended.out.find(forbidden), std::string::npos) << forbidden;
  }
}

}  // namespace
}  // namespace ddnn

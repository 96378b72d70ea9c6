#include <google/protobuf/util/json_util.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "datasets/pictures.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/core/feature_codec.h"
#include "runtime/lite/lite_engine.h"
#include "runtime/net/node_host.h"
#include "runtime/node/whole_network.h"
#include "runtime/ops/records.h"
#include "tests/support/random_network.h"
#include "tests/support/shell.h"

namespace ddnn {
namespace {

using ::testing::HasSubstr;

std::string Binary() { return absl::StrCat(std::getenv("DDNN_BIN_DIR"), "/ddnn-device"); }

// A saved bundle with random weights, a folder of pictures, and its root in this process.
class DeviceBinaryTest : public ::testing::Test {
 protected:
  DeviceBinaryTest() : folder_(absl::StrCat(::testing::TempDir(), "/device.", getpid())) {
    mkdir(folder_.c_str(), 0700);
    mkdir((folder_ + "/pictures").c_str(), 0700);
    RandomSpecOptions options;
    options.views = 1;
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

  void StartRoot() {
    NodeHost::Options options;
    options.node.tier = 1;
    options.listen = "127.0.0.1:0";
    root_ = *NodeHost::Start(bundle_, CreateLiteEngine, options, &deaf_);
  }
  std::string Command(const std::string& more) {
    return absl::StrCat(Binary(), " --bundle=", folder_, "/bundle --source=images:", folder_,
                        "/pictures --log_level=error ",
                        root_ == nullptr ? "" : absl::StrCat("--parent=127.0.0.1:", root_->port()),
                        " ", more);
  }

  static constexpr int kPictures = 20;
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
  EXPECT_GT(stats.wire_bytes_sent(), stats.payload_bytes());
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
  const Ended ended = Shell("ldd " + Binary());
  ASSERT_EQ(ended.code, 0);
  EXPECT_THAT(ended.out, HasSubstr("libc.so"));
  for (const char* forbidden : {"libtorch", "libc10", "libcaffe2"}) {
    EXPECT_EQ(ended.out.find(forbidden), std::string::npos) << forbidden;
  }
}

}  // namespace
}  // namespace ddnn

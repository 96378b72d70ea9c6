// Devices compiled for arm64, run by qemu, beside those of this machine: the same answers. This
// program and edge and cloud are this machine's; the test runs in the build for arm64.
//
//   DDNN_ARM64_BUILD  the build for arm64
//   DDNN_EMULATOR     what runs its programs
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/core/float_bytes.h"
#include "tests/end_to_end/harness.h"
#include "tests/support/random_network.h"
#include "tests/support/shell.h"

namespace ddnn {
namespace {

constexpr int kSamples = 40;
// Sums of float layers are added up in another order by other instructions.
constexpr double kFloatTolerance = 1e-4;

std::string Setting(const char* name) {
  const char* value = getenv(name);
  EXPECT_NE(value, nullptr) << name << " is missing: ctest in the build for arm64 sets it";
  return value == nullptr ? "" : value;
}

std::string OnArm64(const std::string& program) {
  return absl::StrCat(Setting("DDNN_EMULATOR"), " ", Setting("DDNN_ARM64_BUILD"), "/", program);
}

// A folder of programs in which only ddnn-device is for arm64.
std::string WritePrograms(const TestFolder& folder) {
  const std::string programs = folder / "bin";
  std::filesystem::create_directories(programs);
  for (const char* name : {"ddnn-edge", "ddnn-cloud"}) {
    std::filesystem::create_symlink(Program(name), programs + "/" + name);
  }
  const std::string device = programs + "/ddnn-device";
  std::ofstream(device) << "#!/bin/sh\nexec " << OnArm64("bin/ddnn-device") << " \"$@\"\n";
  std::filesystem::permissions(device, std::filesystem::perms::owner_all);
  return programs;
}

struct Tree {
  std::string network;   // under models/
  std::string topology;  // under tools/topologies/
  std::string data;      // what comes before the folder
  bool exact;            // the device's layers are binary
};

class Arm64Tree : public testing::TestWithParam<Tree> {
 protected:
  // What a tree says with devices from `bin_dir`.
  std::vector<v1::AnswerRecord> Answers(const std::string& log, const std::string& bin_dir) {
    const Tree& tree = GetParam();
    const Ran ran = ddnn::Run(
        {Program("ddnn-local"), "--topology=" + SourcePath("tools/topologies/" + tree.topology),
         "--bundle=" + bundle_, "--data=" + data_, "--stall=300s",
         "--samples=" + std::to_string(kSamples), "--bin_dir=" + bin_dir,
         "--log_dir=" + (folder_ / log)},
        absl::Minutes(10));
    EXPECT_EQ(ran.exit_code, 0) << ran.errors;
    return ReadAnswers(folder_ / (log + "/answers.jsonl"));
  }

  TestFolder folder_;
  const std::string items_ = WriteItems(folder_, 2 * kSamples);  // "fashion-mnist:FOLDER"
  const std::string data_ = GetParam().data + items_.substr(items_.find(':'));
  const std::string bundle_ =
      SaveRandomBundle(folder_, "bundle", "models/" + GetParam().network, data_, 0.4, 11);
};

TEST_P(Arm64Tree, AnswersAsThisMachinesDevices) {
  const std::vector<v1::AnswerRecord> here = Answers("here", Setting("DDNN_BIN_DIR"));
  const std::vector<v1::AnswerRecord> arm64 = Answers("arm64", WritePrograms(folder_));
  ASSERT_EQ(here.size(), static_cast<size_t>(kSamples));
  ASSERT_EQ(arm64.size(), here.size());
  for (size_t i = 0; i < here.size(); ++i) {
    v1::AnswerRecord expected = here[i], found = arm64[i];
    expected.clear_latency_ms();
    found.clear_latency_ms();
    EXPECT_EQ(expected.outcome(), "answered");
    EXPECT_FALSE(expected.degraded());
    if (!GetParam().exact) {
      EXPECT_NEAR(found.entropy(), expected.entropy(), kFloatTolerance);
      found.set_entropy(expected.entropy());
    }
    // Class, exit, entropy, views, bytes of scores and coded features, hard or not.
    EXPECT_EQ(found.ShortDebugString(), expected.ShortDebugString());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Trees, Arm64Tree,
    testing::Values(Tree{"figure2/d.textproto", "d.textproto", "fashion-mnist", true},
                    Tree{"figure2/e.textproto", "e.textproto", "six-cameras:fashion-mnist", true},
                    Tree{"lenet_branchy.textproto", "lenet_branchy.textproto", "mnist", false}),
    [](const testing::TestParamInfo<Tree>& info) {
      return std::filesystem::path(info.param.topology).stem().string();
    });

std::vector<std::string> Lines(const std::string& command) {
  const Ended ended = Shell(command);
  EXPECT_EQ(ended.code, 0) << command;
  return absl::StrSplit(ended.out, '\n', absl::SkipEmpty());
}

void ExpectClose(const std::string& found, const std::string& expected) {
  const std::vector<float> a = FloatsOf(absl::HexStringToBytes(found));
  const std::vector<float> b = FloatsOf(absl::HexStringToBytes(expected));
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_NEAR(a[i], b[i], kFloatTolerance * std::max(1.0f, std::fabs(b[i]))) << "value " << i;
  }
}

TEST(Arm64Sections, GiveTheBytesOfThisMachine) {
  const std::vector<std::string> here =
      Lines(Setting("DDNN_BIN_DIR") + "/../tests/section_outputs");
  const std::vector<std::string> arm64 = Lines(OnArm64("tests/section_outputs"));
  ASSERT_EQ(arm64.size(), here.size());
  int exact = 0;
  for (size_t i = 0; i < here.size(); ++i) {
    SCOPED_TRACE(absl::StrCat("line ", i));
    const std::vector<std::string> expected = absl::StrSplit(here[i], ' ');
    const std::vector<std::string> found = absl::StrSplit(arm64[i], ' ');
    ASSERT_EQ(found.size(), 4u);
    if (expected[1] == "exact") {
      ++exact;
      EXPECT_EQ(found, expected);
      continue;
    }
    EXPECT_EQ(found[0], expected[0]);
    EXPECT_EQ(found[1], expected[1]);
    ExpectClose(found[2], expected[2]);
    // Bits behind float layers are not held together: one sum near zero may fall on either side.
    EXPECT_EQ(found[3].size(), expected[3].size());
  }
  EXPECT_GT(exact, 0);
}

}  // namespace
}  // namespace ddnn

// The real ddnn-train, ddnn-eval and ddnn-calibrate: what they refuse, and with which words.

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "ddnn/v1/report.pb.h"
#include "runtime/core/bundle.h"
#include "runtime/core/files.h"
#include "tests/datasets/test_files.h"
#include "tests/train/toy_dataset.h"

namespace ddnn {
namespace {

struct Result {
  int code = -1;
  std::string output;  // both streams
};

Result RunCommand(const std::string& arguments) {
  const std::string command = std::string(getenv("DDNN_BIN_DIR")) + "/" + arguments + " 2>&1";
  Result result;
  FILE* pipe = popen(command.c_str(), "r");
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) result.output.append(buffer, n);
  result.code = WEXITSTATUS(pclose(pipe));
  return result;
}

void ExpectRefused(const std::string& arguments, const std::string& words) {
  const Result result = RunCommand(arguments);
  EXPECT_EQ(result.code, 1) << arguments;
  EXPECT_NE(result.output.find(words), std::string::npos) << result.output;
}

class CommandsTest : public ::testing::Test {
 protected:
  CommandsTest() {
    std::string name = ::testing::TempDir() + "/ddnn_commands.XXXXXX";
    folder_ = mkdtemp(&name[0]);
  }
  ~CommandsTest() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(CommandsTest, HelpTeaches) {
  for (const char* command : {"ddnn-train", "ddnn-eval", "ddnn-calibrate"}) {
    const Result result = RunCommand(std::string(command) + " --help");
    EXPECT_EQ(result.code, 0);
    EXPECT_NE(result.output.find("six-cameras:fashion-mnist"), std::string::npos);
    EXPECT_NE(result.output.find("--data"), std::string::npos);
  }
  const Result train = RunCommand("ddnn-train --help");
  EXPECT_NE(train.output.find("--init BUNDLE"), std::string::npos);
  EXPECT_NE(train.output.find("\n  --device                cpu or cuda (cpu)\n"), std::string::npos)
      << train.output;
  EXPECT_EQ(train.output.find("--flagfile"), std::string::npos) << "Abseil's own";
}

TEST_F(CommandsTest, TrainRefusesWhatCannotWorkBeforeItStarts) {
  const std::string network = " --network " + SourcePath("models/six_cameras.textproto");
  const std::string out = " --out " + folder_ + "/out";
  ExpectRefused("ddnn-train --data mnist" + out, "--network is missing");
  ExpectRefused("ddnn-train --data mnist" + network, "--out is missing");
  ExpectRefused("ddnn-train --data nonsense:x" + network + out, "nonsense");
  ExpectRefused("ddnn-train --data mnist --network " + folder_ + "/none" + out, "/none");
  ExpectRefused("ddnn-train --data mnist --device tpu" + network + out, "cpu or cuda");
  ExpectRefused("ddnn-train --data mnist --batch=-1" + network + out, "--batch=-1");
  ExpectRefused("ddnn-train --data mnist --epochs 2147483647" + network + out,
                "--epochs=2147483647: expected 0 to 1000000");
  ExpectRefused("ddnn-train --data mnist --threads=1000000" + network + out,
                "--threads=1000000: expected 0 to 1024");
  ExpectRefused("ddnn-train --data mnist --learning_rate nan" + network + out, "--learning_rate");
  ExpectRefused("ddnn-train --data mnist --learning-rate nan" + network + out, "--learning_rate");
  ExpectRefused("ddnn-train --data mnist --precision half" + network + out, "float32 or bfloat16");
  ExpectRefused("ddnn-train --data mnist extra" + network + out, "what is \"extra\"");
  std::ofstream(folder_ + "/file") << "x";
  ExpectRefused("ddnn-train --data mnist --out " + folder_ + "/file" + network,
                "expected a bundle");
  ExpectRefused("ddnn-train --data six-cameras:fashion-mnist --logdir " + folder_ + "/file" +
                    network + out,
                "--logdir");
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/out"));
}

TEST_F(CommandsTest, EvalRefusesWhatItDoesNotKnow) {
  Random random(1);
  const NetworkPlan plan = PlanOf(TinySpec());
  ASSERT_TRUE(SaveBundleTo(folder_ + "/b", RandomBundle(plan, 0.5f, &random)).ok());
  const std::string base = "ddnn-eval --bundle " + folder_ + "/b --data mnist";
  ExpectRefused("ddnn-eval --data mnist", "--bundle is missing");
  ExpectRefused("ddnn-eval --data mnist --bundle " + folder_ + "/none", "/none");
  ExpectRefused(base + " --missing 3", "\"3\" is no view; they are 0 to 2");
  ExpectRefused(base + " --missing 0,1,2", "all views");
  ExpectRefused(base + " --threshold local", "expected EXIT=VALUE");
  ExpectRefused(base + " --threshold local=1.5", "between 0 and 1");
  ExpectRefused(base + " --threshold edge=0.5", "edge");
  ExpectRefused(base + " --split half", "half");
}

TEST_F(CommandsTest, CalibrateRefusesWhatItCannotKeep) {
  Random random(1);
  const NetworkPlan plan = PlanOf(TinySpec());
  ASSERT_TRUE(SaveBundleTo(folder_ + "/b", RandomBundle(plan, 0.5f, &random)).ok());
  const std::string base = "ddnn-calibrate --data mnist --bundle " + folder_ + "/b";
  ExpectRefused("ddnn-calibrate --data mnist --max_bytes 9", "--bundle is missing");
  ExpectRefused(base, "0 constraints; expected one of");
  ExpectRefused(base + " --max_bytes 64 --max_escalation 20%", "2 constraints; expected one of");
  ExpectRefused(base + " --max_accuracy_drop 1", "such as 1% or 0.01");
  ExpectRefused(base + " --max-accuracy-drop=-1%", "--max_accuracy_drop: \"-1%\"");
  ExpectRefused(base + " --max-bytes=nan", "--max_bytes: \"nan\"");
  ExpectRefused(base + " --max_bytes -5", "--max_bytes: \"-5\"");
  ExpectRefused(base + " --max_escalation 20% --confidence 100%", "less than 100 %");
  ExpectRefused(base + " --max_escalation 20% --threads=1000000", "expected 0 to 1024");
  ExpectRefused(base + " --max_escalation 20% --data nonsense:x", "nonsense");
  std::ofstream(folder_ + "/file") << "x";
  ExpectRefused(base + " --max_escalation 20% --out " + folder_ + "/file", "expected a bundle");
}

TEST_F(CommandsTest, CalibrateChoosesOnTheCalibrationSplitAlone) {
  Random random(2);
  const NetworkPlan plan = PlanOf(SmallItemSpec());
  const Bundle before = RandomBundle(plan, 0, &random);
  ASSERT_TRUE(SaveBundleTo(folder_ + "/b", before).ok());
  // Two datasets that differ in the test split alone.
  const auto calibrate = [&](const std::string& name, int test_seed) {
    const std::string data = folder_ + "/" + name;
    WriteItems(data, "train", 3000, RandomBytes(3000 * 784, 1));
    WriteItems(data, "t10k", 200, RandomBytes(200 * 784, test_seed));
    const Result result =
        RunCommand("ddnn-calibrate --bundle " + folder_ + "/b --data mnist:" + data +
                   " --max_escalation 60% --out " + data + ".bundle");
    EXPECT_EQ(result.code, 0) << result.output;
    return *LoadBundle(data + ".bundle");
  };
  const Bundle one = calibrate("one", 2), other = calibrate("other", 3);
  EXPECT_EQ(one.thresholds, other.thresholds);
  EXPECT_GT(one.thresholds[0].entropy, 0);
  EXPECT_EQ(one.manifest.provenance().threshold_calibration().split(), "calibration");
  const auto report = [&](const std::string& name) {
    v1::RunSummary summary;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(
                    *ReadFile(folder_ + "/" + name + ".bundle/report.json", 1 << 20), &summary)
                    .ok());
    return summary;
  };
  EXPECT_EQ(report("one").samples(), 200u);
  EXPECT_GE(report("one").exit_fraction().at("local"), 0.4);
  EXPECT_LE(report("one").exit_fraction().at("local"), 0.9) << "a threshold that data decides";
  EXPECT_NE(report("one").accuracy().at("overall"), report("other").accuracy().at("overall"));
  for (const auto& [place, section] : before.sections) {
    EXPECT_EQ(one.sections.at(place).SerializeAsString(), section.SerializeAsString());
  }
}

}  // namespace
}  // namespace ddnn

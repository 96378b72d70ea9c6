// The real ddnn-train, interrupted, killed and out of disk.

#include <gmock/gmock.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "runtime/core/bundle.h"
#include "tests/datasets/test_files.h"
#include "tests/train/toy_dataset.h"

namespace ddnn {
namespace {

class EndingsTest : public ::testing::Test {
 protected:
  EndingsTest() {
    WriteMnistLike(folder_ / "data", 600, 100);
    WriteFile(folder_ / "small.textproto", SmallItemSpec());
  }

  // Runs ddnn-train; as soon as it has printed `lines` lines sends it `signal`, or, with 0, fills
  // the disk.
  int Train(const std::string& out, std::vector<std::string> more = {}, int lines = -1,
            int signal = 0, rlim_t file_bytes = RLIM_INFINITY) {
    int ends[2];
    if (pipe(ends) != 0) return -1;
    std::vector<std::string> words = {std::string(getenv("DDNN_BIN_DIR")) + "/ddnn-train",
                                      "--network",
                                      folder_ / "small.textproto",
                                      "--data",
                                      "mnist:" + (folder_ / "data"),
                                      "--out",
                                      folder_ / out,
                                      "--threads",
                                      "2"};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(&word[0]);
    argv.push_back(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
      close(ends[0]);
      close(ends[1]);
      const rlimit limit{file_bytes, RLIM_INFINITY};
      setrlimit(RLIMIT_FSIZE, &limit);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(ends[1]);
    output_.clear();
    int seen = 0;
    if (lines == 0) kill(child, signal);
    for (char c; read(ends[0], &c, 1) == 1;) {
      output_ += c;
      if (c != '\n' || ++seen != lines) continue;
      const rlimit full{16, RLIM_INFINITY};
      if (signal == 0) prlimit(child, RLIMIT_FSIZE, &full, nullptr);
      if (signal != 0) kill(child, signal);
    }
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::map<std::string, std::string> Files(const std::string& name) const {
    return FileHashes(folder_ / name);
  }
  bool Exists(const std::string& name) const { return std::filesystem::exists(folder_ / name); }
  bool Said(const std::string& words) const { return output_.find(words) != std::string::npos; }

  TempFolder folder_;
  std::string output_;
};

TEST_F(EndingsTest, KilledAnywhereAndResumedItIsTheSameBundle) {
  ASSERT_EQ(Train("whole"), 0) << output_;
  // Each list: at which line each sitting is killed. A line tells that samples are read or an epoch
  // is done, the sixth that the bundle is written.
  const std::vector<std::vector<int>> plans = {{0, 1}, {2, 2, 1}, {5}};
  for (size_t i = 0; i < plans.size(); ++i) {
    const std::string out = "killed" + std::to_string(i);
    const auto more = [&] {
      return Exists(out + ".checkpoint") ? std::vector<std::string>{"--resume"}
                                         : std::vector<std::string>();
    };
    for (int lines : plans[i]) {
      EXPECT_EQ(Train(out, more(), lines, SIGKILL), 128 + SIGKILL) << output_;
      EXPECT_TRUE(lines < 2 || Exists(out) || Exists(out + ".checkpoint")) << output_;
    }
    EXPECT_EQ(Train(out, more()), 0) << output_;
    EXPECT_EQ(Files(out), Files("whole")) << i;
    EXPECT_FALSE(Exists(out + ".checkpoint"));
  }
}

TEST_F(EndingsTest, InterruptedItSaysHowToGoOn) {
  for (const int signal : {SIGTERM, SIGINT}) {
    EXPECT_EQ(Train("out", {"--restart"}, 3, signal), 130) << output_;
    EXPECT_TRUE(Said("what was done is in " + (folder_ / "out.checkpoint"))) << output_;
    EXPECT_TRUE(Said("--resume")) << output_;
    EXPECT_FALSE(Exists("out"));
  }
  EXPECT_EQ(Train("out"), 1);
  EXPECT_TRUE(Said("go on with --resume, or start again with --restart")) << output_;
  EXPECT_EQ(Train("out", {"--resume", "--seed", "5"}), 1);
  EXPECT_TRUE(Said("seed: 1 -> 5")) << output_;
}

TEST_F(EndingsTest, AFullDiskLeavesNothingThatIsWrong) {
  EXPECT_EQ(Train("out", {}, -1, 0, /*file_bytes=*/5000), 1);
  EXPECT_TRUE(Said("out.checkpoint")) << output_;
  EXPECT_TRUE(Said("File too large")) << output_;
  EXPECT_FALSE(Exists("out"));
  EXPECT_FALSE(Exists("out.checkpoint"));

  EXPECT_EQ(Train("out", {}, 3, SIGTERM), 130) << output_;
  const std::string checkpoint = *ReadFile(folder_ / "out.checkpoint", 1 << 20);
  EXPECT_EQ(Train("out", {"--resume"}, -1, 0, /*file_bytes=*/5000), 1);
  EXPECT_EQ(*ReadFile(folder_ / "out.checkpoint", 1 << 20), checkpoint);
}

TEST_F(EndingsTest, AFullDiskAtTheEndLeavesTheBundleThatWasThere) {
  ASSERT_EQ(Train("out", {"--seed", "5"}), 0) << output_;
  ASSERT_EQ(Train("whole"), 0) << output_;
  const std::map<std::string, std::string> before = Files("out");
  EXPECT_EQ(Train("out", {}, /*lines=*/5), 1);
  EXPECT_TRUE(Said("epoch 4/4")) << output_;
  EXPECT_TRUE(Said("out.check.")) << output_;
  EXPECT_TRUE(Said("File too large")) << output_;
  EXPECT_EQ(Files("out"), before);
  ASSERT_TRUE(Exists("out.checkpoint"));
  EXPECT_EQ(Train("out", {"--resume"}), 0) << output_;
  EXPECT_EQ(Files("out"), Files("whole"));
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "")) {
    left.push_back(entry.path().filename());
  }
  EXPECT_THAT(left, ::testing::UnorderedElementsAre("data", "small.textproto", "out", "whole"));
}

}  // namespace
}  // namespace ddnn

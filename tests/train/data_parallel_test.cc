// The real ddnn-train in several processes: killed, interrupted, resumed, started wrongly.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/core/bundle.h"
#include "tests/datasets/test_files.h"
#include "tests/train/free_port.h"
#include "tests/train/toy_dataset.h"
#include "train/measured_bundle.h"
#include "train/rank_environment.h"

namespace ddnn {
namespace {

// Pixels of items whose label shows in which rows are light: where nothing can be learned, rounding
// decides what is learned.
std::string Striped(int items) {
  std::string pixels = RandomBytes(items * 784, 3);
  for (int i = 0; i < items; ++i) {
    for (int p = 0; p < 784; ++p) {
      char& pixel = pixels[i * 784 + p];
      const int noise = static_cast<uint8_t>(pixel) / 4;
      pixel = static_cast<char>(noise + (p / 28 % 10 == i % 10 ? 180 : 0));
    }
  }
  return pixels;
}

using Environment = std::map<std::string, std::string>;

// A ddnn-train that runs, with what it says.
class Process {
 public:
  Process(std::vector<std::string> words, const Environment& environment) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return;
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(&word[0]);
    argv.push_back(nullptr);
    child_ = fork();
    if (child_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
      for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(ends[1]);
    output_end_ = ends[0];
  }
  // Reads up to so many lines; all there will be with -1.
  void Read(int lines) {
    for (char c; lines != 0 && read(output_end_, &c, 1) == 1;) {
      output_ += c;
      if (c == '\n') --lines;
    }
  }
  void Kill(int signal) { kill(child_, signal); }
  // The exit status, when it has ended.
  int End() {
    Read(-1);
    close(output_end_);
    int status = 0;
    waitpid(child_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  bool Said(const std::string& words) const { return output_.find(words) != std::string::npos; }
  const std::string& output() const { return output_; }

 private:
  pid_t child_ = -1;
  int output_end_ = -1;
  std::string output_;
};

class DataParallelTest : public ::testing::Test {
 protected:
  DataParallelTest() {
    WriteItems(folder_ / "data", "train", 600, Striped(600));
    WriteItems(folder_ / "data", "t10k", 100, Striped(100));
    WriteFile(folder_ / "small.textproto", SmallItemSpec());
  }

  std::vector<std::string> Command(const std::string& out, std::vector<std::string> more) const {
    std::vector<std::string> words = {std::string(getenv("DDNN_BIN_DIR")) + "/ddnn-train",
                                      "--network",
                                      folder_ / "small.textproto",
                                      "--data",
                                      "mnist:" + (folder_ / "data"),
                                      "--out",
                                      folder_ / out,
                                      "--threads",
                                      "1"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  // So many ranks of one run.
  std::vector<Process> Start(const std::string& out, int size, std::vector<std::string> more = {}) {
    const std::string port = std::to_string(FreePort());
    std::vector<Process> ranks;
    for (int rank = 0; rank < size; ++rank) {
      ranks.emplace_back(Command(out, more), Environment{{"MASTER_ADDR", "127.0.0.1"},
                                                         {"MASTER_PORT", port},
                                                         {"WORLD_SIZE", std::to_string(size)},
                                                         {"RANK", std::to_string(rank)}});
    }
    return ranks;
  }
  // The bundle of two ranks that nobody disturbs.
  std::string WholeRun() {
    std::vector<Process> ranks = Start("whole", 2);
    for (Process& rank : ranks) EXPECT_EQ(rank.End(), 0) << rank.output();
    return BundleId("whole");
  }
  bool Exists(const std::string& name) const { return std::filesystem::exists(folder_ / name); }
  std::string BundleId(const std::string& out) const {
    const auto bundle = LoadBundle(folder_ / out);
    return bundle.ok() ? bundle->sha256_hex() : bundle.status().ToString();
  }
  v1::TrainingHistory History(const std::string& out) const {
    return *train::ReadHistory(folder_ / out);
  }

  TempFolder folder_;
};

// The last batch of an epoch has one sample: the rank that has none must not change what is
// learned.
TEST_F(DataParallelTest, LearnsWhatOneProcessLearns) {
  Process alone(Command("alone", {"--batch", "49", "--samples", "393"}), {});
  ASSERT_EQ(alone.End(), 0) << alone.output();
  std::vector<Process> ranks = Start("two", 2, {"--batch", "49", "--samples", "393"});
  EXPECT_EQ(ranks[0].End(), 0) << ranks[0].output();
  EXPECT_EQ(ranks[1].End(), 0) << ranks[1].output();
  EXPECT_EQ(ranks[1].output(), "");
  const v1::TrainingHistory one = History("alone"), two = History("two");
  ASSERT_EQ(one.epoch_size(), 4);
  ASSERT_EQ(two.epoch_size(), 4);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(one.epoch(i).samples(), 393);  // 8 * 49 + 1
    EXPECT_EQ(two.epoch(i).samples(), one.epoch(i).samples());
    EXPECT_EQ(two.epoch(i).steps(), one.epoch(i).steps());
    EXPECT_NEAR(two.epoch(i).loss_sum(), one.epoch(i).loss_sum(), 1e-4 * one.epoch(i).loss_sum());
    EXPECT_EQ(two.epoch(i).calibration_samples(), one.epoch(i).calibration_samples());
    for (int e = 0; e < one.epoch(i).exit_size(); ++e) {
      EXPECT_EQ(two.epoch(i).exit(e).right(), one.epoch(i).exit(e).right());
      EXPECT_EQ(two.epoch(i).exit(e).calibration_right(), one.epoch(i).exit(e).calibration_right());
    }
  }
  EXPECT_EQ(LoadBundle(folder_ / "two")->manifest.provenance().world_size(), 2);
}

TEST_F(DataParallelTest, ARankThatDiesIsNamedAndTheRunGoesOnFromTheCheckpoint) {
  const std::string whole = WholeRun();
  for (const int dies : {1, 0}) {
    const std::string out = absl::StrCat("out", dies);
    std::vector<Process> ranks = Start(out, 2);
    ranks[0].Read(3);  // two epochs are done
    ranks[dies].Kill(SIGKILL);
    const absl::Time killed = absl::Now();
    EXPECT_EQ(ranks[1 - dies].End(), 1);
    EXPECT_LT(absl::Now() - killed, absl::Seconds(30));
    EXPECT_TRUE(ranks[1 - dies].Said(absl::StrCat("rank ", dies, " is gone")))
        << ranks[1 - dies].output();
    EXPECT_EQ(ranks[dies].End(), 128 + SIGKILL);
    EXPECT_TRUE(Exists(out + ".checkpoint"));
    EXPECT_FALSE(Exists(out));

    std::vector<Process> again = Start(out, 2, {"--resume"});
    EXPECT_EQ(again[0].End(), 0) << again[0].output();
    EXPECT_EQ(again[1].End(), 0) << again[1].output();
    EXPECT_EQ(BundleId(out), whole);
  }
}

TEST_F(DataParallelTest, OfThreeRanksTheOnesLeftNameTheSame) {
  // Killed, its connections end; stopped, it falls silent, as one does whose machine is cut off.
  for (const int signal : {SIGKILL, SIGSTOP}) {
    std::vector<Process> ranks = Start("out", 3, {"--epochs", "2000", "--restart"});
    ranks[0].Read(2);
    ranks[2].Kill(signal);
    const absl::Time killed = absl::Now();
    for (int rank : {0, 1}) {
      EXPECT_EQ(ranks[rank].End(), 1);
      EXPECT_TRUE(ranks[rank].Said("rank 2 is gone")) << ranks[rank].output();
    }
    EXPECT_LT(absl::Now() - killed, absl::Seconds(30));
    EXPECT_TRUE(ranks[1].Said("ddnn-train: rank 1: ")) << ranks[1].output();
    ranks[2].Kill(SIGKILL);
    ranks[2].End();
  }
}

TEST_F(DataParallelTest, InterruptedAtAnyRankAllOfThemStopBehindOneStep) {
  for (const int told : {0, 1}) {
    const std::string out = absl::StrCat("out", told);
    std::vector<Process> ranks = Start(out, 2, {"--restart"});
    ranks[0].Read(2);
    ranks[told].Kill(SIGTERM);
    EXPECT_EQ(ranks[0].End(), 130) << ranks[0].output();
    EXPECT_EQ(ranks[1].End(), 130) << ranks[1].output();
    EXPECT_TRUE(ranks[0].Said("--resume")) << ranks[0].output();
    EXPECT_EQ(ranks[1].output(), "");
    EXPECT_TRUE(Exists(out + ".checkpoint"));
    EXPECT_FALSE(Exists(out));
  }
  std::vector<Process> again = Start("out1", 2, {"--resume"});
  for (Process& rank : again) EXPECT_EQ(rank.End(), 0) << rank.output();
  EXPECT_EQ(BundleId("out1"), WholeRun());
}

TEST_F(DataParallelTest, OtherOptionsOrAnErrorOfOneRankAreToldToAll) {
  const std::string port = std::to_string(FreePort());
  const auto environment = [&](int rank) {
    return Environment{{"MASTER_ADDR", "127.0.0.1"},
                       {"MASTER_PORT", port},
                       {"WORLD_SIZE", "2"},
                       {"RANK", std::to_string(rank)}};
  };
  {
    Process first(Command("out", {}), environment(0));
    Process second(Command("out", {"--seed", "5"}), environment(1));
    EXPECT_EQ(first.End(), 1);
    EXPECT_EQ(second.End(), 1);
    EXPECT_TRUE(second.Said("rank 1: was started otherwise than rank 0")) << second.output();
    EXPECT_TRUE(second.Said("seed: 1 -> 5")) << second.output();
    EXPECT_TRUE(first.Said("rank 1 ended: was started otherwise")) << first.output();
  }
  {
    Process first(Command("out", {"--resume"}), environment(0));
    Process second(Command("out", {"--resume"}), environment(1));
    EXPECT_EQ(first.End(), 1);
    EXPECT_EQ(second.End(), 1);
    EXPECT_TRUE(first.Said("no checkpoint to resume")) << first.output();
    EXPECT_TRUE(second.Said("rank 0 ended: ")) << second.output();
    EXPECT_TRUE(second.Said("no checkpoint to resume")) << second.output();
  }
  {
    Process first(Command("out", {}), environment(0));
    Process second(Command("out", {"--resume"}), environment(1));
    EXPECT_EQ(first.End(), 1);
    EXPECT_EQ(second.End(), 1);
    EXPECT_TRUE(second.Said("no --resume -> --resume")) << second.output();
    EXPECT_TRUE(first.Said("rank 1 ended: was started otherwise")) << first.output();
  }
}

TEST_F(DataParallelTest, AnExceptionInOneRankIsToldToAll) {
  // A link to itself makes reading its folder throw.
  std::filesystem::create_directories(folder_ / "loop/train/a");
  std::filesystem::create_symlink("itself", folder_ / "loop/train/a/itself");
  const std::string port = std::to_string(FreePort());
  Environment environment = {
      {"MASTER_ADDR", "127.0.0.1"}, {"MASTER_PORT", port}, {"WORLD_SIZE", "2"}, {"RANK", "0"}};
  Process first(Command("out", {}), environment);
  environment["RANK"] = "1";
  Process second(Command("out", {"--data", "folder:" + (folder_ / "loop")}), environment);
  EXPECT_EQ(first.End(), 1);
  EXPECT_EQ(second.End(), 1);
  EXPECT_TRUE(first.Said("rank 1 ended: ")) << first.output();
}

TEST(RankEnvironment, NamesTheVariableThatIsWrong) {
  const auto read = [](Environment environment) {
    return train::ReadRankEnvironment([&](const char* name) -> const char* {
      const auto found = environment.find(name);
      return found == environment.end() ? nullptr : found->second.c_str();
    });
  };
  const Environment good = {
      {"WORLD_SIZE", "4"}, {"RANK", "3"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "29500"}};
  ASSERT_TRUE(read(good).ok());
  EXPECT_EQ(read(good)->rank, 3);
  EXPECT_EQ(read(good)->world_size, 4);
  EXPECT_EQ(read(good)->port, 29500);
  EXPECT_EQ(read({})->world_size, 1);
  Environment slurm = good;
  slurm.insert({{"SLURM_LOCALID", "1"}, {"SLURM_NTASKS_PER_NODE", "2"}});
  EXPECT_EQ(read(slurm)->local_rank, 1);
  EXPECT_EQ(read(slurm)->local_size, 2);
  slurm["LOCAL_RANK"] = "0";
  EXPECT_EQ(read(slurm)->local_rank, 0);
  // Slurm's may be of a larger job than this run.
  slurm["SLURM_NTASKS_PER_NODE"] = "8";
  EXPECT_FALSE(read(slurm).ok());
  slurm["LOCAL_WORLD_SIZE"] = "2";
  ASSERT_TRUE(read(slurm).ok()) << read(slurm).status();
  EXPECT_EQ(read(slurm)->local_size, 2);
  EXPECT_EQ(read({{"WORLD_SIZE", "1"}, {"RANK", "x"}})->world_size, 1);
  const std::vector<std::vector<std::string>> wrong = {
      {"WORLD_SIZE", "two"}, {"WORLD_SIZE", "0"}, {"WORLD_SIZE", "-2"},     {"RANK", "4"},
      {"RANK", "-1"},        {"RANK", ""},        {"MASTER_PORT", "70000"}, {"MASTER_PORT", "0"},
      {"MASTER_PORT", ""},   {"MASTER_ADDR", ""}, {"LOCAL_RANK", "x"}};
  for (const auto& entry : wrong) {
    Environment environment = good;
    environment[entry[0]] = entry[1];
    const auto found = read(environment);
    ASSERT_FALSE(found.ok()) << entry[0] << "=" << entry[1];
    const std::string message(found.status().message());
    EXPECT_NE(message.find(entry[0]), std::string::npos) << message;
    EXPECT_NE(message.find("expected"), std::string::npos) << message;
    EXPECT_NE(message.find(entry[1]), std::string::npos) << message;
  }
}

TEST_F(DataParallelTest, AWrongEnvironmentIsRefused) {
  Process process(Command("out", {}), {{"WORLD_SIZE", "2"}, {"RANK", "2"}});
  EXPECT_EQ(process.End(), 1);
  EXPECT_TRUE(process.Said("RANK=\"2\": expected a number from 0 to 1")) << process.output();
}

}  // namespace
}  // namespace ddnn

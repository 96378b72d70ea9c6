#include "train/checkpoint.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <filesystem>

#include "runtime/core/bundle.h"
#include "tests/support/synced_folders.h"

namespace ddnn::train {
namespace {

constexpr size_t kEnough = 1 << 20;

v1::Checkpoint Example(int epoch) {
  v1::Checkpoint checkpoint;
  checkpoint.mutable_run()->set_data("mnist");
  checkpoint.mutable_run()->set_epochs(9);
  checkpoint.mutable_run()->set_learning_rate(0.01f);
  checkpoint.mutable_now()->set_epoch(epoch);
  checkpoint.add_tensor(std::string(40, 'x'));
  checkpoint.add_moment(std::string("\0\1\2\3", 4));
  return checkpoint;
}

class CheckpointTest : public ::testing::Test {
 protected:
  CheckpointTest() {
    std::string name = ::testing::TempDir() + "/ddnn_checkpoint.XXXXXX";
    folder_ = mkdtemp(&name[0]);
    path_ = folder_ + "/out.checkpoint";
  }
  ~CheckpointTest() override { std::filesystem::remove_all(folder_); }
  absl::Status Overwrite(const std::string& data) { return WriteFileAtomically(path_, data); }
  std::string folder_, path_;
};

TEST_F(CheckpointTest, ComesBackAsItWas) {
  ASSERT_TRUE(SaveCheckpoint(path_, Example(3)).ok());
  const auto loaded = LoadCheckpoint(path_, kEnough);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->SerializeAsString(), Example(3).SerializeAsString());
}

TEST_F(CheckpointTest, MakesItsFolder) {
  path_ = folder_ + "/a/b/out.checkpoint";
  Synced().clear();
  EXPECT_TRUE(SaveCheckpoint(path_, Example(1)).ok());
  const std::string root = std::filesystem::canonical(folder_);
  for (const char* folder : {"", "/a", "/a/b"}) {
    EXPECT_EQ(Synced().count(root + folder), 1u) << folder;
  }
  EXPECT_TRUE(LoadCheckpoint(path_, kEnough).ok());
}

TEST_F(CheckpointTest, CutAnywhereIsRefused) {
  ASSERT_TRUE(SaveCheckpoint(path_, Example(3)).ok());
  const std::string whole = *ReadFile(path_, kEnough);
  for (size_t size = 0; size < whole.size(); ++size) {
    ASSERT_TRUE(Overwrite(whole.substr(0, size)).ok());
    EXPECT_TRUE(absl::IsDataLoss(LoadCheckpoint(path_, kEnough).status())) << size;
  }
  ASSERT_TRUE(Overwrite(whole + '\0').ok());
  EXPECT_TRUE(absl::IsDataLoss(LoadCheckpoint(path_, kEnough).status()));
}

TEST_F(CheckpointTest, AnyByteChangedIsRefused) {
  ASSERT_TRUE(SaveCheckpoint(path_, Example(3)).ok());
  const std::string whole = *ReadFile(path_, kEnough);
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      ASSERT_TRUE(Overwrite(damaged).ok());
      EXPECT_TRUE(absl::IsDataLoss(LoadCheckpoint(path_, kEnough).status())) << i;
    }
  }
}

TEST_F(CheckpointTest, RefusesMoreThanTheRunCanHaveWithoutReadingIt) {
  ASSERT_TRUE(SaveCheckpoint(path_, Example(3)).ok());
  std::filesystem::resize_file(path_, uint64_t{1} << 40);  // a hole: no disk has it
  const absl::Status status = LoadCheckpoint(path_, kEnough).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_TRUE(absl::IsNotFound(LoadCheckpoint(folder_ + "/none", kEnough).status()));
}

TEST_F(CheckpointTest, AFullDiskLeavesTheOneBefore) {
  ASSERT_TRUE(SaveCheckpoint(path_, Example(3)).ok());
  const auto before = signal(SIGXFSZ, SIG_IGN);
  rlimit usual;
  getrlimit(RLIMIT_FSIZE, &usual);
  std::vector<bool> saved;
  for (rlim_t bytes : {0, 1, 17, 18, 40, 60, 100}) {
    const rlimit small{bytes, usual.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    saved.push_back(SaveCheckpoint(path_, Example(4)).ok());
    setrlimit(RLIMIT_FSIZE, &usual);
    EXPECT_EQ(LoadCheckpoint(path_, kEnough)->now().epoch(), 3) << bytes;
  }
  signal(SIGXFSZ, before);
  EXPECT_EQ(saved, std::vector<bool>(7, false));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(CheckpointTest, IsRemovedWithWhatKilledRunsLeft) {
  ASSERT_TRUE(SaveCheckpoint(path_, Example(3)).ok());
  ASSERT_TRUE(WriteFileAtomically(path_ + ".tmp-123", "half").ok());
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/other.checkpoint", "x").ok());
  RemoveCheckpoint(path_);
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".tmp-123"));
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/other.checkpoint"));
  RemoveCheckpoint(path_);
}

TEST_F(CheckpointTest, AnotherRunIsNamedByWhatDiffers) {
  const v1::TrainingRun run = Example(1).run();
  EXPECT_TRUE(CheckSameRun(path_, run, run).ok());
  v1::TrainingRun other = run;
  other.set_learning_rate(0.02f);
  other.mutable_network()->mutable_training()->set_batch(7);
  const absl::Status status = CheckSameRun(path_, run, other);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  for (const char* words : {path_.c_str(), "learning_rate: 0.01 -> 0.02", "batch", "--restart"}) {
    EXPECT_NE(status.message().find(words), std::string::npos) << status;
  }
}

}  // namespace
}  // namespace ddnn::train

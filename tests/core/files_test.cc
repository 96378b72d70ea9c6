#include "runtime/core/files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "runtime/core/bundle.h"
#include "tests/support/synced_folders.h"

namespace ddnn {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::UnorderedElementsAreArray;

class Files : public testing::Test {
 protected:
  Files()
      : folder_(testing::TempDir() + "/files_" +
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~Files() override { fs::remove_all(folder_); }

  const std::string folder_;
};

TEST_F(Files, ReadWhatWasWritten) {
  const std::string path = folder_ + "/a";
  const std::string data("\0\xff\n\r text", 9);
  ASSERT_TRUE(WriteFileAtomically(path, data).ok());
  EXPECT_EQ(*ReadFile(path, data.size()), data);
  ASSERT_TRUE(WriteFileAtomically(path, "shorter").ok());
  EXPECT_EQ(*ReadFile(path, 100), "shorter");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(Files, RefuseMoreThanTheyMayHold) {
  const std::string path = folder_ + "/a";
  ASSERT_TRUE(WriteFileAtomically(path, "12345").ok());
  const absl::Status status = ReadFile(path, 4).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path + ": 5 bytes, expected at most 4"));
}

TEST_F(Files, RefuseWhatIsNoFile) {
  const std::string pipe = folder_ + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const std::string& path : {pipe, folder_}) {
    const absl::Status status = ReadFile(path, 100).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(path + ": not a regular file"));
  }
}

TEST_F(Files, NameWhatIsMissing) {
  const std::string path = folder_ + "/none/a";
  EXPECT_EQ(ReadFile(path, 1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(ReadFile(path, 1).status().message()), HasSubstr(path));
  EXPECT_EQ(WriteFileAtomically(path, "x").code(), absl::StatusCode::kNotFound);
}

TEST_F(Files, LeaveNothingBesideAFolderTheyCannotReplace) {
  fs::create_directories(folder_ + "/a/b");
  const absl::Status status = WriteFileAtomically(folder_ + "/a", "x");
  EXPECT_THAT(std::string(status.message()), HasSubstr(folder_ + "/a: cannot be replaced: Is a"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(Files, FollowLinks) {
  fs::create_directory(folder_ + "/inner");
  const std::string target = folder_ + "/inner/a", link = folder_ + "/link";
  ASSERT_TRUE(WriteFileAtomically(target, "before").ok());
  struct stat before, after;
  ASSERT_EQ(stat(target.c_str(), &before), 0);
  fs::create_symlink("a", folder_ + "/inner/near");
  fs::create_symlink("inner/near", link);
  EXPECT_TRUE(WriteFileAtomically(link, "after").ok());
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_TRUE(fs::is_symlink(folder_ + "/inner/near"));
  EXPECT_EQ(*ReadFile(target, 100), "after");
  ASSERT_EQ(stat(target.c_str(), &after), 0);
  EXPECT_NE(before.st_ino, after.st_ino) << "replaced in one step, not overwritten";
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 2);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ + "/inner"), fs::directory_iterator()), 2);
}

TEST_F(Files, FollowLinksToWhatIsNotThereYet) {
  const std::string link = folder_ + "/link";
  fs::create_symlink(folder_ + "/new", link);
  EXPECT_TRUE(WriteFileAtomically(link, "x").ok());
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(ReadFile(folder_ + "/new", 100).value_or("nothing"), "x");
}

TEST_F(Files, RefuseLinksThatLeadNowhere) {
  fs::create_symlink("b", folder_ + "/a");
  fs::create_symlink("a", folder_ + "/b");
  fs::create_directory(folder_ + "/inner");
  fs::create_symlink("inner", folder_ + "/folder");
  for (const std::string& path : {folder_ + "/a", folder_ + "/folder"}) {
    const absl::Status status = WriteFileAtomically(path, "x");
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(std::string(status.message()), HasSubstr(path + ": cannot be replaced"));
    EXPECT_TRUE(fs::is_symlink(path));
  }
}

TEST_F(Files, WriteIntoWhatIsNoFile) {
  const std::string pipe = folder_ + "/pipe", link = folder_ + "/link";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  fs::create_symlink("pipe", link);
  // Without waiting: a writer that replaced the pipe would never come.
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  for (const std::string& path : {pipe, link}) {
    EXPECT_TRUE(WriteFileAtomically(path, "through").ok());
    char got[100] = {};
    EXPECT_EQ(read(reader, got, sizeof(got)), 7) << path;
    EXPECT_STREQ(got, "through");
  }
  close(reader);
  EXPECT_TRUE(fs::is_fifo(fs::symlink_status(pipe)));
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 2);
}

TEST_F(Files, MakeFoldersThatTheDiskHas) {
  const std::string root = fs::canonical(folder_);
  Synced().clear();
  EXPECT_TRUE(MakeFolders(folder_ + "/a/b/c").ok());
  EXPECT_TRUE(fs::is_directory(folder_ + "/a/b/c"));
  EXPECT_EQ(Synced(), (std::set<std::string>{root, root + "/a", root + "/a/b"}));
  Synced().clear();
  fs::create_symlink("a", folder_ + "/link");
  for (const char* there : {"", "/", "/a/b/c", "/a/b/c/", "/link", "/link/b"}) {
    EXPECT_TRUE(MakeFolders(folder_ + there).ok()) << there;
  }
  EXPECT_TRUE(MakeFolders(".").ok());
  EXPECT_TRUE(MakeFolders("/").ok());
  EXPECT_TRUE(Synced().empty());
  EXPECT_TRUE(MakeFolders(folder_ + "/link//d/./e/").ok());
  EXPECT_TRUE(fs::is_directory(folder_ + "/a/d/e"));
}

TEST_F(Files, MakeNoFolderWhereAFileIsInTheWay) {
  const std::string file = folder_ + "/file";
  ASSERT_TRUE(WriteFileAtomically(file, "x").ok());
  fs::create_symlink("nowhere", folder_ + "/link");
  for (const char* inner : {"", "/a", "/a/b"}) {
    for (const std::string& in_the_way : {file, folder_ + "/link"}) {
      const absl::Status status = MakeFolders(in_the_way + inner);
      EXPECT_FALSE(status.ok());
      EXPECT_THAT(std::string(status.message()), HasSubstr(in_the_way + ": cannot be created"));
    }
  }
  EXPECT_FALSE(MakeFolders("").ok());
  EXPECT_EQ(*ReadFile(file, 100), "x");
}

TEST_F(Files, ReplaceAFolderBelowNewOnes) {
  const std::string root = fs::canonical(folder_);
  Synced().clear();
  EXPECT_TRUE(ReplaceFolder(folder_ + "/a/b/c", {{"file", "x"}}).ok());
  EXPECT_THAT(Synced(), IsSupersetOf({root, root + "/a", root + "/a/b"}));
}

TEST_F(Files, RemoveWhatAKilledProcessLeftOfAFolder) {
  const std::string gone = "2000000000", alive = std::to_string(getppid());
  // The old one of a file system that cannot exchange two folders is the only one left.
  std::vector<std::string> others = {"a.tmp-" + alive, "a.tmp-" + gone + ".old", "a.tmp-notes",
                                     "a.tmp-" + gone + "-notes", "other.tmp-" + gone};
  for (const std::string& name : others) fs::create_directory(folder_ + "/" + name);
  fs::create_directories(folder_ + "/a.tmp-" + gone + "/inner");
  EXPECT_TRUE(ReplaceFolder(folder_ + "/a", {{"file", "x"}}).ok());
  others.push_back("a");
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(folder_)) left.push_back(entry.path().filename());
  EXPECT_THAT(left, UnorderedElementsAreArray(others));
}

TEST(Sha256, KnowsTheStandardsExamples) {
  EXPECT_EQ(ToHex(Sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(ToHex(Sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256("abc").size(), 32u);
}

}  // namespace
}  // namespace ddnn

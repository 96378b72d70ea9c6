#include "tools/local/child_process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

namespace ddnn {
namespace {

std::string LogPath() {
  const std::string path = testing::TempDir() + "child_process_test." + std::to_string(getpid());
  unlink(path.c_str());
  return path;
}

std::unique_ptr<ChildProcess> Shell(const std::string& script, const std::string& log) {
  auto child = ChildProcess::Start({"/bin/sh", "-c", script}, log);
  EXPECT_TRUE(child.ok()) << child.status();
  return child.ok() ? *std::move(child) : nullptr;
}

std::vector<std::string> AllLines(ChildProcess* child) {
  std::vector<std::string> lines;
  while (child->output_fd() >= 0) {
    for (std::string& line : child->ReadLines()) lines.push_back(std::move(line));
  }
  return lines;
}

TEST(ChildProcess, GivesItsOutputByLinesAndPutsErrorsIntoTheLog) {
  const std::string log = LogPath();
  auto child = Shell("echo one; echo wrong 1>&2; printf 'two\\nthr'; printf ee; exit 3", log);
  EXPECT_EQ(AllLines(child.get()), (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_TRUE(child->WaitForEnd(absl::Seconds(20)));
  EXPECT_EQ(child->exit_code(), 3);
  EXPECT_EQ(TailOfFile(log, 5), "wrong");
  unlink(log.c_str());
}

TEST(ChildProcess, SaysWhichProgramCannotBeRun) {
  const std::string log = LogPath();
  auto child = ChildProcess::Start({"/no/such/program"}, log);
  ASSERT_FALSE(child.ok());
  EXPECT_EQ(child.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(std::string(child.status().message()).find("/no/such/program"), std::string::npos);
  unlink(log.c_str());
}

TEST(ChildProcess, ReportsTheSignalThatEndedIt) {
  const std::string log = LogPath();
  auto child = Shell("echo up; exec sleep 1000", log);
  child->Signal(SIGKILL);
  EXPECT_TRUE(child->WaitForEnd(absl::Seconds(20)));
  EXPECT_EQ(child->exit_code(), 128 + SIGKILL);
  unlink(log.c_str());
}

TEST(ChildProcess, EndsWhenItsOwnerLetsGo) {
  const std::string log = LogPath();
  auto child = Shell("exec sleep 1000", log);
  const pid_t pid = child->pid();
  child.reset();
  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
  unlink(log.c_str());
}

TEST(ChildProcess, LeadsAProcessGroupOfItsOwn) {
  const std::string log = LogPath();
  auto child = Shell("exec sleep 1000", log);
  EXPECT_EQ(getpgid(child->pid()), child->pid());
  unlink(log.c_str());
}

// A program in between starts a child and is killed without a chance to clean up. This process
// becomes the orphan's parent, so that it can wait for its end.
TEST(ChildProcess, DoesNotOutliveAParentThatIsKilled) {
  const std::string log = LogPath();
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t between = fork();
  if (between == 0) {
    auto child = ChildProcess::Start({"/bin/sleep", "1000"}, log);
    const pid_t pid = child.ok() ? (*child)->pid() : 0;
    (void)!write(ends[1], &pid, sizeof(pid));
    pause();
    _exit(0);
  }
  pid_t orphan = 0;
  ASSERT_EQ(read(ends[0], &orphan, sizeof(orphan)), static_cast<ssize_t>(sizeof(orphan)));
  ASSERT_GT(orphan, 0);
  kill(between, SIGKILL);
  ASSERT_EQ(waitpid(between, nullptr, 0), between);
  int status = 0;
  ASSERT_EQ(waitpid(orphan, &status, 0), orphan);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  close(ends[0]);
  close(ends[1]);
  unlink(log.c_str());
}

TEST(TailOfFile, GivesTheLastLinesAndNothingForAFileThatIsNotThere) {
  const std::string log = LogPath();
  Shell("for i in 1 2 3 4 5; do echo line $i 1>&2; done", log)->WaitForEnd(absl::Seconds(20));
  EXPECT_EQ(TailOfFile(log, 2), "line 4\nline 5");
  unlink(log.c_str());
  EXPECT_EQ(TailOfFile(log, 2), "");
}

}  // namespace
}  // namespace ddnn

#include "train/run_program.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <stdexcept>
#include <utility>

namespace ddnn::train {
namespace {

using Ended = std::pair<int, std::string>;

// What a program ended with, and what it said on stderr.
Ended EndOf(const std::function<absl::StatusOr<int>()>& work) {
  testing::internal::CaptureStderr();
  const int code = ExitStatus("program", work);
  return {code, testing::internal::GetCapturedStderr()};
}

TEST(ExitStatus, IsOneBehindAnErrorThatIsToldWhetherReturnedOrThrown) {
  EXPECT_EQ(EndOf([] { return absl::NotFoundError("no x"); }), Ended(1, "program: no x\n"));
  EXPECT_EQ(EndOf([]() -> absl::StatusOr<int> { throw std::runtime_error("no y"); }),
            Ended(1, "program: no y\n"));
}

TEST(ExitStatus, IsWhatTheWorkWantsAndTellsNothing) {
  EXPECT_EQ(EndOf([] { return 3; }), Ended(3, ""));
  EXPECT_EQ(EndOf([] { return absl::CancelledError("interrupted"); }), Ended(130, ""));
}

TEST(AllowedProcessors, AreThoseThatThisProcessWasLeft) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(AllowedProcessors(), CPU_COUNT(&before));
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(AllowedProcessors(), 1);
  sched_setaffinity(0, sizeof before, &before);
}

}  // namespace
}  // namespace ddnn::train

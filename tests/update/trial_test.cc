#include "runtime/update/trial.h"

#include "gmock/gmock.h"
#include "runtime/lite/lite_engine.h"
#include "tests/update/serving.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Shell(const std::string& script, absl::Duration limit = absl::Minutes(1)) {
  return RunCommand({"/bin/sh", "-c", script}, limit).ToString();
}

TEST(RunCommand, TellsHowAProcessEnded) {
  EXPECT_EQ(Shell("exit 0"), "OK");
  EXPECT_THAT(Shell("kill -SEGV $$"), HasSubstr("killed by signal 11"));
  EXPECT_THAT(Shell("echo no such layer >&2; exit 3"),
              AllOf(HasSubstr("ended with 3"), HasSubstr("no such layer")));
  EXPECT_THAT(Shell("sleep 60", absl::Milliseconds(50)), HasSubstr("did not end within 50ms"));
  EXPECT_THAT(Shell("while :; do echo on; done", absl::Milliseconds(50)), HasSubstr("did not end"));
  EXPECT_THAT(RunCommand({"/no/such/program"}, absl::Minutes(1)).ToString(),
              HasSubstr("/no/such/program"));
}

TEST(RunCommand, WaitsForNobodyThatTheProcessLeftBehind) {
  EXPECT_EQ(Shell("sleep 60 & exit 0"), "OK");
}

TEST(RunCommand, KeepsTheLastWordsOfAProcessThatSaysMuch) {
  const std::string status =
      Shell("i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done; exit 1");
  EXPECT_THAT(status, HasSubstr("4999"));
  EXPECT_LT(status.size(), 1200u);
}

class TrialTest : public UpdateTest {};

TEST_F(TrialTest, EverySectionOfABundleStandsIt) {
  for (const auto& [place, section] : first_->bundle.sections) {
    const absl::Status status =
        RunTrial(Path("first"), place.first, place.second, CreateLiteEngine);
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_FALSE(RunTrial(Path("nowhere"), 0, 0, CreateLiteEngine).ok());
}

TEST_F(TrialTest, IsWhatAProgramDoesThatWasStartedForIt) {
  EXPECT_EQ(TrialMain({"--try_bundle", Path("first"), "0", "1"}, CreateLiteEngine), 0);
  EXPECT_EQ(TrialMain({"--try_bundle", Path("nowhere"), "0", "1"}, CreateLiteEngine), 1);
  EXPECT_EQ(TrialMain({"--bundle", "x", "--view", "1"}, CreateLiteEngine), std::nullopt);
  EXPECT_EQ(TrialMain({}, CreateLiteEngine), std::nullopt);
}

}  // namespace
}  // namespace ddnn

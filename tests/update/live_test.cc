#include <array>
#include <atomic>
#include <fstream>

#include "gmock/gmock.h"
#include "tests/update/live_tree.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LiveTest : public LiveTreeTest {
 protected:
  // Offers samples until something is so.
  template <typename F>
  void OfferUntil(F&& condition) {
    const absl::Time deadline = absl::Now() + absl::Seconds(60);
    while (!condition()) {
      ASSERT_LT(absl::Now(), deadline) << "it never came";
      OfferNext();
      if (HasFatalFailure()) return;
    }
  }
  bool AllOnlyRun(const SharedFiles& files) {
    return OnlyRuns(root_, files) && OnlyRuns(edge_, files) && OnlyRuns(devices_[0], files) &&
           OnlyRuns(devices_[1], files);
  }
};

TEST_F(LiveTest, ANewBundleTakesOverWithoutLosingASample) {
  StartAll();
  for (int i = 0; i < 50; ++i) OfferNext();
  PublishFolder("second");
  OfferUntil([&] { return AllOnlyRun(second_); });
  for (int i = 0; i < 50; ++i) OfferNext();
  WaitForAnswers();
  const uint64_t new_ones = CheckAnswers(second_);
  EXPECT_GE(new_ones, 50u);
  EXPECT_LE(new_ones, offered_ - 50);
  for (LiveNode* node : {&edge_, &devices_[0], &devices_[1]}) {
    const v1::NodeStats stats = node->generations->Stats();
    EXPECT_EQ(stats.entered(), offered_) << stats.node() << ": in both versions";
    EXPECT_EQ(stats.answered(), offered_) << stats.node();
  }
  devices_[1].updater->Stop();  // it saves what it prefers at the end of a step
  EXPECT_EQ(devices_[1].kept->state().bundle(), second_->bundle.sha256_hex());
  EXPECT_EQ(devices_[1].kept->state().before(), first_->bundle.sha256_hex());
}

TEST_F(LiveTest, ANodeThatWasAwayComesAfter) {
  StartAll();
  for (int i = 0; i < 10; ++i) OfferNext();
  WaitForAnswers();
  devices_[1].Stop();
  PublishFolder("second");
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (!OnlyRuns(edge_, second_) || !OnlyRuns(root_, second_)) {
    ASSERT_LT(absl::Now(), deadline) << "it waits for a device that is not there";
    const auto pixels = RandomPixels(first_->bundle.plan, &random_);
    while (devices_[0].generations->under_way() > 16) std::this_thread::yield();
    ASSERT_TRUE(devices_[0].generations->Offer({7, offered_++}, pixels).ok());
  }
  devices_[1].updater.reset();
  devices_[1].generations.reset();
  devices_[1].kept.reset();
  StartChild(&devices_[1], 0, 1, edge_.generations->port());
  EXPECT_TRUE(devices_[1].ears.waiter.WaitUntil(
      [&] { return devices_[1].ears.ready[second_->bundle.sha256]; }));
  EXPECT_TRUE(AllOnlyRun(second_));
}

TEST_F(LiveTest, ABundleThatFailsItsCheckIsNotTaken) {
  StartAll();
  OfferNext();
  for (const auto& file : std::filesystem::directory_iterator(Path("second/sections"))) {
    std::string data = *ReadFile(file.path(), 1 << 20);
    data.back() ^= 1;
    std::filesystem::remove(file.path());
    std::ofstream(file.path(), std::ios::binary) << data;
  }
  PublishFolder("second");
  OfferUntil([&] { return !root_.root()->refusals().empty(); });
  EXPECT_THAT(root_.root()->refusals(), ElementsAre(HasSubstr("it was changed or damaged")));
  OfferNext();
  WaitForAnswers();
  EXPECT_EQ(CheckAnswers(first_), offered_);
  EXPECT_TRUE(AllOnlyRun(first_));
}

TEST_F(LiveTest, AnotherNetworkIsNotTakenWhileTheTreeRuns) {
  StartAll();
  *spec_.mutable_class_name(0) += "x";
  const SharedFiles third = Draw("third");
  PublishFolder("third");
  OfferUntil([&] { return !root_.root()->refusals().empty(); });
  EXPECT_THAT(root_.root()->refusals(), ElementsAre(HasSubstr("class_name")));
  WaitForAnswers();
  EXPECT_EQ(CheckAnswers(first_), offered_);
  // The next one that fits is.
  PublishFolder("second");
  OfferUntil([&] { return AllOnlyRun(second_); });
}

TEST_F(LiveTest, ABundleThatOneDeviceRefusesIsWithdrawnEverywhere) {
  std::atomic<int> trials{0};
  trials_[{0, 1}] = [&](const SharedFiles&) {
    ++trials;
    return absl::InternalError("killed by signal 11");
  };
  StartAll();
  PublishFolder("second");
  OfferUntil([&] { return !root_.root()->refusals().empty() && AllOnlyRun(first_); });
  EXPECT_THAT(root_.root()->refusals(), ElementsAre(HasSubstr("tier0.1: killed by signal 11")));
  WaitForAnswers();
  EXPECT_EQ(CheckAnswers(first_), offered_);
  // It remembers that, and so does the root.
  std::filesystem::last_write_time(Path("live/bundle.textproto"),
                                   std::filesystem::file_time_type::clock::now());
  for (int i = 0; i < 50; ++i) OfferNext();
  EXPECT_EQ(trials, 1);
  devices_[1].updater->Stop();  // whose state it is while it runs
  ASSERT_EQ(devices_[1].kept->state().refused_size(), 1);
  EXPECT_EQ(devices_[1].kept->state().refused(0).bundle(), second_->bundle.sha256_hex());
  Draw("third");
  trials_.clear();
}

TEST_F(LiveTest, ABundleThatIsRefusedAfterTheChangeGivesWayToTheOneBefore) {
  StartAll();
  PublishFolder("second");
  OfferUntil([&] { return AllOnlyRun(second_); });
  // What a device says that was started again and again with it.
  v1::BundleReport report;
  report.set_bundle_sha256(second_->bundle.sha256);
  report.set_node("tier0.1");
  report.set_refused(true);
  report.set_reason("ended twice");
  ASSERT_TRUE(devices_[1].link->Report(report, absl::Minutes(1)).ok());
  OfferUntil([&] { return AllOnlyRun(first_); });
  EXPECT_THAT(root_.root()->refusals(), ElementsAre(HasSubstr("tier0.1: ended twice")));
  WaitForAnswers();
  EXPECT_GT(CheckAnswers(first_), 0u);
}

TEST_F(LiveTest, ABundleThatAConnectedNodeDoesNotTakeIsWithdrawn) {
  limit_ = absl::Milliseconds(300);
  StartAll();
  devices_[1].updater->Stop();  // as if it had been given --bundle
  PublishFolder("second");
  OfferUntil([&] { return !root_.root()->refusals().empty() && AllOnlyRun(first_); });
  EXPECT_THAT(root_.root()->refusals(), ElementsAre(HasSubstr("tier1.0")));
  WaitForAnswers();
  EXPECT_EQ(CheckAnswers(first_), offered_);
}

}  // namespace
}  // namespace ddnn

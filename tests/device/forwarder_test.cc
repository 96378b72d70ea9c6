#include "device/forwarder.h"

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/net/waiter.h"
#include "tests/node/networks.h"

namespace ddnn {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kBundle(32, 'b'), kNewBundle(32, 'n');

// A forwarder of device 1 of figure (e), whose parent the test plays.
class ForwarderTest : public ::testing::Test {
 protected:
  ForwarderTest() {
    std::string name = ::testing::TempDir() + "/forwarder_XXXXXX";
    root_ = mkdtemp(name.data());
    options_.directory = (root_ / "spool").string();
    options_.view = 1;
    options_.window.rate = 1e6;
    options_.window.patience = absl::Hours(1);
    options_.wall_clock = [] { return absl::FromUnixSeconds(5000); };
    Open();
  }
  ~ForwarderTest() override {
    forwarder_.reset();
    std::filesystem::remove_all(root_);
  }

  void Open() {
    forwarder_.reset();
    auto forwarder = Forwarder::Open(plan_, options_);
    ASSERT_TRUE(forwarder.ok()) << forwarder.status();
    forwarder_ = *std::move(forwarder);
    forwarder_->SendTo(Parent());
  }
  Forwarder::Parent Parent() {
    return {[this] { return waiter_.Read([&] { return running_; }); },
            [this](const std::string& bundle, v1::KeptSample kept) {
              waiter_.Change([&] {
                sent_.push_back(std::move(kept));
                sent_under_.push_back(bundle);
              });
            }};
  }
  KeepAlone Alone(uint64_t sequence) {
    KeepAlone alone;
    alone.answer.sample = {7, sequence};
    alone.answer.class_index = 2;
    alone.answer.entropy = 0.75f;
    alone.answer.scores = {0, 0, 1};
    alone.answer.degraded = true;
    alone.answer.latency = absl::Seconds(2);
    alone.features = SomeFeatures(plan_.node(0, 1).features, sequence);
    return alone;
  }
  void Spool(uint64_t begin, uint64_t end) {
    for (uint64_t i = begin; i < end; ++i) forwarder_->OnAlone(kBundle, Alone(i));
    forwarder_->Flush();
  }
  // What was sent, in order, once there are so many.
  std::vector<v1::KeptSample> Sent(size_t count) {
    EXPECT_TRUE(waiter_.WaitUntil([&] { return sent_.size() >= count; }));
    return waiter_.Read([&] { return sent_; });
  }
  static std::vector<uint64_t> Sequences(const std::vector<v1::KeptSample>& sent) {
    std::vector<uint64_t> sequences;
    for (const v1::KeptSample& kept : sent) sequences.push_back(kept.sequence());
    return sequences;
  }
  void Ack(const v1::KeptSample& kept, bool no_store = false) {
    v1::KeptAck ack;
    ack.set_view(kept.view());
    ack.set_log(kept.log());
    ack.set_number(no_store ? 0 : kept.number());
    ack.set_no_store(no_store);
    forwarder_->OnAck(ack);
    forwarder_->Flush();
  }

  const NetworkPlan plan_ = SmallNetwork('e');
  std::filesystem::path root_;
  Forwarder::Options options_;
  Waiter waiter_;
  std::string running_ = kBundle;  // that frames go to
  std::vector<v1::KeptSample> sent_;
  std::vector<std::string> sent_under_;
  std::unique_ptr<Forwarder> forwarder_;
};

TEST_F(ForwarderTest, SendsWhatWasKeptWhenTheParentIsBack) {
  Spool(0, 1);
  EXPECT_THAT(Sent(0), IsEmpty());
  EXPECT_EQ(forwarder_->stats().waiting(), 1u);
  EXPECT_GT(forwarder_->stats().bytes(), 0);
  forwarder_->OnParent(true);
  const v1::KeptSample kept = Sent(1)[0];
  EXPECT_EQ(kept.view(), 1);
  EXPECT_EQ(kept.stream(), 7u);
  EXPECT_EQ(kept.sequence(), 0u);
  EXPECT_EQ(kept.time_us(), absl::ToUnixMicros(absl::FromUnixSeconds(4998)));
  EXPECT_EQ(kept.class_index(), 2u);
  EXPECT_EQ(kept.exit(), 0u);
  EXPECT_EQ(kept.entropy(), 0.75f);
  EXPECT_EQ(kept.scores().size(), 12u);
  EXPECT_EQ(kept.class_name() + kept.exit_name() + kept.bundle_sha256(), "");
  EXPECT_EQ(kept.number(), 1u);
  EXPECT_FALSE(kept.expired());
  Ack(kept);
  const v1::SpoolStats stats = forwarder_->stats();
  EXPECT_EQ(stats.spooled(), 1u);
  EXPECT_EQ(stats.sent(), 1u);
  EXPECT_EQ(stats.stored(), 1u);
  EXPECT_EQ(stats.waiting(), 0u);
  EXPECT_EQ(stats.bytes(), 0);
}

TEST_F(ForwarderTest, SendsNothingIntoTheVoid) {
  forwarder_->SendNowhere();
  Spool(0, 1);
  forwarder_->OnParent(true);
  forwarder_->Flush();
  EXPECT_EQ(forwarder_->stats().sent(), 0u);
  forwarder_->SendTo(Parent());
  EXPECT_THAT(Sequences(Sent(1)), ElementsAre(0));
}

TEST_F(ForwarderTest, SendsMoreOnlyAsTheRootStoresWhatItHas) {
  Spool(0, 10);
  forwarder_->OnParent(true);
  forwarder_->Flush();
  EXPECT_THAT(Sequences(Sent(1)), ElementsAre(0));
  Ack(Sent(1)[0]);
  EXPECT_THAT(Sequences(Sent(3)), ElementsAre(0, 1, 2));
  Ack(Sent(3)[2]);
  EXPECT_THAT(Sequences(Sent(7)), ElementsAre(0, 1, 2, 3, 4, 5, 6));
  EXPECT_EQ(Sent(7)[4].after(), 4u) << "the place of sequence 3, which is not stored yet";
  EXPECT_EQ(Sent(7)[3].after(), 0u);
}

TEST_F(ForwarderTest, SendsAgainWhatWasNotAcknowledgedBeforeTheParentWent) {
  Spool(0, 3);
  forwarder_->OnParent(true);
  Ack(Sent(1)[0]);
  Sent(3);
  forwarder_->OnParent(false);
  forwarder_->OnParent(true);
  EXPECT_THAT(Sequences(Sent(4)), ElementsAre(0, 1, 2, 1));
  Ack(Sent(4)[3]);
  EXPECT_THAT(Sequences(Sent(5)), ElementsAre(0, 1, 2, 1, 2));
}

TEST_F(ForwarderTest, SendsAgainWhatNobodyAnswers) {
  options_.window.patience = absl::Milliseconds(1);
  Open();
  Spool(0, 1);
  forwarder_->OnParent(true);
  EXPECT_THAT(Sequences(Sent(4)), Each(0)) << "four times, and perhaps once more by now";
}

TEST_F(ForwarderTest, SendsAgainAfterARestartWhatTheRootHadNoTimeToAcknowledge) {
  Spool(0, 3);
  forwarder_->OnParent(true);
  Ack(Sent(1)[0]);
  const v1::KeptSample second = Sent(3)[1];
  Open();
  EXPECT_EQ(forwarder_->stats().waiting(), 2u);
  forwarder_->OnParent(true);
  const v1::KeptSample again = Sent(4)[3];
  EXPECT_EQ(again.SerializeAsString(), second.SerializeAsString()) << "the root must know it";
  Spool(10, 11);
  Ack(again);
  Ack(Sent(5)[4]);
  EXPECT_THAT(Sequences(Sent(6)), ElementsAre(0, 1, 2, 1, 2, 10));
  EXPECT_NE(Sent(6)[5].log(), second.log());
}

TEST_F(ForwarderTest, KeepsEverythingForARootWithAStore) {
  Spool(0, 2);
  forwarder_->OnParent(true);
  Ack(Sent(1)[0], /*no_store=*/true);
  EXPECT_EQ(forwarder_->stats().waiting(), 2u);
  EXPECT_EQ(forwarder_->stats().sent(), 1u);
  forwarder_->OnParent(false);
  forwarder_->OnParent(true);  // perhaps another
  EXPECT_THAT(Sequences(Sent(2)), ElementsAre(0, 0));
}

TEST_F(ForwarderTest, KeepsSamplesThatGotNoAnswer) {
  KeepAlone alone = Alone(3);
  alone.answer = Answer();
  alone.answer.sample = {7, 3};
  alone.answer.outcome = Outcome::kExpired;
  alone.features.clear();
  alone.pixels = std::string(plan_.view_shape().size(), 'p');
  alone.in_doubt = true;
  forwarder_->OnAlone(kBundle, alone);
  forwarder_->OnParent(true);
  const v1::KeptSample kept = Sent(1)[0];
  EXPECT_TRUE(kept.expired());
  EXPECT_TRUE(kept.in_doubt());
  EXPECT_EQ(kept.pixels(), alone.pixels);
}

TEST_F(ForwarderTest, DropsAndCountsWhatTheDiskIsTooSlowFor) {
  options_.max_queued = 0;
  Open();
  Spool(0, 3);
  EXPECT_EQ(forwarder_->stats().dropped().at("disk too slow"), 3u);
  EXPECT_EQ(forwarder_->stats().waiting(), 0u);
}

TEST_F(ForwarderTest, DropsWhatTheParentWouldRefuseTheDeviceFor) {
  forwarder_.reset();
  {
    SpoolOptions options;
    options.directory = options_.directory;
    options.view = 1;
    options.max_record = 1000;
    auto spool = Spool::Open(options);
    ASSERT_TRUE(spool.ok()) << spool.status();
    v1::KeptSample other;
    other.set_view(2);
    ASSERT_TRUE((*spool)->Append(kBundle, "\xff no message").ok());
    ASSERT_TRUE((*spool)->Append(kBundle, other.SerializeAsString()).ok());
  }
  Open();
  Spool(5, 6);
  forwarder_->OnParent(true);
  EXPECT_THAT(Sequences(Sent(1)), ElementsAre(5));
  forwarder_->Flush();
  EXPECT_EQ(forwarder_->stats().dropped().at("not of this network"), 2u);
  EXPECT_EQ(forwarder_->stats().waiting(), 1u);
}

TEST_F(ForwarderTest, SendsPicturesOfTheBundleBeforeUnderItsNames) {
  KeepAlone with_picture = Alone(4);
  with_picture.features.clear();
  with_picture.pixels = std::string(plan_.view_shape().size(), 'p');
  Spool(3, 4);
  forwarder_->OnAlone(kBundle, with_picture);
  forwarder_->Flush();
  running_ = kNewBundle;
  Open();
  forwarder_->OnParent(true);
  const v1::KeptSample kept = Sent(1)[0];
  EXPECT_EQ(kept.sequence(), 4u);
  EXPECT_EQ(kept.after(), 0u) << "what was dropped before it cannot come";
  EXPECT_EQ(kept.bundle_sha256(), kBundle);
  EXPECT_EQ(kept.class_name(), plan_.spec().class_name(2));
  EXPECT_EQ(kept.exit_name(), plan_.exits()[0].name);
  EXPECT_EQ(kept.class_index(), 0u);
  EXPECT_EQ(kept.scores(), "");
  EXPECT_EQ(kept.entropy(), 0.75f);
  EXPECT_EQ(kept.pixels(), with_picture.pixels);
  forwarder_->Flush();
  EXPECT_EQ(forwarder_->stats().dropped().at("another bundle"), 1u) << "its features are no use";
}

TEST_F(ForwarderTest, FollowsTheDeviceToANewBundleWithoutARestart) {
  KeepAlone with_picture = Alone(0);
  with_picture.features.clear();
  with_picture.pixels = std::string(plan_.view_shape().size(), 'p');
  for (const std::string& bundle : {kBundle, kBundle, kNewBundle}) {
    forwarder_->OnAlone(bundle, with_picture);
    ++with_picture.answer.sample.sequence;
  }
  forwarder_->Flush();
  forwarder_->OnParent(true);
  const v1::KeptSample before = Sent(1)[0];
  EXPECT_EQ(before.bundle_sha256(), "") << "it is the one that it goes up under";
  EXPECT_EQ(before.class_index(), 2u);
  waiter_.Change([&] { running_ = kNewBundle; });
  Ack(before);
  const std::vector<v1::KeptSample> sent = Sent(3);
  EXPECT_THAT(sent_under_, ElementsAre(kBundle, kNewBundle, kNewBundle));
  EXPECT_THAT(Sequences(sent), ElementsAre(0, 1, 2));
  EXPECT_EQ(sent[1].bundle_sha256(), kBundle);
  EXPECT_EQ(sent[1].class_name(), plan_.spec().class_name(2));
  EXPECT_EQ(sent[2].bundle_sha256(), "");
  EXPECT_EQ(sent[2].class_index(), 2u);
  EXPECT_TRUE(forwarder_->stats().dropped().empty());
}

TEST_F(ForwarderTest, MayBeFlushedBySeveralAndAfterItsEnd) {
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < 4; ++i) {
    threads.emplace_back([this, i] {
      for (uint64_t j = 0; j < 20; ++j) {
        forwarder_->OnAlone(kBundle, Alone(100 * i + j));
        forwarder_->Flush();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(forwarder_->stats().waiting(), 80u);
  forwarder_->Stop();
  forwarder_->Flush();
}

TEST_F(ForwarderTest, SaysWhyItCannotOpen) {
  auto second = Forwarder::Open(plan_, options_);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another process"));
}

}  // namespace
}  // namespace ddnn

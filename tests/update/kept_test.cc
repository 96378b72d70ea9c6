#include <fstream>
#include <thread>

#include "gmock/gmock.h"
#include "runtime/update/first_bundle.h"
#include "runtime/update/kept_bundles.h"
#include "tests/update/serving.h"

namespace ddnn {
namespace {

using ::testing::HasSubstr;

class KeptTest : public UpdateTest {
 protected:
  KeptTest() {
    options_.min_backoff = options_.max_backoff = absl::Milliseconds(1);
    options_.ask_limit = absl::Minutes(1);
  }

  // Starts a node as a process would: with what is in the folder, and the parent there or not.
  absl::StatusOr<SharedFiles> StartFrom(const std::string& parent, const FindPlace& place) {
    auto kept = KeptBundles::Open(Path("state"));
    if (!kept.ok()) return kept.status();
    ParentLink link(parent);
    return FirstBundle(kept->get(), &link, place, options_);
  }
  std::string AGonePort() {
    BundleService service;
    return Serving(&service).address();
  }

  FirstBundleOptions options_;
};

TEST_F(KeptTest, AFetchedBundleStartsTheNodeAgainWithoutTheParent) {
  BundleService service;
  service.Publish(Naming(first_), {first_});
  std::string address;
  {
    const Serving serving(&service);
    address = serving.address();
    const auto fetched = StartFrom(address, Node(1, 0));
    ASSERT_TRUE(fetched.ok()) << fetched.status();
  }
  const auto again = StartFrom(address, Node(1, 0));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*again)->bundle.sha256, first_->bundle.sha256);
  EXPECT_EQ((*again)->files.size(), 4u);
  // What is kept is a bundle like any other.
  const auto loaded = LoadBundle(Path("state") + "/" + first_->bundle.sha256_hex(), {1, 0});
  EXPECT_TRUE(loaded.ok()) << loaded.status();
}

TEST_F(KeptTest, ANewerBundleOfTheParentTakesThePlaceOfTheKeptOne) {
  BundleService service;
  service.Publish(Naming(first_), {first_});
  const Serving serving(&service);
  ASSERT_TRUE(StartFrom(serving.address(), Node(0, 0)).ok());
  service.Publish(Naming(second_), {second_});
  const auto newer = StartFrom(serving.address(), Node(0, 0));
  ASSERT_TRUE(newer.ok()) << newer.status();
  EXPECT_EQ((*newer)->bundle.sha256, second_->bundle.sha256);
  const auto kept = KeptBundles::Open(Path("state"));
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ((*kept)->state().bundle(), second_->bundle.sha256_hex());
  EXPECT_EQ((*kept)->state().before(), first_->bundle.sha256_hex());
  EXPECT_TRUE((*kept)->Read(first_->bundle.sha256_hex(), Node(0, 0)).ok()) << "to go back to";
}

TEST_F(KeptTest, WaitsForAParentThatIsNotThereYet) {
  BundleService service;
  int port;
  {
    const Serving place(&service);
    port = place.port();
  }
  absl::StatusOr<SharedFiles> files;
  std::thread node([&] { files = StartFrom(absl::StrCat("127.0.0.1:", port), Node(0, 1)); });
  const Serving serving(&service, port);
  service.Publish(Naming(first_), {first_});
  node.join();
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ((*files)->bundle.sections.count({0, 1}), 1u);
}

TEST_F(KeptTest, WaitsOnWhileWhatTheParentGivesIsDamaged) {
  auto damaged = std::make_shared<BundleFiles>(*first_);
  for (auto& [hash, data] : damaged->files) {
    if (hash != first_->bundle.sha256) data.back() ^= 1;
  }
  BundleService service;
  service.Publish(Naming(first_), {damaged});
  const Serving serving(&service);
  auto kept = KeptBundles::Open(Path("state"));
  ASSERT_TRUE(kept.ok()) << kept.status();
  ParentLink link(serving.address());
  absl::StatusOr<SharedFiles> files;
  std::thread node([&] { files = FirstBundle(kept->get(), &link, Node(0, 1), options_); });
  EXPECT_TRUE(link.Wait(absl::Milliseconds(20)));
  service.Publish(Naming(first_), {first_});
  node.join();
  EXPECT_TRUE(files.ok()) << files.status();
}

TEST_F(KeptTest, EndsWaitingWhenItIsCancelled) {
  auto kept = KeptBundles::Open(Path("state"));
  ASSERT_TRUE(kept.ok()) << kept.status();
  ParentLink link(AGonePort());
  absl::StatusOr<SharedFiles> files;
  std::thread node([&] { files = FirstBundle(kept->get(), &link, Node(0, 1), options_); });
  link.Cancel();
  node.join();
  EXPECT_TRUE(absl::IsCancelled(files.status())) << files.status();
}

TEST_F(KeptTest, EndsForWhatWaitingDoesNotChange) {
  BundleService service;
  service.Publish(Naming(first_), {first_});
  const Serving serving(&service);
  const auto nowhere = [](const NetworkPlan&) -> absl::StatusOr<std::pair<int, int>> {
    return absl::OutOfRangeError("views 0 to 1");
  };
  EXPECT_TRUE(absl::IsOutOfRange(StartFrom(serving.address(), nowhere).status()));
  v1::BundleService::Service older;  // all of it UNIMPLEMENTED
  const Serving other(&older);
  const absl::Status status = StartFrom(other.address(), Node(0, 0)).status();
  EXPECT_TRUE(absl::IsUnimplemented(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("--bundle"));
}

TEST_F(KeptTest, FetchesAgainWhatWasDamagedOnDisk) {
  BundleService service;
  service.Publish(Naming(first_), {first_});
  const Serving serving(&service);
  ASSERT_TRUE(StartFrom(serving.address(), Node(0, 0)).ok());
  const std::string kept = Path("state") + "/" + first_->bundle.sha256_hex();
  for (const auto& file : std::filesystem::directory_iterator(kept + "/sections")) {
    std::ofstream(file.path(), std::ios::binary) << "rubbish";
  }
  ASSERT_FALSE(LoadBundle(kept, {0, 0}).ok());
  const auto files = StartFrom(serving.address(), Node(0, 0));
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_TRUE(LoadBundle(kept, {0, 0}).ok()) << "the damaged one was written anew";
}

TEST_F(KeptTest, ABundleWithWhichTheProcessEndsAgainAndAgainGivesWayToTheOneBefore) {
  BundleService service;
  service.Publish(Naming(first_), {first_});
  const Serving serving(&service);
  ASSERT_TRUE(StartFrom(serving.address(), Node(0, 0)).ok());
  service.Publish(Naming(second_), {second_});
  // Each start is by a process that ended before the bundle was proven.
  for (int start = 0; start < kMostStarts; ++start) {
    const auto files = StartFrom(serving.address(), Node(0, 0));
    ASSERT_TRUE(files.ok()) << files.status();
    EXPECT_EQ((*files)->bundle.sha256, second_->bundle.sha256);
  }
  for (int start = 0; start < 3; ++start) {
    const auto files = StartFrom(serving.address(), Node(0, 0));
    ASSERT_TRUE(files.ok()) << files.status();
    EXPECT_EQ((*files)->bundle.sha256, first_->bundle.sha256) << "though the parent has the other";
  }
  const auto kept = KeptBundles::Open(Path("state"));
  ASSERT_TRUE(kept.ok()) << kept.status();
  ASSERT_EQ((*kept)->state().refused_size(), 1);
  EXPECT_EQ((*kept)->state().refused(0).bundle(), second_->bundle.sha256_hex());
  EXPECT_THAT((*kept)->state().refused(0).reason(), HasSubstr("2 times"));
}

TEST_F(KeptTest, ABundleThatFailsItsTrialIsNotStartedWithAndReported) {
  BundleService service;
  service.Publish(Naming(first_), {first_});
  const Serving serving(&service);
  ASSERT_TRUE(StartFrom(serving.address(), Node(0, 0)).ok());
  std::vector<v1::BundleReport> reports;
  service.OnReport([&](const v1::BundleReport& report) { reports.push_back(report); });
  service.Publish(Naming(second_), {second_});
  options_.try_bundle = [](const SharedFiles&) { return absl::InternalError("killed"); };
  const auto files = StartFrom(serving.address(), Node(0, 0));
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ((*files)->bundle.sha256, first_->bundle.sha256);
  service.OnReport(nullptr);
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].node(), "tier0.0");
  EXPECT_TRUE(reports[0].refused());
  EXPECT_EQ(reports[0].bundle_sha256(), second_->bundle.sha256);
}

TEST_F(KeptTest, AFolderIsUsedByOneProcess) {
  const auto first = KeptBundles::Open(Path("state"));
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = KeptBundles::Open(Path("state"));
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(Path("state")));
}

TEST_F(KeptTest, ForgetsOthersAndWhatAKilledProcessLeft) {
  auto kept = KeptBundles::Open(Path("state"));
  ASSERT_TRUE(kept.ok()) << kept.status();
  ASSERT_TRUE((*kept)->Keep(*first_).ok());
  ASSERT_TRUE((*kept)->Keep(*second_).ok());
  const std::string half = (*kept)->PathOf(second_->bundle.sha256_hex()) + ".tmp-1";
  std::filesystem::create_directories(half);
  std::ofstream(Path("state/notes")) << "somebody's";
  (*kept)->Forget({first_->bundle.sha256_hex()});
  EXPECT_TRUE((*kept)->Read(first_->bundle.sha256_hex(), Node(0, 0)).ok());
  EXPECT_FALSE((*kept)->Read(second_->bundle.sha256_hex(), Node(0, 0)).ok());
  EXPECT_FALSE(std::filesystem::exists(half));
  EXPECT_TRUE(std::filesystem::exists(Path("state/notes")));
}

TEST_F(KeptTest, AStateThatCannotBeReadIsNamed) {
  std::filesystem::create_directories(Path("state"));
  for (const std::string text : {"bundle: '../../etc'", "nonsense"}) {
    std::ofstream(Path("state/kept.textproto")) << text;
    EXPECT_THAT(std::string(KeptBundles::Open(Path("state")).status().message()),
                HasSubstr("kept.textproto"));
  }
}

}  // namespace
}  // namespace ddnn

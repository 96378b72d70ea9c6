#include "runtime/core/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/bundle_fixture.h"

namespace ddnn {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST_F(BundleTest, ComesBackAsItWas) {
  absl::StatusOr<Bundle> loaded = LoadBundle(path_);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->plan.spec().SerializeAsString(), bundle_.plan.spec().SerializeAsString());
  EXPECT_EQ(loaded->thresholds, bundle_.thresholds);
  ASSERT_EQ(loaded->sections.size(), 9u);
  for (const auto& [place, section] : bundle_.sections) {
    EXPECT_EQ(loaded->sections[place].SerializeAsString(), section.SerializeAsString());
  }
  EXPECT_EQ(loaded->sha256, Sha256(Read(Manifest())));
  EXPECT_EQ(loaded->sha256_hex().size(), 64u);
  EXPECT_EQ(Read(path_ + "/report.json"), "{}\n");
}

TEST_F(BundleTest, OfTheSameSectionsHasTheSameBytes) {
  ASSERT_TRUE(SaveBundleTo(folder_ + "/again", bundle_).ok());
  EXPECT_EQ(Read(folder_ + "/again/bundle.textproto"), Read(Manifest()));
  ASSERT_TRUE(SaveBundleTo(folder_ + "/other", Draw(41)).ok());
  EXPECT_NE(Read(folder_ + "/other/bundle.textproto"), Read(Manifest()));
}

TEST_F(BundleTest, ReadsOnlyTheSectionsAskedFor) {
  fs::remove(path_ + "/sections/cloud-0.section");
  fs::remove(path_ + "/sections/device-1.section");
  absl::StatusOr<Bundle> one = LoadBundle(path_, {0, 3});
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(one->sections.size(), 1u);
  EXPECT_EQ(one->sections.count({0, 3}), 1u);
  absl::StatusOr<Bundle> tier = LoadBundle(path_, {1, -1});
  ASSERT_TRUE(tier.ok()) << tier.status();
  EXPECT_EQ(tier->sections.size(), 2u);
  EXPECT_EQ(LoadBundle(path_, {0, 1}).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BundleTest, KnowsWhichNodesThereAre) {
  const absl::Status status = LoadBundle(path_, {0, 6}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no node 6 in tier device"));
  EXPECT_EQ(LoadBundle(path_, {3, 0}).status().code(), absl::StatusCode::kOutOfRange);
}

TEST_F(BundleTest, ReplacesTheOneThatIsThere) {
  const std::string before = LoadBundle(path_)->sha256;
  ASSERT_TRUE(SaveBundleTo(path_ + "/", Draw(42)).ok());
  absl::StatusOr<Bundle> loaded = LoadBundle(path_);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_NE(loaded->sha256, before);
  // And leaves nothing beside it.
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(BundleTest, ReplacesNothingThatIsNoBundle) {
  const std::string photos = folder_ + "/photos";
  fs::create_directory(photos);
  Write(photos + "/one.jpg", "a picture");
  EXPECT_EQ(SaveBundleTo(photos, bundle_).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(SaveBundleTo(photos + "/one.jpg", bundle_).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Read(photos + "/one.jpg"), "a picture");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 2);
  fs::remove(photos + "/one.jpg");
  EXPECT_TRUE(SaveBundleTo(photos, bundle_).ok());
}

TEST_F(BundleTest, MakesTheFoldersAboveIt) {
  EXPECT_TRUE(SaveBundleTo(folder_ + "/x/y/z", bundle_).ok());
  EXPECT_TRUE(LoadBundle(folder_ + "/x/y/z").ok());
  EXPECT_FALSE(SaveBundleTo("", bundle_).ok());
}

TEST_F(BundleTest, IsNotSavedByHalves) {
  Bundle less = bundle_;
  less.sections.erase({1, 1});
  EXPECT_EQ(SaveBundleTo(folder_ + "/less", less).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(SaveBundleTo(folder_ + "/less", less).message()),
              HasSubstr("edge-1.section"));
  Bundle bad = bundle_;
  bad.sections[{1, 1}].mutable_body(0)->mutable_binary_conv()->mutable_weights()->pop_back();
  EXPECT_EQ(SaveBundleTo(folder_ + "/less", bad).code(), absl::StatusCode::kInvalidArgument);
  Bundle unsure = bundle_;
  unsure.manifest.mutable_threshold(0)->set_entropy(1.5f);
  EXPECT_EQ(SaveBundleTo(folder_ + "/less", unsure).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(fs::exists(folder_ + "/less"));
  std::vector<v1::Section> twice;
  for (const auto& entry : bundle_.sections) twice.push_back(entry.second);
  twice.push_back(twice.back());
  EXPECT_FALSE(SaveBundle(folder_ + "/less", bundle_.manifest, twice).ok());
}

TEST_F(BundleTest, OfEveryRandomNetworkComesBack) {
  Random random(43);
  for (int i = 0; i < 20; ++i) {
    absl::StatusOr<NetworkPlan> plan = NetworkPlan::Create(RandomSpec({}, &random));
    ASSERT_TRUE(plan.ok()) << plan.status();
    const Bundle bundle = RandomBundle(*plan, 0.5f, &random);
    ASSERT_TRUE(SaveBundleTo(folder_ + "/random", bundle).ok());
    absl::StatusOr<Bundle> loaded = LoadBundle(folder_ + "/random");
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(loaded->sections.size(), bundle.sections.size());
  }
}

}  // namespace
}  // namespace ddnn

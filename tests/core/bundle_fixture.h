#ifndef DDNN_TESTS_CORE_BUNDLE_FIXTURE_H_
#define DDNN_TESTS_CORE_BUNDLE_FIXTURE_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/random_network.h"

namespace ddnn {

/// A saved bundle of Figure 2 (f) in a folder of the test's own.
class BundleTest : public testing::Test {
 protected:
  BundleTest()
      : folder_(testing::TempDir() + "/bundle_" +
                testing::UnitTest::GetInstance()->current_test_info()->name()),
        path_(folder_ + "/b") {
    std::filesystem::remove_all(folder_);
    bundle_ = Draw(40);
    const absl::Status status = SaveBundleTo(path_, bundle_);
    EXPECT_TRUE(status.ok()) << status;
  }
  ~BundleTest() override { std::filesystem::remove_all(folder_); }

  static Bundle Draw(uint64_t seed) {
    absl::StatusOr<NetworkPlan> plan = LoadNetwork(SourcePath("models/figure2/f.textproto"));
    EXPECT_TRUE(plan.ok()) << plan.status();
    Random random(seed);
    return RandomBundle(*plan, 0.25f, &random);
  }

  static std::string Read(const std::string& path) {
    absl::StatusOr<std::string> data = ReadFile(path, 1 << 24);
    EXPECT_TRUE(data.ok()) << data.status();
    return data.ok() ? *data : "";
  }
  static void Write(const std::string& path, const std::string& data) {
    // Truncating a file makes some file systems wait for the disk.
    std::filesystem::remove(path);
    std::ofstream(path, std::ios::binary) << data;
    EXPECT_EQ(std::filesystem::file_size(path), data.size());
  }
  std::string Manifest() const { return path_ + "/bundle.textproto"; }
  absl::Status Load() const { return LoadBundle(path_).status(); }

  const std::string folder_, path_;
  Bundle bundle_;
};

}  // namespace ddnn

#endif  // DDNN_TESTS_CORE_BUNDLE_FIXTURE_H_

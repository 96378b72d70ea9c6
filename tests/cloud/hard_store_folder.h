#ifndef DDNN_TESTS_CLOUD_HARD_STORE_FOLDER_H_
#define DDNN_TESTS_CLOUD_HARD_STORE_FOLDER_H_

#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cloud/hard_store.h"
#include "gtest/gtest.h"

namespace ddnn {

/// A folder with a store of hard samples, whose clock the test sets.
class HardStoreTest : public ::testing::Test {
 protected:
  HardStoreTest() {
    std::string name = ::testing::TempDir() + "/hard_store_XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~HardStoreTest() override { std::filesystem::remove_all(directory_); }

  std::string path() const { return (directory_ / "hard.db").string(); }
  HardStoreOptions Options(int64_t max_bytes = 1 << 20) {
    HardStoreOptions options;
    options.path = path();
    options.max_bytes = max_bytes;
    options.now = [this] { return now_; };
    return options;
  }
  std::unique_ptr<HardStore> OpenStore(int64_t max_bytes = 1 << 20) {
    auto store = HardStore::Open(Options(max_bytes));
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }

  std::filesystem::path directory_;
  absl::Time now_ = absl::FromUnixSeconds(1000);
};

inline HardRecord Record(uint64_t sequence, size_t feature_bytes = 100) {
  HardRecord record;
  record.sample = {3, sequence};
  record.class_index = static_cast<int>(sequence % 3);
  record.class_name = absl::StrCat("class", sequence % 3);
  record.entropy = 0.5f;
  record.presence = 0b101;
  record.scores = {1.5f, -2.0f, 0.25f};
  record.features = std::string(feature_bytes, static_cast<char>(sequence));
  record.bundle_sha256 = "ab";
  return record;
}

/// Of all that is stored, oldest first.
inline std::vector<uint64_t> Sequences(HardStore* store) {
  std::vector<uint64_t> sequences;
  int64_t id = 0;
  for (;;) {
    auto next = store->Next(id, false);
    EXPECT_TRUE(next.ok()) << next.status();
    if (!next.ok() || !next->has_value()) return sequences;
    id = (*next)->id;
    sequences.push_back((*next)->sample.sequence);
  }
}

}  // namespace ddnn

#endif  // DDNN_TESTS_CLOUD_HARD_STORE_FOLDER_H_

#ifndef DDNN_TESTS_DATASETS_TEST_FILES_H_
#define DDNN_TESTS_DATASETS_TEST_FILES_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "datasets/counter_rng.h"

namespace ddnn {

/// A folder that is gone when the test is over.
class TempFolder {
 public:
  TempFolder() {
    std::string name = ::testing::TempDir() + "/ddnn_datasets.XXXXXX";
    path_ = mkdtemp(&name[0]);
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline void WriteFile(const std::string& path, const std::string& bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  ASSERT_TRUE(out.good()) << path;
}

inline std::string BigEndian32(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}

inline std::string IdxBytes(const std::vector<uint32_t>& dims, const std::string& data) {
  std::string bytes = BigEndian32(0x0800u + static_cast<uint32_t>(dims.size()));
  for (uint32_t dim : dims) bytes += BigEndian32(dim);
  return bytes + data;
}

inline std::string RandomBytes(size_t size, uint64_t seed) {
  const CounterRng rng({seed});
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(rng.Word(i));
  return bytes;
}

/// Half of an MNIST-like set: item i has label i % 10 and random pixels.
inline void WriteItems(const std::string& dir, const std::string& prefix, uint32_t items,
                       const std::string& pixels) {
  std::string labels;
  for (uint32_t i = 0; i < items; ++i) labels += static_cast<char>(i % 10);
  WriteFile(dir + "/" + prefix + "-images-idx3-ubyte", IdxBytes({items, 28, 28}, pixels));
  WriteFile(dir + "/" + prefix + "-labels-idx1-ubyte", IdxBytes({items}, labels));
}

inline void WriteMnistLike(const std::string& dir, uint32_t train, uint32_t test) {
  WriteItems(dir, "train", train, RandomBytes(train * 784, 1));
  WriteItems(dir, "t10k", test, RandomBytes(test * 784, 2));
}

/// The message of an error of this code; fails otherwise.
inline std::string ErrorText(const absl::Status& status, absl::StatusCode code) {
  EXPECT_EQ(status.code(), code) << status;
  return std::string(status.message());
}

inline std::string InvalidText(const absl::Status& status) {
  return ErrorText(status, absl::StatusCode::kInvalidArgument);
}

}  // namespace ddnn

#endif  // DDNN_TESTS_DATASETS_TEST_FILES_H_

#ifndef DDNN_DATASETS_IDX_H_
#define DDNN_DATASETS_IDX_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace ddnn {

/// Reads a whole file, unpacking it if it starts with gzip's magic bytes.
/// INVALID_ARGUMENT for a damaged or cut gzip stream, bytes behind it, and more than `max_bytes`
/// when unpacked (memory grows only with bytes that are really there). NOT_FOUND if it is missing.
absl::StatusOr<std::string> ReadFileMaybeGzip(const std::string& path, int64_t max_bytes);

/// An IDX file of unsigned bytes.
struct IdxArray {
  std::vector<int64_t> dims;
  std::string bytes;  ///< product of dims, the last index running fastest
};

/// Reads an IDX file of unsigned bytes, gzipped or not; `dims[i] < 0` leaves that size to the file.
/// INVALID_ARGUMENT names the file, what was found and what was expected: magic, sizes, a file
/// shorter or longer than its header says.
absl::StatusOr<IdxArray> ReadIdx(const std::string& path, const std::vector<int64_t>& dims);

class GzipReader;

/// The rows of such a file along its first dimension, read as they are asked for, so that a device
/// that plays a file need not hold it. Not safe to call from several threads.
class IdxRows {
 public:
  /// \param row  the sizes behind the first, each at least 1
  /// As ReadIdx, but what is wrong behind the header is only found by Read.
  static absl::StatusOr<std::unique_ptr<IdxRows>> Open(const std::string& path,
                                                       const std::vector<int64_t>& row);
  ~IdxRows();

  int64_t count() const { return count_; }
  /// Row `index`, in [0, count): the next one costs no more than itself, one before it all that are
  /// before that. INVALID_ARGUMENT where the file is damaged, ends early, or goes on behind its
  /// last row.
  absl::Status Read(int64_t index, uint8_t* row);

 private:
  explicit IdxRows(std::string path);
  absl::Status Restart();
  absl::Status Fill(size_t wanted);
  void Drop(size_t bytes);

  const std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::unique_ptr<GzipReader> gzip_;  // null: the file is not packed
  std::string read_;                  // unpacked, from `at_` on not yet taken
  size_t at_ = 0;
  bool ended_ = false;
  size_t header_ = 0, row_bytes_ = 1;
  int64_t count_ = 0, next_ = 0;
};

}  // namespace ddnn

#endif  // DDNN_DATASETS_IDX_H_

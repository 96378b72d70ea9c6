#ifndef DDNN_DATASETS_IDX_H_
#define DDNN_DATASETS_IDX_H_

#include <cstdint>
#include <string>
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

}  // namespace ddnn

#endif  // DDNN_DATASETS_IDX_H_

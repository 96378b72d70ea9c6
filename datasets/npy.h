#ifndef DDNN_DATASETS_NPY_H_
#define DDNN_DATASETS_NPY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ddnn {

/// What the header of a .npy file says.
struct NpyHeader {
  std::string type;            ///< NumPy's, e.g. "<f4"
  std::vector<int64_t> shape;  ///< every size at least 0
};

/// Parses the dictionary of a .npy header: exactly the keys descr, fortran_order (False) and shape.
/// INVALID_ARGUMENT starting with `origin`.
absl::StatusOr<NpyHeader> ParseNpyHeader(const std::string& text, const std::string& origin);

/// Bytes of one array of an .npz, read front to back. Memory is taken only for bytes that are
/// there.
class NpzArray;

/// An open .npz file (a zip of .npy files), read only.
class NpzFile {
 public:
  static absl::StatusOr<NpzFile> Open(const std::string& path);
  NpzFile(NpzFile&& other) noexcept;
  NpzFile& operator=(NpzFile&&) = delete;
  ~NpzFile();

  /// Opens array `name` ("X" is the entry "X.npy"), or NOT_FOUND. The entry's size must be what
  /// its header says.
  absl::StatusOr<NpzArray> OpenArray(const std::string& name);
  const std::string& path() const { return path_; }

 private:
  NpzFile(std::string path, void* zip) : path_(std::move(path)), zip_(zip) {}
  std::string path_;
  void* zip_;
};

class NpzArray {
 public:
  NpzArray(NpzArray&& other) noexcept;
  NpzArray& operator=(NpzArray&&) = delete;
  ~NpzArray();

  const NpyHeader& header() const { return header_; }
  const std::string& origin() const { return origin_; }  ///< "file.npz: X.npy"
  int64_t elements() const { return elements_; }
  int element_bytes() const { return element_bytes_; }
  /// Reads exactly `size` bytes; INVALID_ARGUMENT if the entry is cut short or damaged.
  absl::Status Read(void* data, size_t size);
  /// Checks that nothing follows, which is also when the checksum is looked at.
  absl::Status Finish();

 private:
  friend class NpzFile;
  NpzArray(std::string origin, void* file) : origin_(std::move(origin)), file_(file) {}
  absl::Status ReadHeader(uint64_t entry_bytes);

  std::string origin_;
  void* file_;
  NpyHeader header_;
  int64_t elements_ = 0;
  int element_bytes_ = 0;
};

}  // namespace ddnn

#endif  // DDNN_DATASETS_NPY_H_

#include "datasets/idx.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

constexpr int64_t kMaxIdxBytes = int64_t{1} << 30;
constexpr size_t kChunk = size_t{1} << 16;

absl::Status Bad(const std::string& path, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

// Unpacks a gzip file piece by piece, so that neither side of it is in memory twice.
class GzipReader {
 public:
  GzipReader(const std::string& path, int64_t max_bytes) : path_(path), max_bytes_(max_bytes) {
    // 16 on top of the window bits: a gzip header, and nothing else.
    ready_ = inflateInit2(&stream_, 15 + 16) == Z_OK;
  }
  ~GzipReader() {
    if (ready_) inflateEnd(&stream_);
  }
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  absl::Status Feed(char* data, size_t size, std::string* out) {
    if (!ready_) return absl::ResourceExhaustedError("no memory to unpack gzip");
    stream_.next_in = reinterpret_cast<Bytef*>(data);
    stream_.avail_in = static_cast<uInt>(size);
    char piece[kChunk];
    while (stream_.avail_in > 0 && !ended_) {
      stream_.next_out = reinterpret_cast<Bytef*>(piece);
      stream_.avail_out = sizeof(piece);
      const int result = inflate(&stream_, Z_NO_FLUSH);
      if (result != Z_OK && result != Z_STREAM_END) {
        return Bad(path_, absl::StrCat("damaged gzip data: ",
                                       stream_.msg == nullptr ? "unreadable" : stream_.msg));
      }
      out->append(piece, sizeof(piece) - stream_.avail_out);
      if (static_cast<int64_t>(out->size()) > max_bytes_) {
        return Bad(path_, absl::StrCat("unpacks to more than ", max_bytes_, " bytes"));
      }
      ended_ = result == Z_STREAM_END;
    }
    if (stream_.avail_in > 0) return Bad(path_, "bytes behind the end of the gzip data");
    return absl::OkStatus();
  }
  absl::Status Finish() const {
    return ended_ ? absl::OkStatus() : Bad(path_, "gzip data ends early, the file is truncated");
  }

 private:
  const std::string path_;
  const int64_t max_bytes_;
  z_stream stream_ = {};
  bool ready_ = false;
  bool ended_ = false;
};

uint32_t BigEndian32(const std::string& bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

}  // namespace

absl::StatusOr<std::string> ReadFileMaybeGzip(const std::string& path, int64_t max_bytes) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                       &std::fclose);
  if (file == nullptr) {
    const std::string message = absl::StrCat(path, ": ", std::strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(message) : absl::UnavailableError(message);
  }
  std::string out;
  std::unique_ptr<GzipReader> gzip;
  bool first = true;
  char chunk[kChunk];
  while (true) {
    const size_t got = std::fread(chunk, 1, sizeof(chunk), file.get());
    if (got == 0) break;
    if (first && got >= 2 && chunk[0] == '\x1f' && chunk[1] == '\x8b') {
      gzip = std::make_unique<GzipReader>(path, max_bytes);
    }
    first = false;
    if (gzip != nullptr) {
      if (absl::Status fed = gzip->Feed(chunk, got, &out); !fed.ok()) return fed;
      continue;
    }
    out.append(chunk, got);
    if (static_cast<int64_t>(out.size()) > max_bytes) {
      return Bad(path, absl::StrCat("is larger than ", max_bytes, " bytes"));
    }
  }
  if (std::ferror(file.get()) != 0) {
    return absl::UnavailableError(absl::StrCat(path, ": cannot be read: ", std::strerror(errno)));
  }
  if (gzip != nullptr) {
    if (absl::Status finished = gzip->Finish(); !finished.ok()) return finished;
  }
  return out;
}

namespace {

// The sizes in a header of 4 + 4 * dims.size() bytes.
absl::StatusOr<std::vector<int64_t>> ParseHeader(const std::string& path, const std::string& bytes,
                                                 const std::vector<int64_t>& dims) {
  if (bytes.empty()) return Bad(path, "is empty, expected an IDX file");
  const size_t header = 4 + 4 * dims.size();
  if (bytes.size() < header) {
    return Bad(path,
               absl::StrCat("has ", bytes.size(), " bytes, expected an IDX header of ", header));
  }
  const uint32_t magic = BigEndian32(bytes, 0);
  const uint32_t expected_magic = 0x0800u + static_cast<uint32_t>(dims.size());
  if (magic != expected_magic) {
    return Bad(path, absl::StrCat("magic number is 0x", absl::Hex(magic, absl::kZeroPad8),
                                  ", expected 0x", absl::Hex(expected_magic, absl::kZeroPad8),
                                  " (unsigned bytes, ", dims.size(), " dimensions)"));
  }
  std::vector<int64_t> found;
  int64_t size = 1;
  for (size_t i = 0; i < dims.size(); ++i) {
    const int64_t dim = BigEndian32(bytes, 4 + 4 * i);
    if (dims[i] >= 0 ? dim != dims[i] : dim == 0) {
      return Bad(path, absl::StrCat("dimension ", i, " is ", dim, ", expected ",
                                    dims[i] >= 0 ? absl::StrCat(dims[i]) : "at least 1"));
    }
    size *= dim;
    if (size > kMaxIdxBytes) {
      return Bad(path, absl::StrCat("header claims more than ", kMaxIdxBytes, " bytes"));
    }
    found.push_back(dim);
  }
  return found;
}

}  // namespace

absl::StatusOr<IdxArray> ReadIdx(const std::string& path, const std::vector<int64_t>& dims) {
  absl::StatusOr<std::string> bytes = ReadFileMaybeGzip(path, kMaxIdxBytes);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<std::vector<int64_t>> found_dims = ParseHeader(path, *bytes, dims);
  if (!found_dims.ok()) return found_dims.status();
  IdxArray array;
  array.dims = *std::move(found_dims);
  int64_t size = 1;
  for (const int64_t dim : array.dims) size *= dim;
  const size_t header = 4 + 4 * dims.size();
  const int64_t found = static_cast<int64_t>(bytes->size() - header);
  if (found != size) {
    return Bad(path, absl::StrCat(found < size ? "is truncated: " : "has trailing bytes: ", found,
                                  " bytes behind the header, expected ", size));
  }
  bytes->erase(0, header);
  array.bytes = *std::move(bytes);
  return array;
}

absl::StatusOr<std::unique_ptr<IdxRows>> IdxRows::Open(const std::string& path,
                                                       const std::vector<int64_t>& row) {
  std::unique_ptr<IdxRows> rows(new IdxRows(path));
  rows->file_ = gzopen(path.c_str(), "rbe");
  if (rows->file_ == nullptr) {
    const std::string message = absl::StrCat(path, ": ", std::strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(message) : absl::UnavailableError(message);
  }
  if (absl::Status started = rows->Start(row); !started.ok()) return started;
  return rows;
}

IdxRows::~IdxRows() {
  if (file_ != nullptr) gzclose(file_);
}

absl::Status IdxRows::Start(const std::vector<int64_t>& row) {
  std::vector<int64_t> dims = {-1};
  dims.insert(dims.end(), row.begin(), row.end());
  std::string header(4 + 4 * dims.size(), '\0');
  const int got = gzread(file_, &header[0], static_cast<unsigned>(header.size()));
  if (got < 0) return Damaged();
  header.resize(got);
  const absl::StatusOr<std::vector<int64_t>> found = ParseHeader(path_, header, dims);
  if (!found.ok()) return found.status();
  header_ = static_cast<int64_t>(header.size());
  count_ = found->front();
  row_bytes_ = 1;
  for (const int64_t dim : row) row_bytes_ *= dim;
  return absl::OkStatus();
}

absl::Status IdxRows::Damaged() const {
  int code = Z_OK;
  const char* why = gzerror(file_, &code);
  return Bad(path_, code == Z_BUF_ERROR ? "gzip data ends early, the file is truncated"
                                        : absl::StrCat("damaged gzip data: ", why));
}

absl::Status IdxRows::Read(int64_t index, uint8_t* row) {
  // Forward over what is left out, or anew from the beginning.
  if (index != next_ && gzseek(file_, header_ + index * row_bytes_, SEEK_SET) < 0) {
    return Bad(path_, absl::StrCat("row ", index, " cannot be reached"));
  }
  next_ = -1;
  const int got = gzread(file_, row, static_cast<unsigned>(row_bytes_));
  if (got < 0) return Damaged();
  if (got < row_bytes_)
    return Bad(path_, absl::StrCat("is truncated in row ", index, " of ", count_));
  next_ = index + 1;
  if (next_ < count_) return absl::OkStatus();
  char more;
  const int behind = gzread(file_, &more, 1);
  if (behind < 0) return Damaged();
  if (behind > 0) return Bad(path_, "has trailing bytes");
  next_ = -1;
  return absl::OkStatus();
}

}  // namespace ddnn

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

absl::Status CannotOpen(const std::string& path) {
  const std::string message = absl::StrCat(path, ": ", std::strerror(errno));
  return errno == ENOENT ? absl::NotFoundError(message) : absl::UnavailableError(message);
}

absl::Status CannotRead(const std::string& path) {
  return absl::UnavailableError(absl::StrCat(path, ": cannot be read: ", std::strerror(errno)));
}

bool IsGzip(const char* bytes, size_t size) {
  return size >= 2 && bytes[0] == '\x1f' && bytes[1] == '\x8b';
}

}  // namespace

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

namespace {

uint32_t BigEndian32(const std::string& bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

}  // namespace

absl::StatusOr<std::string> ReadFileMaybeGzip(const std::string& path, int64_t max_bytes) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                       &std::fclose);
  if (file == nullptr) return CannotOpen(path);
  std::string out;
  std::unique_ptr<GzipReader> gzip;
  bool first = true;
  char chunk[kChunk];
  while (true) {
    const size_t got = std::fread(chunk, 1, sizeof(chunk), file.get());
    if (got == 0) break;
    if (first && IsGzip(chunk, got)) gzip = std::make_unique<GzipReader>(path, max_bytes);
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
  if (std::ferror(file.get()) != 0) return CannotRead(path);
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
  if (rows->file_ == nullptr) return CannotOpen(path);
  std::vector<int64_t> dims = {-1};
  dims.insert(dims.end(), row.begin(), row.end());
  rows->header_ = 4 + 4 * dims.size();
  if (absl::Status filled = rows->Fill(rows->header_); !filled.ok()) return filled;
  const absl::StatusOr<std::vector<int64_t>> found =
      ParseHeader(path, rows->read_.substr(0, rows->header_), dims);
  if (!found.ok()) return found.status();
  rows->count_ = found->front();
  for (const int64_t dim : row) rows->row_bytes_ *= dim;
  rows->Drop(rows->header_);
  return rows;
}

IdxRows::IdxRows(std::string path)
    : path_(std::move(path)), file_(std::fopen(path_.c_str(), "rbe"), &std::fclose) {}
IdxRows::~IdxRows() = default;

// Unpacks until so many bytes are there, or the file has ended.
absl::Status IdxRows::Fill(size_t wanted) {
  // Small: what is packed well becomes a thousand times as much.
  char chunk[1024];
  while (!ended_ && read_.size() - at_ < wanted) {
    const bool first = std::ftell(file_.get()) == 0;
    const size_t got = std::fread(chunk, 1, sizeof(chunk), file_.get());
    if (std::ferror(file_.get()) != 0) return CannotRead(path_);
    ended_ = got == 0;
    if (ended_) return gzip_ == nullptr ? absl::OkStatus() : gzip_->Finish();
    read_.erase(0, at_);
    at_ = 0;
    if (first && IsGzip(chunk, got)) gzip_ = std::make_unique<GzipReader>(path_, kMaxIdxBytes);
    if (gzip_ == nullptr) {
      read_.append(chunk, got);
    } else if (absl::Status fed = gzip_->Feed(chunk, got, &read_); !fed.ok()) {
      return fed;
    }
  }
  return absl::OkStatus();
}

void IdxRows::Drop(size_t bytes) { at_ += bytes; }

absl::Status IdxRows::Restart() {
  if (std::fseek(file_.get(), 0, SEEK_SET) != 0) return CannotRead(path_);
  gzip_.reset();
  read_.clear();
  at_ = 0;
  ended_ = false;
  next_ = 0;
  if (absl::Status filled = Fill(header_); !filled.ok()) return filled;
  if (read_.size() < header_) return Bad(path_, "has become shorter");
  Drop(header_);
  return absl::OkStatus();
}

absl::Status IdxRows::Read(int64_t index, uint8_t* row) {
  if (index < next_) {
    if (absl::Status restarted = Restart(); !restarted.ok()) return restarted;
  }
  while (true) {
    if (absl::Status filled = Fill(row_bytes_); !filled.ok()) return filled;
    if (read_.size() - at_ < row_bytes_) {
      return Bad(path_, absl::StrCat("is truncated in row ", next_, " of ", count_));
    }
    if (next_ == index) break;
    Drop(row_bytes_);
    ++next_;
  }
  std::memcpy(row, &read_[at_], row_bytes_);
  Drop(row_bytes_);
  if (++next_ < count_) return absl::OkStatus();
  if (absl::Status filled = Fill(1); !filled.ok()) return filled;
  return read_.size() == at_ ? absl::OkStatus() : Bad(path_, "has trailing bytes");
}

}  // namespace ddnn

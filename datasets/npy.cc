#include "datasets/npy.h"

#include <zip.h>

#include <cctype>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace ddnn {
namespace {

constexpr uint32_t kMaxHeaderBytes = 1 << 16;
constexpr int64_t kMaxElements = int64_t{1} << 33;

absl::Status Bad(const std::string& origin, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(origin, ": ", what));
}

// The little of Python's literals that a .npy header may hold. Every Take skips leading blanks.
class Literal {
 public:
  explicit Literal(const std::string& text) : text_(text) {}

  bool Take(absl::string_view token) {
    SkipBlanks();
    if (text_.compare(at_, token.size(), token.data(), token.size()) != 0) return false;
    at_ += token.size();
    return true;
  }
  bool TakeString(std::string* out) {
    SkipBlanks();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return false;
    const size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string::npos) return false;
    *out = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return true;
  }
  bool TakeShape(std::vector<int64_t>* shape) {
    if (!Take("(")) return false;
    bool comma = true;
    while (!Take(")")) {
      SkipBlanks();
      size_t end = at_;
      while (end < text_.size() && std::isdigit(static_cast<unsigned char>(text_[end])) != 0) ++end;
      int64_t size = 0;
      if (!comma || !absl::SimpleAtoi(text_.substr(at_, end - at_), &size)) return false;
      shape->push_back(size);
      at_ = end;
      comma = Take(",");
    }
    // (3) is a number in brackets, not a shape.
    return shape->size() != 1 || comma;
  }
  bool AtEnd() {
    SkipBlanks();
    return at_ == text_.size();
  }

 private:
  void SkipBlanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  const std::string& text_;
  size_t at_ = 0;
};

// Bytes of one element; 0 for types that are not read.
int ElementBytes(const std::string& type) {
  if (type == "|u1" || type == "<u1" || type == "u1") return 1;
  if (type == "<f4" || type == "<i4") return 4;
  if (type == "<i8") return 8;
  return 0;
}

}  // namespace

absl::StatusOr<NpyHeader> ParseNpyHeader(const std::string& text, const std::string& origin) {
  NpyHeader header;
  Literal in(text);
  bool has_type = false, has_order = false, has_shape = false;
  bool well_formed = in.Take("{");
  while (well_formed && !in.Take("}")) {
    std::string key;
    well_formed = in.TakeString(&key) && in.Take(":");
    if (!well_formed) break;
    if (key == "descr" && !has_type) {
      well_formed = has_type = in.TakeString(&header.type);
    } else if (key == "fortran_order" && !has_order) {
      if (in.Take("True")) return Bad(origin, "is in Fortran order, expected C order");
      well_formed = has_order = in.Take("False");
    } else if (key == "shape" && !has_shape) {
      well_formed = has_shape = in.TakeShape(&header.shape);
    } else {
      well_formed = false;
    }
    if (well_formed && !in.Take(",")) {
      well_formed = in.Take("}");
      break;
    }
  }
  if (!well_formed || !in.AtEnd() || !has_type || !has_order || !has_shape) {
    return Bad(origin, absl::StrCat("header is not {'descr': ..., 'fortran_order': False, ",
                                    "'shape': (...)} but '", text.substr(0, 120), "'"));
  }
  return header;
}

absl::StatusOr<NpzFile> NpzFile::Open(const std::string& path) {
  int code = 0;
  zip_t* zip = zip_open(path.c_str(), ZIP_RDONLY, &code);
  if (zip != nullptr) return NpzFile(path, zip);
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string why = zip_error_strerror(&error);
  zip_error_fini(&error);
  if (code == ZIP_ER_NOENT) return absl::NotFoundError(absl::StrCat(path, ": ", why));
  return Bad(path, absl::StrCat("is not a readable .npz (zip) file: ", why));
}

NpzFile::NpzFile(NpzFile&& other) noexcept
    : path_(std::move(other.path_)), zip_(std::exchange(other.zip_, nullptr)) {}

NpzFile::~NpzFile() {
  if (zip_ != nullptr) zip_discard(static_cast<zip_t*>(zip_));
}

absl::StatusOr<NpzArray> NpzFile::OpenArray(const std::string& name) {
  zip_t* zip = static_cast<zip_t*>(zip_);
  const std::string entry = absl::StrCat(name, ".npy");
  const std::string origin = absl::StrCat(path_, ": ", entry);
  zip_stat_t stat;
  if (zip_stat(zip, entry.c_str(), 0, &stat) != 0) {
    return absl::NotFoundError(absl::StrCat(path_, ": has no array ", entry));
  }
  if ((stat.valid & ZIP_STAT_SIZE) == 0) return Bad(origin, "has no size");
  zip_file_t* file = zip_fopen(zip, entry.c_str(), 0);
  if (file == nullptr) {
    return Bad(origin, absl::StrCat("cannot be opened: ", zip_strerror(zip)));
  }
  NpzArray array(origin, file);
  if (absl::Status read = array.ReadHeader(stat.size); !read.ok()) return read;
  return array;
}

NpzArray::NpzArray(NpzArray&& other) noexcept
    : origin_(std::move(other.origin_)),
      file_(std::exchange(other.file_, nullptr)),
      header_(std::move(other.header_)),
      elements_(other.elements_),
      element_bytes_(other.element_bytes_) {}

NpzArray::~NpzArray() {
  if (file_ != nullptr) zip_fclose(static_cast<zip_file_t*>(file_));
}

absl::Status NpzArray::ReadHeader(uint64_t entry_bytes) {
  unsigned char start[8];
  if (absl::Status read = Read(start, sizeof(start)); !read.ok()) return read;
  if (std::memcmp(start, "\x93NUMPY", 6) != 0) return Bad(origin_, "is not a .npy file");
  const int version = start[6];
  if (version < 1 || version > 3) {
    return Bad(origin_, absl::StrCat("has .npy version ", version, ", expected 1 to 3"));
  }
  unsigned char length[4] = {};
  const size_t length_bytes = version == 1 ? 2 : 4;
  if (absl::Status read = Read(length, length_bytes); !read.ok()) return read;
  const uint32_t text_bytes =
      length[0] | length[1] << 8 | length[2] << 16 | static_cast<uint32_t>(length[3]) << 24;
  if (text_bytes > kMaxHeaderBytes) {
    return Bad(origin_, absl::StrCat("header claims ", text_bytes, " bytes, expected at most ",
                                     kMaxHeaderBytes));
  }
  std::string text(text_bytes, '\0');
  if (absl::Status read = Read(&text[0], text.size()); !read.ok()) return read;
  absl::StatusOr<NpyHeader> header = ParseNpyHeader(text, origin_);
  if (!header.ok()) return header.status();
  header_ = *std::move(header);

  element_bytes_ = ElementBytes(header_.type);
  if (element_bytes_ == 0) {
    return Bad(origin_, absl::StrCat("has type '", header_.type,
                                     "', expected float32, uint8, int32 or int64, little endian"));
  }
  elements_ = 1;
  for (int64_t size : header_.shape) {
    if (size > 0 && elements_ > kMaxElements / size) {
      return Bad(origin_, absl::StrCat("claims more than ", kMaxElements, " values"));
    }
    elements_ *= size;
  }
  const uint64_t expected = 8 + length_bytes + text_bytes + uint64_t(elements_) * element_bytes_;
  if (entry_bytes != expected) {
    return Bad(origin_,
               absl::StrCat("has ", entry_bytes, " bytes, expected ", expected, " by its header"));
  }
  return absl::OkStatus();
}

absl::Status NpzArray::Read(void* data, size_t size) {
  zip_file_t* file = static_cast<zip_file_t*>(file_);
  char* at = static_cast<char*>(data);
  while (size > 0) {
    const zip_int64_t got = zip_fread(file, at, size);
    if (got < 0) return Bad(origin_, absl::StrCat("is damaged: ", zip_file_strerror(file)));
    if (got == 0) return Bad(origin_, absl::StrCat("is truncated, ", size, " more bytes expected"));
    at += got;
    size -= static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

absl::Status NpzArray::Finish() {
  zip_file_t* file = static_cast<zip_file_t*>(file_);
  char extra;
  const zip_int64_t got = zip_fread(file, &extra, 1);
  if (got < 0) return Bad(origin_, absl::StrCat("is damaged: ", zip_file_strerror(file)));
  return got == 0 ? absl::OkStatus() : Bad(origin_, "has trailing bytes");
}

}  // namespace ddnn

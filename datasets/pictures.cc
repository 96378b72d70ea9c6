#include "datasets/pictures.h"

#include <cctype>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "datasets/idx.h"
#include "datasets/picture_library.h"
#include "datasets/video_reader.h"

namespace ddnn {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{256} << 20;

absl::Status Bad(const std::string& path, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

uint32_t BigEndian(const std::string& bytes, size_t at, int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

// Width, height and channels out of a PNG's first chunk.
bool PngShape(const std::string& bytes, Shape* shape) {
  if (bytes.compare(0, 8, "\x89PNG\r\n\x1a\n") != 0 || bytes.size() < 33) return false;
  shape->width = static_cast<int>(BigEndian(bytes, 16, 4) & 0x7fffffff);
  shape->height = static_cast<int>(BigEndian(bytes, 20, 4) & 0x7fffffff);
  const int colour = bytes[25];
  shape->channels = colour == 0 || colour == 4 ? 1 : 3;
  return true;
}

// The same out of a JPEG's frame header, skipping the segments before it.
bool JpegShape(const std::string& bytes, Shape* shape) {
  if (bytes.compare(0, 3, "\xff\xd8\xff") != 0) return false;
  for (size_t at = 2; at + 10 <= bytes.size();) {
    if (bytes[at] != '\xff') return false;
    const uint32_t marker = BigEndian(bytes, at + 1, 1);
    if (marker == 0xff) {
      ++at;
      continue;
    }
    const bool frame =
        marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (frame) {
      shape->height = static_cast<int>(BigEndian(bytes, at + 5, 2));
      shape->width = static_cast<int>(BigEndian(bytes, at + 7, 2));
      shape->channels = bytes[at + 9] == 1 ? 1 : 3;
      return true;
    }
    at += 2 + BigEndian(bytes, at + 2, 2);
  }
  return false;
}

// Finds what the decoders would only warn about on stderr, or allocate for.
absl::StatusOr<Shape> CheckFile(const std::string& path, const std::string& bytes) {
  if (bytes.empty()) return Bad(path, "is empty, expected a PNG or JPEG picture");
  Shape shape;
  const bool png = PngShape(bytes, &shape);
  if (!png && !JpegShape(bytes, &shape)) return Bad(path, "is neither a PNG nor a JPEG picture");
  if (shape.width < 1 || shape.height < 1 ||
      int64_t{1} * shape.width * shape.height > kMaxPicturePixels) {
    return Bad(path, absl::StrCat("claims ", shape.width, "x", shape.height,
                                  " pixels, expected 1 to ", kMaxPicturePixels));
  }
  if (bytes.rfind(png ? "IEND" : "\xff\xd9") == std::string::npos) {
    return Bad(path, "ends early, the picture is truncated");
  }
  return shape;
}

}  // namespace

absl::Status CheckPictureShape(const Shape& shape) {
  if ((shape.channels == 1 || shape.channels == 3) && shape.height > 0 && shape.width > 0) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("pictures cannot become ", ToString(shape), ": expected 1 or 3 channels"));
}

bool IsPictureName(const std::string& path) {
  std::string extension = std::filesystem::path(path).extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

absl::StatusOr<Shape> ReadPictureShape(const std::string& path) {
  const absl::StatusOr<std::string> bytes = ReadFileMaybeGzip(path, kMaxFileBytes);
  if (!bytes.ok()) return bytes.status();
  return CheckFile(path, *bytes);
}

absl::StatusOr<std::string> ReadPicture(const std::string& path, const Shape& shape,
                                        const Framing& framing) {
  if (absl::Status status = CheckPictureShape(shape); !status.ok()) return status;
  const absl::StatusOr<std::string> bytes = ReadFileMaybeGzip(path, kMaxFileBytes);
  if (!bytes.ok()) return bytes.status();
  const absl::StatusOr<Shape> found = CheckFile(path, *bytes);
  if (!found.ok()) return found.status();
  const absl::StatusOr<PictureLibrary*> library = LoadPictureLibrary();
  if (!library.ok()) return library.status();
  return (*library)->Decode(path, *bytes, shape, framing);
}

absl::Status WritePicture(const std::string& path, const std::string& pixels, const Shape& shape) {
  if (absl::Status status = CheckPictureShape(shape); !status.ok()) return status;
  if (static_cast<int64_t>(pixels.size()) != shape.size()) {
    return Bad(path, absl::StrCat("has ", pixels.size(), " pixel values to write, expected ",
                                  shape.size(), " for ", ToString(shape)));
  }
  const absl::StatusOr<PictureLibrary*> library = LoadPictureLibrary();
  if (!library.ok()) return library.status();
  return (*library)->Write(path, pixels, shape);
}

}  // namespace ddnn

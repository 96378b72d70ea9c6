// The only file that knows OpenCV.
#include "datasets/pictures.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/videoio.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datasets/idx.h"

namespace ddnn {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{256} << 20;
constexpr int64_t kMaxPixels = int64_t{64} << 20;

absl::Status Bad(const std::string& path, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

// What goes wrong is in our statuses; OpenCV and FFmpeg need not print it as well.
void Silence() {
  static const bool once = [] {
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
    setenv("OPENCV_FFMPEG_LOGLEVEL", "-8", /*replace=*/0);
    return true;
  }();
  (void)once;
}

absl::Status CheckShape(const Shape& shape) {
  if ((shape.channels == 1 || shape.channels == 3) && shape.height > 0 && shape.width > 0) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("pictures cannot become ", ToString(shape), ": expected 1 or 3 channels"));
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
  if (shape.width < 1 || shape.height < 1 || int64_t{1} * shape.width * shape.height > kMaxPixels) {
    return Bad(path, absl::StrCat("claims ", shape.width, "x", shape.height,
                                  " pixels, expected 1 to ", kMaxPixels));
  }
  if (bytes.rfind(png ? "IEND" : "\xff\xd9") == std::string::npos) {
    return Bad(path, "ends early, the picture is truncated");
  }
  return shape;
}

// 8-bit BGR or grey -> [C, H, W] of `shape`.
std::string ToPixels(const cv::Mat& picture, const Shape& shape) {
  cv::Mat coloured, sized;
  if (shape.channels == 1 && picture.channels() == 3) {
    cv::cvtColor(picture, coloured, cv::COLOR_BGR2GRAY);
  } else if (shape.channels == 3) {
    cv::cvtColor(picture, coloured,
                 picture.channels() == 1 ? cv::COLOR_GRAY2RGB : cv::COLOR_BGR2RGB);
  } else {
    coloured = picture;
  }
  if (coloured.rows == shape.height && coloured.cols == shape.width) {
    sized = coloured;
  } else {
    cv::resize(coloured, sized, cv::Size(shape.width, shape.height), 0, 0, cv::INTER_AREA);
  }
  std::string pixels(shape.size(), '\0');
  const int plane = shape.height * shape.width;
  for (int y = 0; y < shape.height; ++y) {
    const uint8_t* row = sized.ptr<uint8_t>(y);
    for (int x = 0; x < shape.width; ++x) {
      for (int c = 0; c < shape.channels; ++c) {
        pixels[c * plane + y * shape.width + x] = static_cast<char>(row[x * shape.channels + c]);
      }
    }
  }
  return pixels;
}

}  // namespace

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

absl::StatusOr<std::string> ReadPicture(const std::string& path, const Shape& shape) {
  Silence();
  if (absl::Status status = CheckShape(shape); !status.ok()) return status;
  const absl::StatusOr<std::string> bytes = ReadFileMaybeGzip(path, kMaxFileBytes);
  if (!bytes.ok()) return bytes.status();
  const absl::StatusOr<Shape> found = CheckFile(path, *bytes);
  if (!found.ok()) return found.status();
  try {
    const cv::Mat data(1, static_cast<int>(bytes->size()), CV_8U, const_cast<char*>(bytes->data()));
    const cv::Mat picture = cv::imdecode(data, cv::IMREAD_COLOR);
    if (picture.empty()) return Bad(path, "cannot be decoded, the picture is damaged");
    return ToPixels(picture, shape);
  } catch (const cv::Exception& error) {
    return Bad(path, absl::StrCat("cannot be decoded: ", error.err));
  }
}

absl::Status WritePicture(const std::string& path, const std::string& pixels, const Shape& shape) {
  Silence();
  if (absl::Status status = CheckShape(shape); !status.ok()) return status;
  if (static_cast<int64_t>(pixels.size()) != shape.size()) {
    return Bad(path, absl::StrCat("has ", pixels.size(), " pixel values to write, expected ",
                                  shape.size(), " for ", ToString(shape)));
  }
  try {
    cv::Mat picture(shape.height, shape.width, shape.channels == 1 ? CV_8UC1 : CV_8UC3);
    const int plane = shape.height * shape.width;
    for (int i = 0; i < plane; ++i) {
      for (int c = 0; c < shape.channels; ++c) {
        // RGB planes to interleaved BGR.
        picture.data[i * shape.channels + shape.channels - 1 - c] =
            static_cast<uint8_t>(pixels[c * plane + i]);
      }
    }
    if (cv::imwrite(path, picture)) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat(path, ": cannot be written"));
  } catch (const cv::Exception& error) {
    return absl::UnavailableError(absl::StrCat(path, ": cannot be written: ", error.err));
  }
}

struct VideoReader::Capture {
  std::string name;
  Shape shape;
  bool live = false;
  cv::VideoCapture video;
};

VideoReader::VideoReader(std::unique_ptr<Capture> capture) : capture_(std::move(capture)) {}
VideoReader::~VideoReader() = default;

absl::StatusOr<std::unique_ptr<VideoReader>> VideoReader::OpenFile(const std::string& path,
                                                                   const Shape& shape) {
  Silence();
  if (absl::Status status = CheckShape(shape); !status.ok()) return status;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return absl::NotFoundError(absl::StrCat(path, ": is not a file"));
  }
  auto capture = std::make_unique<Capture>();
  capture->name = path;
  capture->shape = shape;
  try {
    // By name: "any" would also try to read the path as a numbered series of pictures.
    for (int backend : {cv::CAP_FFMPEG, cv::CAP_OPENCV_MJPEG}) {
      if (capture->video.open(path, backend)) {
        return std::unique_ptr<VideoReader>(new VideoReader(std::move(capture)));
      }
    }
  } catch (const cv::Exception& problem) {
    return Bad(path, absl::StrCat("cannot be played: ", problem.err));
  }
  return Bad(path, "cannot be played, expected a video file");
}

absl::StatusOr<std::unique_ptr<VideoReader>> VideoReader::OpenCamera(int number,
                                                                     const Shape& shape) {
  Silence();
  if (absl::Status status = CheckShape(shape); !status.ok()) return status;
  auto capture = std::make_unique<Capture>();
  capture->name = absl::StrCat("/dev/video", number);
  capture->shape = shape;
  capture->live = true;
  std::string why;
  try {
    if (capture->video.open(number, cv::CAP_V4L2)) {
      return std::unique_ptr<VideoReader>(new VideoReader(std::move(capture)));
    }
  } catch (const cv::Exception& problem) {
    why = absl::StrCat(": ", problem.err);
  }
  return absl::UnavailableError(absl::StrCat("/dev/video", number, ": cannot be opened", why));
}

absl::StatusOr<std::string> VideoReader::Next() {
  try {
    cv::Mat picture;
    if (capture_->video.read(picture) && !picture.empty()) {
      return ToPixels(picture, capture_->shape);
    }
  } catch (const cv::Exception& error) {
    return absl::UnavailableError(absl::StrCat(capture_->name, ": ", error.err));
  }
  if (capture_->live) {
    return absl::UnavailableError(absl::StrCat(capture_->name, ": the camera gives no picture"));
  }
  return absl::OutOfRangeError(absl::StrCat(capture_->name, ": end of the video"));
}

}  // namespace ddnn

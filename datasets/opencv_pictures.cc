// libddnn-opencv.so: the only file beside the cloud's (cloud/pictures.cc) that knows OpenCV.
#include <cstdlib>
#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/videoio.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datasets/picture_library.h"

namespace ddnn {
namespace {

absl::Status Bad(const std::string& path, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
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

struct Capture : public VideoReader {
  absl::StatusOr<std::string> Next() override {
    try {
      cv::Mat picture;
      if (video.read(picture) && !picture.empty()) return ToPixels(picture, shape);
    } catch (const cv::Exception& error) {
      return absl::UnavailableError(absl::StrCat(name, ": ", error.err));
    }
    if (live) return absl::UnavailableError(absl::StrCat(name, ": the camera gives no picture"));
    return absl::OutOfRangeError(absl::StrCat(name, ": end of the video"));
  }

  std::string name;
  Shape shape;
  bool live = false;
  cv::VideoCapture video;
};

std::unique_ptr<VideoReader> Opened(std::unique_ptr<Capture> capture) { return capture; }

class OpenCv : public PictureLibrary {
 public:
  // What goes wrong is in our statuses; OpenCV and FFmpeg need not print it as well.
  OpenCv() {
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
    setenv("OPENCV_FFMPEG_LOGLEVEL", "-8", /*replace=*/0);
  }

  absl::StatusOr<std::string> Decode(const std::string& path, const std::string& bytes,
                                     const Shape& shape) override {
    try {
      const cv::Mat data(1, static_cast<int>(bytes.size()), CV_8U, const_cast<char*>(bytes.data()));
      const cv::Mat picture = cv::imdecode(data, cv::IMREAD_COLOR);
      if (picture.empty()) return Bad(path, "cannot be decoded, the picture is damaged");
      return ToPixels(picture, shape);
    } catch (const cv::Exception& error) {
      return Bad(path, absl::StrCat("cannot be decoded: ", error.err));
    }
  }

  absl::Status Write(const std::string& path, const std::string& pixels,
                     const Shape& shape) override {
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

  absl::StatusOr<std::unique_ptr<VideoReader>> OpenFile(const std::string& path,
                                                        const Shape& shape) override {
    auto capture = std::make_unique<Capture>();
    capture->name = path;
    capture->shape = shape;
    try {
      // By name: "any" would also try to read the path as a numbered series of pictures.
      for (int backend : {cv::CAP_FFMPEG, cv::CAP_OPENCV_MJPEG}) {
        if (capture->video.open(path, backend)) return Opened(std::move(capture));
      }
    } catch (const cv::Exception& problem) {
      return Bad(path, absl::StrCat("cannot be played: ", problem.err));
    }
    return Bad(path, "cannot be played, expected a video file");
  }

  absl::StatusOr<std::unique_ptr<VideoReader>> OpenCamera(int number, const Shape& shape) override {
    auto capture = std::make_unique<Capture>();
    capture->name = absl::StrCat("/dev/video", number);
    capture->shape = shape;
    capture->live = true;
    std::string why;
    try {
      if (capture->video.open(number, cv::CAP_V4L2)) return Opened(std::move(capture));
    } catch (const cv::Exception& problem) {
      why = absl::StrCat(": ", problem.err);
    }
    return absl::UnavailableError(absl::StrCat("/dev/video", number, ": cannot be opened", why));
  }
};

}  // namespace
}  // namespace ddnn

extern "C" ddnn::PictureLibrary* DdnnPictureLibrary() {
  static ddnn::OpenCv* const library = new ddnn::OpenCv;
  return library;
}

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

cv::Rect ToCv(const Rect& rect) { return cv::Rect(rect.x, rect.y, rect.width, rect.height); }

// The part of a picture that is shown, in the size of the view.
cv::Mat Framed(const cv::Mat& picture, const Placement& place, const Shape& shape) {
  const cv::Mat part = picture(ToCv(place.from));
  if (part.rows == shape.height && part.cols == shape.width) return part;
  cv::Mat view(shape.height, shape.width, picture.type(), cv::Scalar::all(0));
  cv::Mat target = view(ToCv(place.to));
  cv::resize(part, target, target.size(), 0, 0, cv::INTER_AREA);
  return view;
}

// 8-bit BGR or grey -> [C, H, W] of `shape`.
absl::StatusOr<std::string> ToPixels(const cv::Mat& picture, const Shape& shape,
                                     const Framing& framing) {
  const absl::StatusOr<Placement> place = Place(framing, picture.cols, picture.rows, shape);
  if (!place.ok()) return place.status();
  cv::Mat coloured;
  if (shape.channels == 1 && picture.channels() == 3) {
    cv::cvtColor(picture, coloured, cv::COLOR_BGR2GRAY);
  } else if (shape.channels == 3) {
    cv::cvtColor(picture, coloured,
                 picture.channels() == 1 ? cv::COLOR_GRAY2RGB : cv::COLOR_BGR2RGB);
  } else {
    coloured = picture;
  }
  const cv::Mat view = Framed(coloured, *place, shape);
  std::string pixels(shape.size(), '\0');
  const int plane = shape.height * shape.width;
  for (int y = 0; y < shape.height; ++y) {
    const uint8_t* row = view.ptr<uint8_t>(y);
    for (int x = 0; x < shape.width; ++x) {
      for (int c = 0; c < shape.channels; ++c) {
        pixels[c * plane + y * shape.width + x] = static_cast<char>(row[x * shape.channels + c]);
      }
    }
  }
  return pixels;
}

class Capture final : public VideoReader {
 public:
  explicit Capture(const VideoRequest& request) : request_(request), name_(request.shown) {}

  absl::Status Open() {
    std::string why;
    try {
      if (Opened()) return CheckSize();
    } catch (const cv::Exception& problem) {
      why = absl::StrCat(": ", problem.err);
    }
    if (request_.kind == VideoRequest::Kind::kFile) {
      return Bad(name_, absl::StrCat("cannot be played, expected a video file", why));
    }
    return absl::UnavailableError(absl::StrCat(name_, ": cannot be opened", why));
  }

  absl::Status Grab() override {
    std::string why;
    try {
      if (video_.grab()) return absl::OkStatus();
    } catch (const cv::Exception& problem) {
      why = absl::StrCat(": ", problem.err);
    }
    if (request_.kind == VideoRequest::Kind::kFile) {
      return absl::OutOfRangeError(absl::StrCat(name_, ": end of the video", why));
    }
    return absl::UnavailableError(absl::StrCat(name_, ": gives no more pictures", why));
  }

  absl::StatusOr<std::string> Retrieve() override {
    try {
      // A stream may change its size at any time.
      if (absl::Status status = CheckSize(); !status.ok()) return status;
      cv::Mat picture;
      if (!video_.retrieve(picture) || picture.empty()) {
        return absl::DataLossError(absl::StrCat(name_, ": a picture is damaged"));
      }
      absl::StatusOr<std::string> pixels = ToPixels(picture, request_.shape, request_.framing);
      if (pixels.ok()) return pixels;
      return Bad(name_, std::string(pixels.status().message()));
    } catch (const cv::Exception& problem) {
      return absl::DataLossError(absl::StrCat(name_, ": a picture is damaged: ", problem.err));
    }
  }

  double rate() const override { return video_.get(cv::CAP_PROP_FPS); }

 private:
  bool Opened() {
    switch (request_.kind) {
      case VideoRequest::Kind::kCamera:
        return video_.open(request_.address, cv::CAP_V4L2);
      case VideoRequest::Kind::kUrl:
        return video_.open(request_.address, cv::CAP_FFMPEG,
                           {cv::CAP_PROP_OPEN_TIMEOUT_MSEC, kVideoTimeoutMs,
                            cv::CAP_PROP_READ_TIMEOUT_MSEC, kVideoTimeoutMs});
      case VideoRequest::Kind::kFile:
        // By name: "any" would also try to read the path as a numbered series of pictures.
        return video_.open(request_.address, cv::CAP_FFMPEG) ||
               video_.open(request_.address, cv::CAP_OPENCV_MJPEG);
    }
    return false;
  }

  // Before memory is taken for pictures that nobody has. What a V4L2 camera says its driver
  // checked.
  absl::Status CheckSize() const {
    if (request_.kind == VideoRequest::Kind::kCamera) return absl::OkStatus();
    const double width = video_.get(cv::CAP_PROP_FRAME_WIDTH);
    const double height = video_.get(cv::CAP_PROP_FRAME_HEIGHT);
    if (width * height <= static_cast<double>(kMaxPicturePixels)) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat(name_, ": claims ", width, "x", height,
                                               " pixels, expected at most ", kMaxPicturePixels));
  }

  const VideoRequest request_;
  const std::string name_;
  cv::VideoCapture video_;
};

class OpenCv : public PictureLibrary {
 public:
  // What goes wrong is in our statuses; OpenCV and FFmpeg need not print it as well.
  OpenCv() {
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
    setenv("OPENCV_FFMPEG_LOGLEVEL", "-8", /*replace=*/0);
    // Seconds for which a camera that is plugged in may give no picture.
    setenv("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", std::to_string(kVideoTimeoutMs / 1000).c_str(),
           /*replace=*/0);
  }

  absl::StatusOr<std::string> Decode(const std::string& path, const std::string& bytes,
                                     const Shape& shape, const Framing& framing) override {
    try {
      const cv::Mat data(1, static_cast<int>(bytes.size()), CV_8U, const_cast<char*>(bytes.data()));
      const cv::Mat picture = cv::imdecode(data, cv::IMREAD_COLOR);
      if (picture.empty()) return Bad(path, "cannot be decoded, the picture is damaged");
      // Turned as its EXIF says, so the size that counts is known only now.
      absl::StatusOr<std::string> pixels = ToPixels(picture, shape, framing);
      if (pixels.ok()) return pixels;
      return Bad(path, std::string(pixels.status().message()));
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

  absl::StatusOr<std::unique_ptr<VideoReader>> OpenVideo(const VideoRequest& request) override {
    auto capture = std::make_unique<Capture>(request);
    if (absl::Status status = capture->Open(); !status.ok()) return status;
    return std::unique_ptr<VideoReader>(std::move(capture));
  }
};

}  // namespace
}  // namespace ddnn

extern "C" ddnn::PictureLibrary* DdnnPictureLibrary() {
  static ddnn::OpenCv* const library = new ddnn::OpenCv;
  return library;
}

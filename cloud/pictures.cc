#include "cloud/pictures.h"

#include <filesystem>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

absl::Status CheckChannels(const Shape& shape) {
  if (shape.channels == 1 || shape.channels == 3) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("views of ", ToString(shape), " are no pictures; expected 1 or 3 channels"));
}

}  // namespace

absl::StatusOr<std::string> LoadPicture(const std::string& path, const Shape& shape) {
  absl::Status channels = CheckChannels(shape);
  if (!channels.ok()) return channels;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return absl::NotFoundError(absl::StrCat(path, ": no such file"));
  }
  try {
    cv::Mat picture =
        cv::imread(path, shape.channels == 1 ? cv::IMREAD_GRAYSCALE : cv::IMREAD_COLOR);
    if (picture.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": not a picture; expected PNG or JPEG"));
    }
    if (picture.rows != shape.height || picture.cols != shape.width) {
      cv::resize(picture, picture, cv::Size(shape.width, shape.height), 0, 0, cv::INTER_AREA);
    }
    std::string pixels;
    pixels.reserve(static_cast<size_t>(shape.size()));
    for (int c = 0; c < shape.channels; ++c) {
      cv::Mat plane;
      cv::extractChannel(picture, plane, shape.channels - 1 - c);  // OpenCV has BGR
      for (int y = 0; y < shape.height; ++y) {
        pixels.append(reinterpret_cast<const char*>(plane.ptr(y)), shape.width);
      }
    }
    return pixels;
  } catch (const cv::Exception& failure) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", failure.err));
  }
}

absl::Status SavePicture(const std::string& path, const Shape& shape, const std::string& pixels) {
  absl::Status channels = CheckChannels(shape);
  if (!channels.ok()) return channels;
  if (pixels.size() != static_cast<size_t>(shape.size())) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", pixels.size(),
                                                   " bytes of pixels; expected ", shape.size(),
                                                   " (", ToString(shape), ")"));
  }
  try {
    std::vector<cv::Mat> planes;
    const size_t plane_bytes = static_cast<size_t>(shape.height) * shape.width;
    for (int c = shape.channels - 1; c >= 0; --c) {
      planes.emplace_back(shape.height, shape.width, CV_8UC1,
                          const_cast<char*>(pixels.data() + c * plane_bytes));
    }
    cv::Mat picture;
    cv::merge(planes, picture);
    if (!cv::imwrite(path, picture)) {
      return absl::PermissionDeniedError(absl::StrCat(path, ": cannot be written"));
    }
    return absl::OkStatus();
  } catch (const cv::Exception& failure) {
    return absl::InternalError(absl::StrCat(path, ": ", failure.err));
  }
}

}  // namespace ddnn

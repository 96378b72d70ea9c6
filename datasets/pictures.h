#ifndef DDNN_DATASETS_PICTURES_H_
#define DDNN_DATASETS_PICTURES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/network_plan.h"

namespace ddnn {

/// Everything here that decodes or encodes takes OpenCV, which is loaded on the first such call:
/// it costs some 60 MB and 0.1 s. UNAVAILABLE says what is missing where it cannot be loaded.

/// Whether the name ends in .png, .jpg or .jpeg, in any case.
bool IsPictureName(const std::string& path);

/// Size of a PNG or JPEG file in pixels, out of its header; channels is 1 for grey and 3 otherwise.
/// Errors as of ReadPicture.
absl::StatusOr<Shape> ReadPictureShape(const std::string& path);

/// Decodes a PNG or JPEG file, resizes it (area) to `shape` and gives it as [C, H, W]: 1 channel
/// grey, 3 channels RGB. INVALID_ARGUMENT names the file if it is empty, cut short, damaged,
/// neither PNG nor JPEG, or larger than 64 million pixels (found before it is decoded).
/// Safe to call from several threads.
absl::StatusOr<std::string> ReadPicture(const std::string& path, const Shape& shape);

/// Writes [C, H, W] pixels (1 channel grey, 3 channels RGB) as PNG.
absl::Status WritePicture(const std::string& path, const std::string& pixels, const Shape& shape);

/// Pictures out of a video file or a camera. Not safe to call from several threads.
class VideoReader {
 public:
  /// INVALID_ARGUMENT or NOT_FOUND names the file and why it cannot be played.
  static absl::StatusOr<std::unique_ptr<VideoReader>> OpenFile(const std::string& path,
                                                               const Shape& shape);
  /// /dev/video<number>; UNAVAILABLE if it cannot be opened.
  static absl::StatusOr<std::unique_ptr<VideoReader>> OpenCamera(int number, const Shape& shape);
  virtual ~VideoReader() = default;

  /// The next picture as ReadPicture gives it; OUT_OF_RANGE at the end.
  virtual absl::StatusOr<std::string> Next() = 0;
};

}  // namespace ddnn

#endif  // DDNN_DATASETS_PICTURES_H_

#ifndef DDNN_DATASETS_PICTURES_H_
#define DDNN_DATASETS_PICTURES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datasets/framing.h"
#include "models/network_plan.h"

namespace ddnn {

/// Everything here that decodes or encodes takes OpenCV, which is loaded on the first such call:
/// it costs some 60 MB and 0.1 s. UNAVAILABLE says what is missing where it cannot be loaded.

/// Whether the name ends in .png, .jpg or .jpeg, in any case.
bool IsPictureName(const std::string& path);

/// Size of a PNG or JPEG file in pixels, out of its header; channels is 1 for grey and 3 otherwise.
/// Errors as of ReadPicture.
absl::StatusOr<Shape> ReadPictureShape(const std::string& path);

/// Decodes a PNG or JPEG file, resizes it (area) to `shape`, framed as `framing` says, and gives it
/// as [C, H, W]: 1 channel grey, 3 channels RGB. INVALID_ARGUMENT names the file if it is empty,
/// cut short, damaged, neither PNG nor JPEG, smaller than the framing's rectangle, or larger than
/// 64 million pixels (found before it is decoded). Safe to call from several threads.
absl::StatusOr<std::string> ReadPicture(const std::string& path, const Shape& shape,
                                        const Framing& framing = {});

/// INVALID_ARGUMENT if pictures cannot become `shape`: it must have 1 or 3 channels.
absl::Status CheckPictureShape(const Shape& shape);

/// Writes [C, H, W] pixels (1 channel grey, 3 channels RGB) as PNG.
absl::Status WritePicture(const std::string& path, const std::string& pixels, const Shape& shape);

}  // namespace ddnn

#endif  // DDNN_DATASETS_PICTURES_H_

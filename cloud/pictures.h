#ifndef DDNN_CLOUD_PICTURES_H_
#define DDNN_CLOUD_PICTURES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/network_plan.h"

namespace ddnn {

/// Reads a PNG or JPEG as a device's frame source does: 1 channel grey, 3 channels RGB, resized by
/// area to `shape`. Gives [C, H, W], 8 bit. Errors name the file.
absl::StatusOr<std::string> LoadPicture(const std::string& path, const Shape& shape);

/// Writes [C, H, W] as a PNG, without loss. INVALID_ARGUMENT for channels other than 1 and 3.
absl::Status SavePicture(const std::string& path, const Shape& shape, const std::string& pixels);

}  // namespace ddnn

#endif  // DDNN_CLOUD_PICTURES_H_

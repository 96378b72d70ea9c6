#ifndef DDNN_DATASETS_WATCHED_FOLDER_H_
#define DDNN_DATASETS_WATCHED_FOLDER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "datasets/framing.h"
#include "datasets/video_reader.h"
#include "models/network_plan.h"

namespace ddnn {

/// A folder as a camera: each .png, .jpg or .jpeg that is moved into it, or written and closed, is
/// a picture. What was there before is none. Grab ends with UNAVAILABLE when the folder is moved or
/// removed. UNAVAILABLE: it is no folder, or cannot be watched.
absl::StatusOr<std::unique_ptr<VideoReader>> WatchFolder(const std::string& path,
                                                         const Shape& shape,
                                                         const Framing& framing);

}  // namespace ddnn

#endif  // DDNN_DATASETS_WATCHED_FOLDER_H_

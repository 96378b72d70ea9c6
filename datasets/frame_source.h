#ifndef DDNN_DATASETS_FRAME_SOURCE_H_
#define DDNN_DATASETS_FRAME_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "models/network_plan.h"

namespace ddnn {

/// One picture of one view.
struct Frame {
  uint64_t sequence = 0;
  bool absent = false;  ///< this view does not see the sample; pixels are empty
  std::string pixels;   ///< [C, H, W], 8 bit
};

/// Where a device gets its pictures from. Not safe to call from several threads.
class FrameSource {
 public:
  virtual ~FrameSource() = default;
  /// The next frame; OUT_OF_RANGE at the end of the source, UNAVAILABLE when a camera stops.
  /// Blocks while a camera exposes; everything else returns at once.
  virtual absl::StatusOr<Frame> Next() = 0;
  /// Frames come in their own time and must be dropped when nobody can take them.
  virtual bool live() const = 0;
};

/// Opens a source for one view:
///   any dataset spec (datasets/dataset.h): view `view` of its test split, in order
///   images:DIR      every .png and .jpg of a folder, by name
///   video:FILE      through OpenCV
///   camera:N        /dev/videoN through OpenCV
/// Pictures are resized (area) and converted to `shape` (1 channel: grey, 3: RGB).
/// Datasets must have `shape` and more than `view` views: INVALID_ARGUMENT says both.
absl::StatusOr<std::unique_ptr<FrameSource>> OpenFrameSource(const std::string& spec, int view,
                                                             const Shape& shape);

}  // namespace ddnn

#endif  // DDNN_DATASETS_FRAME_SOURCE_H_

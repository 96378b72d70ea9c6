#ifndef DDNN_DATASETS_FRAME_SOURCE_H_
#define DDNN_DATASETS_FRAME_SOURCE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "datasets/framing.h"
#include "models/network_plan.h"

namespace ddnn {

/// One picture of one view.
struct Frame {
  uint64_t sequence = 0;
  bool absent = false;  ///< this view does not see the sample; pixels are empty
  std::string pixels;   ///< [C, H, W], 8 bit
};

/// What became of a live source's pictures and periods (datasets/frame_clock.h).
/// captured = named + all dropped, and the periods that passed are named + all absent + skipped.
struct FrameCounts {
  uint64_t captured = 0;                    ///< pictures that the camera gave
  uint64_t named = 0;                       ///< of those, frames that were offered
  uint64_t skipped = 0;                     ///< periods that nobody was told of
  uint64_t losses = 0;                      ///< times that the camera went
  std::map<std::string, uint64_t> dropped;  ///< pictures, by reason
  std::map<std::string, uint64_t> absent;   ///< periods, by reason
};

/// Where a device gets its pictures from. Not safe to call from several threads.
class FrameSource {
 public:
  virtual ~FrameSource() = default;
  /// The next frame; OUT_OF_RANGE at the end of the source. A live source waits until one is due,
  /// everything else returns at once.
  virtual absl::StatusOr<Frame> Next() = 0;
  /// Frames come in their own time, are named by the clock (datasets/frame_clock.h) and must be
  /// dropped when nobody can take them.
  virtual bool live() const = 0;
  /// A live source's Next ends with CANCELLED, now and later, and nothing is counted any more. From
  /// any thread.
  virtual void Stop() {}
  /// Of a live source. From any thread.
  virtual FrameCounts counts() const { return {}; }
};

struct SourceOptions {
  /// Of a live source: periods per second, at most 1000; 0: kLiveRate.
  double rate = 0;
  Framing framing;
  /// Hears a line when a camera goes and when it is back. From a thread of the source; may be null.
  std::function<void(const std::string&)> say;
};

inline constexpr double kLiveRate = 10;

/// Opens a source for one view:
///   any dataset spec (datasets/dataset.h): view `view` of its test split, in order
///   images:DIR            every .png and .jpg of a folder, by name
///   video:FILE            from its begin to its end
/// and, live:
///   camera:N, camera:/dev/NAME   a V4L2 camera
///   rtsp://..., http://...       what FFmpeg plays; rtsps and https as well
///   video:FILE?live=true         at its own speed, again and again: a video as a camera
///   watch:DIR                    every .png and .jpg that is newly written or moved there
/// Pictures are framed, resized (area) and converted to `shape` (1 channel: grey, 3: RGB).
///
/// Live sources are opened by a thread of their own and need not be there yet. INVALID_ARGUMENT: a
/// spec that can never work; a dataset that does not have `shape` and more than `view` views, or
/// with a framing. UNAVAILABLE: OpenCV cannot be loaded.
absl::StatusOr<std::unique_ptr<FrameSource>> OpenFrameSource(const std::string& spec, int view,
                                                             const Shape& shape,
                                                             const SourceOptions& options = {});

}  // namespace ddnn

#endif  // DDNN_DATASETS_FRAME_SOURCE_H_

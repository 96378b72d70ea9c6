#ifndef DDNN_DATASETS_VIDEO_READER_H_
#define DDNN_DATASETS_VIDEO_READER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datasets/framing.h"
#include "models/network_plan.h"

namespace ddnn {

/// Where a video's pictures come from and what they become.
struct VideoRequest {
  enum class Kind {
    kFile,    ///< a video file
    kCamera,  ///< a V4L2 device file
    kUrl,     ///< rtsp, rtsps, http or https
  };

  Kind kind = Kind::kFile;
  std::string address;  ///< path or URL
  std::string shown;    ///< the same for logs and errors; Open fills it in: ShownUrl(address)
  Shape shape;
  Framing framing;
};

/// Pictures one after the other: a video file, a camera, a folder that is watched. In two steps,
/// because a picture that nobody wants need not be decoded. Not safe to call from several threads,
/// but for Interrupt.
class VideoReader {
 public:
  /// Through OpenCV. UNAVAILABLE: there is no such camera or server now, or OpenCV cannot be loaded
  /// (which LoadPictureLibrary tells first). NOT_FOUND: no such file. INVALID_ARGUMENT: the file
  /// cannot be played, or the shape has neither 1 nor 3 channels. All name the address, without the
  /// password that a URL may have.
  static absl::StatusOr<std::unique_ptr<VideoReader>> Open(const VideoRequest& request);

  virtual ~VideoReader() = default;

  /// Waits for the next picture. OUT_OF_RANGE at the end of a file; UNAVAILABLE when a camera, a
  /// server or a folder is gone. A server that is silent is gone after kVideoTimeoutMs, one that
  /// claims more than kMaxPicturePixels at once.
  virtual absl::Status Grab() = 0;
  /// The picture that was grabbed last, [C, H, W] of the request's shape. DATA_LOSS: this one
  /// cannot be read, the next may. INVALID_ARGUMENT: it never will (--roi lies outside of it).
  virtual absl::StatusOr<std::string> Retrieve() = 0;
  /// Pictures per second that a file shall be played with; 0: it does not say.
  virtual double rate() const { return 0; }
  /// Ends a Grab that waits, and all later ones, with CANCELLED, where that is possible. From any
  /// thread.
  virtual void Interrupt() {}
};

/// For how long a server may take to be reached, and be silent then.
inline constexpr int kVideoTimeoutMs = 5000;

/// Of a picture, at most: width times height.
inline constexpr int64_t kMaxPicturePixels = int64_t{64} << 20;

/// The URL as it may be shown: a password in it is replaced by "***".
std::string ShownUrl(const std::string& url);

}  // namespace ddnn

#endif  // DDNN_DATASETS_VIDEO_READER_H_

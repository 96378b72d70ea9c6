#ifndef DDNN_DATASETS_PICTURE_LIBRARY_H_
#define DDNN_DATASETS_PICTURE_LIBRARY_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datasets/framing.h"
#include "datasets/video_reader.h"
#include "models/network_plan.h"

namespace ddnn {

/// What is done with OpenCV, in a shared library of its own, libddnn-opencv.so: a device whose
/// pictures come from elsewhere never loads it. Arguments are checked by the caller (pictures.cc,
/// video_reader.cc).
/// Safe to call from several threads.
class PictureLibrary {
 public:
  virtual ~PictureLibrary() = default;
  /// \param bytes  a PNG or JPEG file; `path` is for errors
  virtual absl::StatusOr<std::string> Decode(const std::string& path, const std::string& bytes,
                                             const Shape& shape, const Framing& framing) = 0;
  virtual absl::Status Write(const std::string& path, const std::string& pixels,
                             const Shape& shape) = 0;
  virtual absl::StatusOr<std::unique_ptr<VideoReader>> OpenVideo(const VideoRequest& request) = 0;
};

/// Loads the library the first time, from ../lib/ddnn beside the program's folder; it stays loaded.
/// UNAVAILABLE when it, or something that it needs, is not there. Safe to call from several
/// threads.
absl::StatusOr<PictureLibrary*> LoadPictureLibrary();

}  // namespace ddnn

/// What the library exports.
extern "C" ddnn::PictureLibrary* DdnnPictureLibrary();

#endif  // DDNN_DATASETS_PICTURE_LIBRARY_H_

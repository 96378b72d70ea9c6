#ifndef DDNN_DATASETS_FRAMING_H_
#define DDNN_DATASETS_FRAMING_H_

#include <string>

#include "absl/status/statusor.h"
#include "models/network_plan.h"

namespace ddnn {

struct Rect {
  int x = 0;
  int y = 0;
  int width = 0;
  int height = 0;

  friend bool operator==(const Rect& a, const Rect& b) {
    return a.x == b.x && a.y == b.y && a.width == b.width && a.height == b.height;
  }
};

/// Which part of a camera's picture a view shows, and how that fills the network's shape.
struct Framing {
  enum class Resize {
    kStretch,  ///< all of it, distorted where the proportions differ
    kFit,      ///< all of it in its own proportions, black beside or above and below
    kCrop,     ///< its middle, as much as has the network's proportions
  };

  Rect roi;  ///< pixels of the camera's picture; width 0: the whole picture
  Resize resize = Resize::kStretch;

  bool is_default() const { return roi.width == 0 && resize == Resize::kStretch; }
};

/// \param roi     "X,Y,WIDTH,HEIGHT", or empty for the whole picture.
/// \param resize  "stretch", "fit" or "crop"; empty is "stretch".
/// \return        INVALID_ARGUMENT naming --roi or --resize, what was found and what was expected.
absl::StatusOr<Framing> ParseFraming(const std::string& roi, const std::string& resize);

/// The pixels of the picture that are shown, and where in the view they go; the rest is black.
struct Placement {
  Rect from;
  Rect to;
};

/// Both rectangles lie inside of picture and view, and have an area.
///
/// \param width, height  of the picture, pixels, at least 1.
/// \return               INVALID_ARGUMENT naming both sizes when --roi does not lie in the picture.
absl::StatusOr<Placement> Place(const Framing& framing, int width, int height, const Shape& shape);

}  // namespace ddnn

#endif  // DDNN_DATASETS_FRAMING_H_

#include "datasets/framing.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace ddnn {
namespace {

absl::StatusOr<Rect> ParseRoi(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ',');
  int numbers[4] = {};
  bool good = parts.size() == 4;
  for (size_t i = 0; good && i < 4; ++i) {
    good = absl::SimpleAtoi(parts[i], &numbers[i]) && numbers[i] >= (i < 2 ? 0 : 1);
  }
  if (good) return Rect{numbers[0], numbers[1], numbers[2], numbers[3]};
  return absl::InvalidArgumentError(absl::StrCat(
      "--roi: \"", text, "\", expected X,Y,WIDTH,HEIGHT in pixels, such as 0,120,640,240"));
}

// `length` times `part` over `whole`, rounded; from 1 to `most`.
int Scaled(int length, int part, int whole, int most) {
  const int64_t rounded = (int64_t{2} * length * part + whole) / (int64_t{2} * whole);
  return static_cast<int>(std::clamp<int64_t>(rounded, 1, most));
}

// The largest rectangle of these proportions in the middle of `outer`.
Rect Middle(const Rect& outer, int width, int height) {
  Rect inner = outer;
  // Wider than the proportions asked for: it keeps its height.
  if (int64_t{1} * outer.width * height > int64_t{1} * width * outer.height) {
    inner.width = Scaled(outer.height, width, height, outer.width);
  } else {
    inner.height = Scaled(outer.width, height, width, outer.height);
  }
  inner.x += (outer.width - inner.width) / 2;
  inner.y += (outer.height - inner.height) / 2;
  return inner;
}

}  // namespace

absl::StatusOr<Framing> ParseFraming(const std::string& roi, const std::string& resize) {
  Framing framing;
  if (!roi.empty()) {
    absl::StatusOr<Rect> parsed = ParseRoi(roi);
    if (!parsed.ok()) return parsed.status();
    framing.roi = *parsed;
  }
  if (resize.empty() || resize == "stretch") {
    framing.resize = Framing::Resize::kStretch;
  } else if (resize == "fit") {
    framing.resize = Framing::Resize::kFit;
  } else if (resize == "crop") {
    framing.resize = Framing::Resize::kCrop;
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("--resize: \"", resize, "\", expected stretch, fit or crop"));
  }
  return framing;
}

absl::StatusOr<Placement> Place(const Framing& framing, int width, int height, const Shape& shape) {
  Placement place;
  place.from = framing.roi.width == 0 ? Rect{0, 0, width, height} : framing.roi;
  const Rect& roi = place.from;
  // In 64 bits: the numbers are the user's.
  if (int64_t{roi.x} + roi.width > width || int64_t{roi.y} + roi.height > height) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--roi ", roi.x, ",", roi.y, ",", roi.width, ",", roi.height,
        " does not lie in the picture, which is ", width, "x", height, " pixels (width x height)"));
  }
  place.to = {0, 0, shape.width, shape.height};
  if (framing.resize == Framing::Resize::kFit) {
    place.to = Middle(place.to, roi.width, roi.height);
  } else if (framing.resize == Framing::Resize::kCrop) {
    place.from = Middle(place.from, shape.width, shape.height);
  }
  return place;
}

}  // namespace ddnn

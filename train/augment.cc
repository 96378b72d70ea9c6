#include "train/augment.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "train/draw.h"

namespace ddnn::train {
namespace {

// Which draw of a view's generator decides what.
enum Index { kFlip, kShiftX, kShiftY, kCrop, kCropX, kCropY, kBrightness, kEraseX, kEraseY };

// Where the pixels of one row or column come from: a mix of two, in 256ths. They count from the
// frame of one pixel that is put around the picture.
struct Source {
  int first, second, weight;  // of the second
};

std::vector<Source> Sources(int size, double crop, double place, int shift, bool flip) {
  std::vector<Source> sources(size);
  const double begin = place * size * (1 - crop);
  for (int i = 0; i < size; ++i) {
    const int to = (flip ? size - 1 - i : i) - shift;
    int at = static_cast<int>(std::lround(256 * (begin + (to + 0.5) * crop - 0.5)));
    // The outer halves of the outermost pixels are the picture's too: no frame shines through.
    if (at >= -128 && at < 256 * size - 128) at = std::clamp(at, 0, 256 * (size - 1));
    const int pixel = (at - (at & 255)) / 256;
    sources[i] = {std::clamp(pixel, -1, size) + 1, std::clamp(pixel + 1, -1, size) + 1, at & 255};
  }
  return sources;
}

// A plane [H, W] within a frame of one pixel.
std::vector<uint8_t> Framed(const PictureChange& change, const Shape& shape, const uint8_t* plane) {
  const uint8_t fill = static_cast<uint8_t>(change.fill);
  std::vector<uint8_t> framed;
  framed.reserve((shape.height + 2) * (shape.width + 2));
  for (int y = -1; y <= shape.height; ++y) {
    const uint8_t* row = plane + std::clamp(y, 0, shape.height - 1) * shape.width;
    const bool outside = !change.repeat_border && (y < 0 || y == shape.height);
    const auto edge = [&](int x) { return change.repeat_border ? row[x] : fill; };
    framed.push_back(edge(0));
    if (outside) framed.insert(framed.end(), shape.width, fill);
    if (!outside) framed.insert(framed.end(), row, row + shape.width);
    framed.push_back(edge(shape.width - 1));
  }
  return framed;
}

void Move(const PictureChange& change, const Shape& shape, uint8_t* pixels) {
  const std::vector<Source> columns =
      Sources(shape.width, change.crop, change.crop_x, change.shift_x, change.flip);
  const std::vector<Source> rows =
      Sources(shape.height, change.crop, change.crop_y, change.shift_y, false);
  for (int c = 0; c < shape.channels; ++c) {
    const std::vector<uint8_t> plane = Framed(change, shape, pixels);
    for (const Source& row : rows) {
      const uint8_t* first = plane.data() + row.first * (shape.width + 2);
      const uint8_t* second = plane.data() + row.second * (shape.width + 2);
      for (const Source& column : columns) {
        const int upper =
            first[column.first] * (256 - column.weight) + first[column.second] * column.weight;
        const int lower =
            second[column.first] * (256 - column.weight) + second[column.second] * column.weight;
        *pixels++ = static_cast<uint8_t>(
            (upper * (256 - row.weight) + lower * row.weight + (1 << 15)) >> 16);
      }
    }
  }
}

void Erase(const PictureChange& change, const Shape& shape, uint8_t* pixels) {
  const auto span = [&](double middle, int size) {
    const int begin = static_cast<int>(std::lround(middle * size - 0.5 * change.erase));
    return std::pair(std::clamp(begin, 0, size), std::clamp(begin + change.erase, 0, size));
  };
  const auto [left, right] = span(change.erase_x, shape.width);
  const auto [top, bottom] = span(change.erase_y, shape.height);
  for (int c = 0; c < shape.channels; ++c) {
    for (int y = top; y < bottom; ++y) {
      uint8_t* row = pixels + (c * shape.height + y) * shape.width;
      std::fill(row + left, row + right, static_cast<uint8_t>(change.fill));
    }
  }
}

}  // namespace

PictureChange DrawChange(const v1::Augmentation& bounds, const CounterRng& random) {
  const auto pixels = [&](Index index) {
    const int shift = bounds.shift();
    return static_cast<int>(random.Uniform(index) * (2 * shift + 1)) - shift;
  };
  PictureChange change;
  change.flip = random.Uniform(kFlip) < bounds.flip();
  change.shift_x = pixels(kShiftX);
  change.shift_y = pixels(kShiftY);
  change.crop = 1 - bounds.crop() * random.Uniform(kCrop);
  change.crop_x = random.Uniform(kCropX);
  change.crop_y = random.Uniform(kCropY);
  change.brightness = 1 + bounds.brightness() * random.Symmetric(kBrightness);
  change.erase = bounds.erase();
  change.erase_x = random.Uniform(kEraseX);
  change.erase_y = random.Uniform(kEraseY);
  change.repeat_border = bounds.repeat_border();
  return change;
}

void ChangePicture(const PictureChange& change, const Shape& shape, uint8_t* pixels) {
  const int factor = static_cast<int>(std::lround(256 * change.brightness));
  for (int i = 0; factor != 256 && i < shape.size(); ++i) {
    pixels[i] = static_cast<uint8_t>(std::min(255, (pixels[i] * factor + 128) >> 8));
  }
  // Behind it, so that what comes in has the pixel it is said to have.
  if (change.flip || change.shift_x != 0 || change.shift_y != 0 || change.crop != 1) {
    Move(change, shape, pixels);
  }
  if (change.erase > 0) Erase(change, shape, pixels);
}

Augmenter::Augmenter(const NetworkPlan& plan)
    : shape_(plan.view_shape()), fill_(plan.spec().input().offset()) {
  const auto& entries = plan.spec().training().augmentation();
  if (entries.empty()) return;
  bounds_.resize(plan.views());
  for (const v1::Augmentation& entry : entries) {
    if (entry.view_size() == 0) std::fill(bounds_.begin(), bounds_.end(), entry);
    for (int view : entry.view()) bounds_[view] = entry;
  }
}

void Augmenter::Apply(uint64_t seed, int epoch, int64_t sample, uint64_t presence,
                      uint8_t* pixels) const {
  for (size_t v = 0; v < bounds_.size(); ++v) {
    if (!(presence >> v & 1)) continue;
    const CounterRng random({seed, static_cast<uint64_t>(Draw::kAugmentation),
                             static_cast<uint64_t>(epoch), static_cast<uint64_t>(sample), v});
    PictureChange change = DrawChange(bounds_[v], random);
    change.fill = fill_;
    ChangePicture(change, shape_, pixels + v * shape_.size());
  }
}

}  // namespace ddnn::train

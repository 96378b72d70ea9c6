#ifndef DDNN_TRAIN_AUGMENT_H_
#define DDNN_TRAIN_AUGMENT_H_

#include <cstdint>
#include <vector>

#include "datasets/counter_rng.h"
#include "models/network_plan.h"

namespace ddnn::train {

/// One way to change a picture. The default changes nothing.
struct PictureChange {
  bool flip = false;                ///< left and right change places
  int shift_x = 0, shift_y = 0;     ///< pixels to the right and down
  double crop = 1;                  ///< side of the window that is enlarged to the whole, of 1
  double crop_x = 0, crop_y = 0;    ///< its place, 0 left or top, 1 right or bottom
  double brightness = 1;            ///< pixels are multiplied by it
  int erase = 0;                    ///< side of a square that is filled; parts may lie outside
  double erase_x = 0, erase_y = 0;  ///< its middle, 0 left or top, 1 right or bottom
  int fill = 0;                     ///< the pixel of the square, and of what comes in from outside
  bool repeat_border = false;       ///< what comes in from outside is the nearest pixel instead
};

/// Draws within the bounds of a checked spec; a function of its arguments alone.
PictureChange DrawChange(const v1::Augmentation& bounds, const CounterRng& random);

/// Changes a picture [C, H, W] in place: brightness, crop, shift, flip, and the square is filled
/// last. Without a crop every pixel is a copy of one; with one it is interpolated, in integers: the
/// same on every machine.
void ChangePicture(const PictureChange& change, const Shape& shape, uint8_t* pixels);

/// training.augmentation of a network, view by view.
class Augmenter {
 public:
  explicit Augmenter(const NetworkPlan& plan);

  /// Changes the views in `presence` of a sample [V, C, H, W]; each view by a draw of its own that
  /// depends on the arguments alone. Safe to call from several threads.
  void Apply(uint64_t seed, int epoch, int64_t sample, uint64_t presence, uint8_t* pixels) const;

 private:
  Shape shape_;
  int fill_;                              // the pixel that is 0 to the network
  std::vector<v1::Augmentation> bounds_;  // by view; empty: nothing is to be done
};

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_AUGMENT_H_

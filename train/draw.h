#ifndef DDNN_TRAIN_DRAW_H_
#define DDNN_TRAIN_DRAW_H_

#include <cstdint>

namespace ddnn::train {

/// What each use of the seed adds to it, so that no two draw the same numbers.
enum class Draw : uint64_t { kOrder = 1, kHiddenViews = 2, kStep = 3, kAugmentation = 4 };

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_DRAW_H_

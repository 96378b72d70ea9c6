#ifndef DDNN_TRAIN_PICTURE_URI_H_
#define DDNN_TRAIN_PICTURE_URI_H_

#include <cstdint>
#include <string>

namespace ddnn::train {

/// A picture as a PNG in a data URI, for pages that need no other file.
///
/// \param pixels  [C, H, W], C = 1 (grey) or 3 (RGB); of others the first is shown as grey. Sides
///                above 96 are thinned out.
std::string PictureUri(const uint8_t* pixels, int channels, int height, int width);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_PICTURE_URI_H_

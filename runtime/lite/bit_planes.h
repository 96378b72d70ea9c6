#ifndef DDNN_RUNTIME_LITE_BIT_PLANES_H_
#define DDNN_RUNTIME_LITE_BIT_PLANES_H_

#include <cstddef>
#include <cstdint>

namespace ddnn {
namespace lite {

/// Bits of a picture are held in two orders: as planes, [C, H * W], what travels and what a flat
/// layer reads; and as pixels, [H * W, words], a pixel's channels in words of its own, what a
/// convolution reads. These turn one into the other; `words` is (channels + 63) / 64, and what a
/// pixel's last word has to spare is 0.

/// \param planes  bit i of channel c is bit c * stride + i
/// \param size    bits of a plane
void PlanesToPixels(const uint64_t* planes, size_t stride, size_t channels, size_t size,
                    uint64_t* pixels);

/// \param planes  bit i of channel c becomes bit c * size + i; spare bits of the last word are 0
void PixelsToPlanes(const uint64_t* pixels, size_t channels, size_t size, uint64_t* planes);

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_BIT_PLANES_H_

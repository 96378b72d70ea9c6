#ifndef DDNN_TRAIN_CONV_PLANES_H_
#define DDNN_TRAIN_CONV_PLANES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "train/conv_block.h"

namespace ddnn::train {

/// Where everything lies in the planes of one node and sample, in floats. What is loaded or stored
/// again and again begins at multiples of kAlign, if the plane's memory does.
struct PlaneGeometry {
  static constexpr int64_t kAlign = 16;

  PlaneGeometry(const ConvBlockShape& shape, int64_t batch, int64_t height, int64_t width);

  ConvBlockShape s;
  int64_t batch, height, width;
  int64_t pitch, conv_height, conv_width, length;
  int64_t in_plane;    ///< padded input
  int64_t window;      ///< before the first window of the pool
  int64_t border;      ///< before the convolution's result: that and the pool's padding
  int64_t conv_plane;  ///< the convolution's result, with it
  int64_t lead;        ///< zeros before a gradient, so that it can be convolved back
  int64_t dy_plane;
  int64_t out_height, out_width, out_area;
  int64_t fours, taps;  ///< filters in fours; weights of one filter
  int64_t out_channels() const { return s.groups * s.filters; }
};

/// Floats that begin at a cache line.
class AlignedFloats {
 public:
  AlignedFloats(int64_t size, float value);
  float* data() { return begin_; }
  int64_t size() const { return size_; }

 private:
  std::vector<float> memory_;
  int64_t size_;
  float* begin_;
};

/// The planes of one node and sample, which stay in the cache.
struct ConvScratch {
  explicit ConvScratch(const PlaneGeometry& g);
  AlignedFloats in, conv, row;
};

/// Signs of the weights as PlaneKernels::convolve takes them: [G][F / 4][C][K][K][4].
std::vector<float> ForwardWeights(const PlaneGeometry& g, const float* weight);
/// The same turned around, filters and channels exchanged: [G][C / 4][F][K][K][4].
std::vector<float> BackwardWeights(const PlaneGeometry& g, const float* weight);

/// Copies one node's channels of one sample between the padding, which stays zero. Pixels, uint8,
/// are put into the network's units.
void CopyPadded(const PlaneGeometry& g, const at::Tensor& x, int64_t sample, int64_t group,
                float* planes);

/// The convolution's result for one node and sample, pooled.
/// \param where  which of a window's places is the largest; null without a pool
void ConvolveAndPool(const PlaneGeometry& g, const float* weights, ConvScratch* scratch,
                     float* pooled, uint8_t* where);

/// Gradients of one node and sample, from behind the pool to the convolution's place; zeros
/// between.
void Unpool(const PlaneGeometry& g, const float* dpooled, const uint8_t* where, float* planes);

/// Gradient of one node's input, from what Unpool made.
/// \param scratch  as in_planes; left undefined
void ConvolveBack(const PlaneGeometry& g, const std::vector<float>& weights, int64_t group,
                  const float* planes, float* scratch, float* to);

/// Sums of all chunks, in order, and of vector lanes, where the straight-through estimator lets
/// them pass.
void ReduceWeightGradient(const PlaneGeometry& g, const std::vector<std::vector<float>>& sums,
                          const float* weight, float* out);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_CONV_PLANES_H_

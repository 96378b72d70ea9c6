#ifndef DDNN_TRAIN_PLANE_KERNELS_H_
#define DDNN_TRAIN_PLANE_KERNELS_H_

#include <cstdint>

namespace ddnn::train {

/// What follows batch norm within one operation.
enum class Activation { kNone, kSign, kRelu };

/// y = (x - shift) * scale + bias, then the activation; and what backward needs besides.
struct NormTerms {
  float shift, scale, bias;
  Activation activation;
};

/// The same for rows of one value per channel.
struct RowNorm {
  const float *shift, *scale, *bias;
  Activation activation;
};

/// dx = factor * (g - offset - (x - shift) * slope), per channel.
struct RowSlope {
  const float *factor, *offset, *slope;
};

/// One step of Adam: see adam.h.
struct AdamTerms {
  float keep;                       ///< of the value: 1 - rate * decay
  float first_kept, first_added;    ///< of the first moment and of the gradient
  float second_kept, second_added;  ///< of the second moment and of its square
  float rate, inverse_root_share;   ///< corrected for the moments' start at 0
  float epsilon;
  bool binary;  ///< back into [-1, 1]
};

/// The inner loops of training in the widest vectors of this processor.
///
/// A plane is one channel of one sample, its rows `pitch` floats apart with the padding between
/// them, and a convolution is computed over the whole plane at once, as if it were one long row:
/// values between the rows are computed too and mean nothing. Filters come in fours. Every plane
/// has kSlack floats behind its end that may be read and written.
struct PlaneKernels {
  static constexpr int64_t kSlack = 32;
  static constexpr int kFilters = 4;

  const char* name;
  int lanes;  ///< floats in a vector

  /// Rows of `width`, `from_pitch` and `to_pitch` floats apart; nothing between them is written.
  void (*copy_rows)(const float* from, int64_t from_pitch, int64_t height, int64_t width, float* to,
                    int64_t to_pitch);

  /// to = (from - offset) * scale, of pixels without gaps.
  void (*copy_pixels)(const uint8_t* from, int64_t height, int64_t width, float offset, float scale,
                      float* to, int64_t to_pitch);

  /// out[f][p] = sum over c, ky, kx of w[f][c][ky][kx] * in[c][p + ky * pitch + kx], p < length.
  /// \param weights  [filters / 4, rounded up][channels][kernel][kernel][4]
  void (*convolve)(const float* in, int64_t in_plane, const float* weights, int64_t channels,
                   int64_t kernel, int64_t pitch, int64_t length, int64_t filters, float* out,
                   int64_t out_plane);

  /// sums[f][c][ky][kx] += sum over p of dy[f][p] * in[c][p + ky * pitch + kx]; dy is 0 between
  /// rows and in its slack, and its planes are filters rounded up to fours.
  /// \param sums  [filters / 4, rounded up][channels][kernel][kernel][4][lanes]
  void (*weight_gradient)(const float* in, int64_t in_plane, const float* dy, int64_t dy_plane,
                          int64_t channels, int64_t kernel, int64_t pitch, int64_t length,
                          int64_t filters, float* sums);

  /// out[i] = sum over chunks, in order, and then lanes of chunk[begin + i * lanes + lane]
  void (*sum_lanes)(const float* const* chunks, int64_t count, int64_t begin, int64_t size,
                    float* out);

  /// Largest value of each window and which of the window's places it is at, the first of equals.
  /// \param in   where the first window begins
  /// \param row  scratch, two floats for each of `pitch` + kSlack
  void (*max_pool)(const float* in, int64_t pitch, int64_t height, int64_t width, int64_t kernel,
                   int64_t stride, float* row, float* largest, uint8_t* where);

  /// Sum, and sum of squared distances from the mean.
  void (*moments)(const float* x, int64_t size, float* sum, float* squares);

  void (*normalise)(const float* x, int64_t size, const NormTerms& norm, float* y);

  /// sum of g and of g * (x - shift), g being dy behind the activation.
  void (*gradient_sums)(const float* x, const float* dy, int64_t size, const NormTerms& norm,
                        float* sum, float* moment);

  /// dx = factor * (g - offset - (x - shift) * slope)
  void (*gradient)(const float* x, const float* dy, int64_t size, const NormTerms& norm,
                   float factor, float offset, float slope, float* dx);

  /// out[o] = sum over i of w[o][i] * x[i]
  void (*dots)(const float* x, const float* w, int64_t inputs, int64_t outputs, float* out);

  /// dx[i] = sum over o of w[o][i] * dy[o]
  void (*combine)(const float* w, const float* dy, int64_t inputs, int64_t outputs, float* dx);

  /// dw[o][i] = sum over b of dy[b * dy_stride + o] * x[b * x_stride + i], begin <= i < end;
  /// row o of dw begins at dw + o * inputs.
  void (*outer)(const float* x, int64_t x_stride, const float* dy, int64_t dy_stride, int64_t batch,
                int64_t inputs, int64_t outputs, int64_t begin, int64_t end, float* dw);

  /// Moves `size` values and their moments by their gradients.
  /// \return  how many are on the other side of 0 now (0 itself counts as positive)
  int64_t (*adam)(const AdamTerms& terms, const float* gradient, int64_t size, float* value,
                  float* first, float* second);

  // Rows of `channels` values one behind the other: a sample of a channels-last tensor.

  /// sum[c] = sum over rows of x
  void (*row_sums)(const float* x, int64_t rows, int64_t channels, float* sum);

  /// sum[c] = sum over rows of the squared distance from centre[c]
  void (*row_squares)(const float* x, int64_t rows, int64_t channels, const float* centre,
                      float* sum);

  void (*normalise_rows)(const float* x, int64_t rows, int64_t channels, const RowNorm& norm,
                         float* y);

  /// Per channel what gradient_sums gives for a plane.
  void (*row_gradient_sums)(const float* x, const float* dy, int64_t rows, int64_t channels,
                            const RowNorm& norm, float* sum, float* moment);

  void (*row_gradient)(const float* x, const float* dy, int64_t rows, int64_t channels,
                       const RowNorm& norm, const RowSlope& slope, float* dx);

  /// to[c][r] = from[r][c]
  void (*transpose)(const float* from, int64_t rows, int64_t columns, float* to);

  /// bfloat16 to float, exactly, and back to the nearest, of two equally near ones the even.
  void (*widen)(const uint16_t* from, int64_t size, float* to);
  void (*narrow)(const float* from, int64_t size, uint16_t* to);
};

/// Those for this processor.
const PlaneKernels& Kernels();

/// Null where this build or this architecture has none.
const PlaneKernels* Avx512Kernels();
const PlaneKernels* Avx2Kernels();
/// Four floats a vector, for any processor.
const PlaneKernels* PortableKernels();

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_PLANE_KERNELS_H_

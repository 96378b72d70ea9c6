#ifndef DDNN_RUNTIME_LITE_BIT_KERNELS_H_
#define DDNN_RUNTIME_LITE_BIT_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ddnn {
namespace lite {

/// The inner loops of binary layers, in the best instructions that the processor has (SSE4, AVX2,
/// AVX-512 with VPOPCNTDQ, NEON; Highway chooses on the first call). All give the same integers.
/// Safe to call from several threads.

/// Weights and limits of binary filters are held for a multiple of this many.
constexpr size_t kFilterStep = 16;

/// Filters of a binary convolution over bits. Windows and weights are counted in halves of words,
/// 32 bits each, the low half first.
struct BitFilters {
  size_t halves;            ///< of a window
  const uint32_t* places;   ///< [halves]: where the window's halves are, from its first on
  size_t filters;           ///< a multiple of kFilterStep
  const uint32_t* weights;  ///< [halves, filters]
  const int32_t* limits;    ///< [classes of pixels, filters]; 0 for a bit that stays 0
};

/// Bit f of pixel p is 1 where the window's bits and filter f differ in fewer places than
/// limits[classes[p], f].
///
/// \param classes  [pixels]
/// \param first  the first window's first word; the next window begins `step` words further
/// \param out    [(filters + 63) / 64, plane], of which the first `pixels` of each row are written
/// Source: Rastegari et al., ECCV 2016 (arXiv 1603.05279): XNOR and popcount; the limit takes the
/// place of batch norm and sign.
void CompareDifferences(const BitFilters& filters, const uint64_t* first, size_t step,
                        const uint32_t* classes, size_t pixels, uint64_t* out, size_t plane);

/// In how many bits `a` and `b` differ.
uint64_t CountDifferences(const uint64_t* a, const uint64_t* b, size_t words);

/// How many bits are 1. What the machine can do at most: the other loops are measured against it.
uint64_t CountOnes(const uint64_t* a, size_t words);

/// Binary filters over values of 16 or 32 bits, as many as these have bits at most. A filter's sum
/// is that of in[i + place] over its places with weight +1 less that over those with -1.
template <typename T>
struct TapFilters {
  size_t filters;
  const uint32_t* places;  ///< of all filters: of each the ones with +1 first
  const uint32_t* ends;    ///< [filters, 2]: where the places with +1 end, and those with -1
  const T* above;          ///< [filters]
};

/// Bit f of out[i] is 1 where filter f's sum at i is more than above[f].
///
/// \param in     readable up to 63 values beyond the last place used
/// \param count  a multiple of 64
void CompareSums(const TapFilters<int16_t>& filters, const int16_t* in, size_t count,
                 uint16_t* out);
void CompareSums(const TapFilters<int32_t>& filters, const int32_t* in, size_t count,
                 uint32_t* out);

/// The instructions that are used: "AVX3_DL" (AVX-512 with VPOPCNTDQ), "NEON".
std::string KernelTarget();

/// False on an x86 processor without SSE4, where nothing of this may be called.
bool KernelsRunHere();

/// For tests and benchmarks: what this processor could use, the best first; and using it from now
/// on, in the whole process.
std::vector<std::string> KernelTargets();
void UseKernelTarget(const std::string& name);

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_BIT_KERNELS_H_

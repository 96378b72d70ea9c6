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

/// A word of a picture as CompareDifferences reads it: the low half, and above it a 1 for each bit
/// in which the halves differ.
inline uint64_t PairHalves(uint64_t word) { return word ^ word << 32; }

/// How many of those each word has.
///
/// \param words   [count], of PairHalves
/// \param paired  [count]
void CountPaired(const uint64_t* words, size_t count, int32_t* paired);

/// Filters of a binary convolution over bits. One popcount does for both halves of a word.
///
/// Let a word of the picture have the halves a and b, and a filter's c and d. Bit by bit, where a
/// and d are equal, a ^ c is c ^ d and b ^ d is a ^ b; where they are not, both are the opposite.
/// Either way
///
///     (a ^ c) + (b ^ d) = (c ^ d) - (a ^ b) + 2 * (a ^ d ? ~(c ^ d) : a ^ b)
///
/// of which the first term belongs to the filter and the second to the window.
struct BitFilters {
  size_t pairs;             ///< words of a window of which both halves are used; they come first
  size_t singles;           ///< words of which only the low half is used
  const uint32_t* places;   ///< [pairs + singles]: where they are, from a window's first on
  size_t filters;           ///< a multiple of kFilterStep
  const uint32_t* weights;  ///< [2 * pairs + singles, filters]: d, ~(c ^ d) of pairs; c of singles
  const int32_t* limits;    ///< [classes of pixels, filters]
};

/// Bit f of pixel p is 1 where the window's bits and filter f differ in fewer places than
/// limits[classes[p], f] plus the bits of c ^ d over the filter's pairs. It is 0 for a filter of
/// zeros whose limit is 0.
///
/// \param first    the first window's first word, PairHalves of it; the next window begins `step`
///                 words further
/// \param paired   CountPaired of the words from `first` on
/// \param classes  [pixels]
/// \param out      [(filters + 63) / 64, plane], of which each row's first `pixels` are written
/// Source: Rastegari et al., ECCV 2016 (arXiv 1603.05279): XNOR and popcount; the limit takes the
/// place of batch norm and sign.
void CompareDifferences(const BitFilters& filters, const uint64_t* first, const int32_t* paired,
                        size_t step, const uint32_t* classes, size_t pixels, uint64_t* out,
                        size_t plane);

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

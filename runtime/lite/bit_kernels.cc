// Compiled once for each set of instructions: foreach_target.h includes this file anew.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/lite/bit_kernels.cc"
#include "runtime/lite/kernel_targets.h"
// Behind it: what kernels are compiled for.
#include <hwy/foreach_target.h>
// The order matters: what follows is compiled for each target.
#include <hwy/highway.h>

#include "runtime/lite/bit_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace ddnn {
namespace lite {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Where only bytes can be counted, sums stay in bytes for as long as they fit: 31 times 8 bits.
// Of two targets of x86 the better has the lower number; those of Arm have higher ones.
#if HWY_TARGET <= HWY_AVX3_DL
constexpr bool kCountsLanes = true;
#else
constexpr bool kCountsLanes = false;
#endif
constexpr size_t kByteRounds = 31;

// Popcounts in lanes of 32 or 64 bits, or in their bytes.
template <class D, class V = hn::Vec<D>>
struct Counter {
  using Bytes = hn::Repartition<uint8_t, D>;

  static HWY_INLINE V Count(V v) {
    if constexpr (kCountsLanes) {
      return hn::PopulationCount(v);
    } else {
      return hn::BitCast(D(), hn::PopulationCount(hn::BitCast(Bytes(), v)));
    }
  }

  static HWY_INLINE V Add(V sum, V count) {
    if constexpr (kCountsLanes) {
      return hn::Add(sum, count);
    } else {
      return hn::BitCast(D(), hn::Add(hn::BitCast(Bytes(), sum), hn::BitCast(Bytes(), count)));
    }
  }

  static HWY_INLINE V Total(V sum) {
    if constexpr (kCountsLanes) {
      return sum;
    } else if constexpr (sizeof(hn::TFromD<D>) == 8) {
      return hn::SumsOf8(hn::BitCast(Bytes(), sum));
    } else {
      const V even = hn::Set(D(), 0x00ff00ff);
      sum = hn::Add(hn::And(sum, even), hn::And(hn::ShiftRight<8>(sum), even));
      return hn::And(hn::Add(sum, hn::ShiftRight<16>(sum)), hn::Set(D(), 0xffff));
    }
  }
};

// At most kFilterStep lanes, so that filters are never left over.
using Halves = hn::CappedTag<uint32_t, kFilterStep>;
using Half = hn::Vec<Halves>;

// A half of a word, the low or the high one, in all lanes. Read on its own: a load fills all lanes,
// a shift would take the place of a popcount.
template <size_t kHigh>
HWY_INLINE Half SetHalf(const uint64_t* word) {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a word's low half comes first");
  uint32_t half;
  hwy::CopyBytes<4>(reinterpret_cast<const uint8_t*>(word) + 4 * kHigh, &half);
  return hn::Set(Halves(), half);
}

// Bit by bit, in one instruction where there is one. Elsewhere Highway's goes by bytes.
HWY_INLINE Half Choose(Half mask, Half yes, Half no) {
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM
  return hn::IfVecThenElse(mask, yes, no);
#else
  return hn::Xor(no, hn::And(mask, hn::Xor(yes, no)));
#endif
}

// A tile of kPixels windows times kVectors vectors of filters; its counters stay in registers.
#if HWY_TARGET <= HWY_AVX3
constexpr size_t kTilePixels = 4, kTileVectors = 4;
#else
constexpr size_t kTilePixels = 2, kTileVectors = 4;
#endif

template <size_t kPixels, size_t kVectors>
HWY_INLINE void Tile(const BitFilters& set, size_t filter, const uint64_t* first, size_t step,
                     const uint32_t* classes, const int32_t* paired, uint64_t* out, size_t plane) {
  using Lanes = Counter<Halves>;
  const Halves d;
  const hn::RebindToSigned<Halves> signed_lanes;
  const size_t lanes = hn::Lanes(d);
  // Below 0 at the end where fewer differ.
  Half totals[kPixels][kVectors];
  for (size_t p = 0; p < kPixels; ++p) {
    const int32_t* limits = set.limits + classes[p] * set.filters + filter;
    const auto from = hn::Set(signed_lanes, -paired[p]);
    for (size_t v = 0; v < kVectors; ++v) {
      totals[p][v] = hn::BitCast(d, hn::Sub(from, hn::LoadU(signed_lanes, limits + v * lanes)));
    }
  }
  const auto add_all = [&](size_t words, auto add) HWY_ATTR {
    if constexpr (kCountsLanes) {
      for (size_t i = 0; i < words; ++i) add(i, totals);
    } else {
      for (size_t begin = 0; begin < words; begin += kByteRounds) {
        Half sums[kPixels][kVectors];
        for (auto& pixel : sums) {
          for (Half& sum : pixel) sum = hn::Zero(d);
        }
        const size_t end = HWY_MIN(words, begin + kByteRounds);
        for (size_t i = begin; i < end; ++i) add(i, sums);
        for (size_t p = 0; p < kPixels; ++p) {
          for (size_t v = 0; v < kVectors; ++v) {
            totals[p][v] = hn::Add(totals[p][v], Lanes::Total(sums[p][v]));
          }
        }
      }
    }
  };
  const uint32_t* single_weights = set.weights + 2 * set.pairs * set.filters + filter;
  add_all(set.singles, [&](size_t i, Half(*sums)[kVectors]) HWY_ATTR {
    const uint32_t* weights = single_weights + i * set.filters;
    for (size_t p = 0; p < kPixels; ++p) {
      const Half x = SetHalf<0>(first + p * step + set.places[set.pairs + i]);
      for (size_t v = 0; v < kVectors; ++v) {
        const Half w = hn::LoadU(d, weights + v * lanes);
        sums[p][v] = Lanes::Add(sums[p][v], Lanes::Count(hn::Xor(x, w)));
      }
    }
  });
  // What pairs add counts twice: half of it against half of the rest, rounded down.
  for (auto& pixel : totals) {
    for (Half& total : pixel) {
      total = hn::BitCast(d, hn::ShiftRight<1>(hn::BitCast(signed_lanes, total)));
    }
  }
  add_all(set.pairs, [&](size_t i, Half(*sums)[kVectors]) HWY_ATTR {
    const uint32_t* weights = set.weights + 2 * i * set.filters + filter;
    for (size_t p = 0; p < kPixels; ++p) {
      const uint64_t* word = first + p * step + set.places[i];
      const Half low = SetHalf<0>(word), differ = SetHalf<1>(word);
      for (size_t v = 0; v < kVectors; ++v) {
        const Half high = hn::LoadU(d, weights + v * lanes);
        const Half same = hn::LoadU(d, weights + set.filters + v * lanes);
        const Half count = Lanes::Count(Choose(hn::Xor(low, high), same, differ));
        sums[p][v] = Lanes::Add(sums[p][v], count);
      }
    }
  });
  for (size_t p = 0; p < kPixels; ++p) {
    for (size_t v = 0; v < kVectors; ++v) {
      const auto fewer = hn::Lt(hn::BitCast(signed_lanes, totals[p][v]), hn::Zero(signed_lanes));
      uint8_t bits[8];
      const size_t bytes = hn::StoreMaskBits(signed_lanes, fewer, bits), at = filter + v * lanes;
      uint8_t* to = reinterpret_cast<uint8_t*>(&out[at / 64 * plane + p]) + at % 64 / 8;
      if (lanes >= 8) {
        for (size_t i = 0; i < bytes; ++i) to[i] = bits[i];
      } else {
        to[0] = static_cast<uint8_t>(to[0] | bits[0] << at % 8);
      }
    }
  }
}

template <size_t kPixels>
HWY_INLINE void AllFilters(const BitFilters& set, const uint64_t* first, size_t step,
                           const uint32_t* classes, const int32_t* paired, uint64_t* out,
                           size_t plane) {
  const size_t lanes = hn::Lanes(Halves());
  for (size_t at = 0; at < set.filters; at += 64) {
    for (size_t p = 0; p < kPixels; ++p) out[at / 64 * plane + p] = 0;
  }
  size_t f = 0;
  for (; f + kTileVectors * lanes <= set.filters; f += kTileVectors * lanes) {
    Tile<kPixels, kTileVectors>(set, f, first, step, classes, paired, out, plane);
  }
  for (; f < set.filters; f += lanes) {
    Tile<kPixels, 1>(set, f, first, step, classes, paired, out, plane);
  }
}

// The sum over each window's pairs.
HWY_INLINE void SumPaired(const BitFilters& set, const int32_t* paired, size_t step, size_t pixels,
                          int32_t* sums) {
  const hn::ScalableTag<int32_t> d;
  const size_t lanes = hn::Lanes(d);
  size_t p = 0;
  if (step == 1) {
    for (; p + lanes <= pixels; p += lanes) {
      auto sum = hn::Zero(d);
      for (size_t i = 0; i < set.pairs; ++i) {
        sum = hn::Add(sum, hn::LoadU(d, paired + set.places[i] + p));
      }
      hn::StoreU(sum, d, sums + p);
    }
  }
  for (; p < pixels; ++p) {
    sums[p] = 0;
    for (size_t i = 0; i < set.pairs; ++i) sums[p] += paired[set.places[i] + p * step];
  }
}

void CompareDifferencesImpl(const BitFilters& set, const uint64_t* first, const int32_t* paired,
                            size_t step, const uint32_t* classes, size_t pixels, uint64_t* out,
                            size_t plane) {
  constexpr size_t kRun = 64;
  int32_t sums[kRun];
  for (size_t begin = 0; begin < pixels; begin += kRun) {
    const size_t end = HWY_MIN(pixels, begin + kRun);
    SumPaired(set, paired + begin * step, step, end - begin, sums);
    size_t p = begin;
    for (; p + kTilePixels <= end; p += kTilePixels) {
      AllFilters<kTilePixels>(set, first + p * step, step, classes + p, sums + (p - begin), out + p,
                              plane);
    }
    for (; p < end; ++p) {
      AllFilters<1>(set, first + p * step, step, classes + p, sums + (p - begin), out + p, plane);
    }
  }
}

void CountPairedImpl(const uint64_t* words, size_t count, int32_t* paired) {
  for (size_t i = 0; i < count; ++i) {
    paired[i] = static_cast<int32_t>(hwy::PopCount(words[i] >> 32));
  }
}

using Words = hn::ScalableTag<uint64_t>;
using Word = hn::Vec<Words>;

// The sum over words of how many bits are 1 in what the two functions give for each.
template <typename VectorAt, typename WordAt>
HWY_INLINE uint64_t SumOfCounts(size_t words, VectorAt vector_at, WordAt word_at) {
  using Lanes = Counter<Words>;
  const Words d;
  const size_t lanes = hn::Lanes(d);
  constexpr size_t kChains = 4;
  Word totals[kChains];
  for (Word& total : totals) total = hn::Zero(d);
  size_t i = 0;
  while (i + kChains * lanes <= words) {
    Word sums[kChains];
    for (Word& sum : sums) sum = hn::Zero(d);
    const size_t rounds = kCountsLanes ? words : kByteRounds;
    for (size_t r = 0; r < rounds && i + kChains * lanes <= words; ++r, i += kChains * lanes) {
      for (size_t c = 0; c < kChains; ++c) {
        sums[c] = Lanes::Add(sums[c], Lanes::Count(vector_at(d, i + c * lanes)));
      }
    }
    for (size_t c = 0; c < kChains; ++c) totals[c] = hn::Add(totals[c], Lanes::Total(sums[c]));
  }
  for (size_t c = 1; c < kChains; ++c) totals[0] = hn::Add(totals[0], totals[c]);
  uint64_t sum = hn::GetLane(hn::SumOfLanes(d, totals[0]));
  for (; i < words; ++i) sum += hwy::PopCount(word_at(i));
  return sum;
}

uint64_t CountDifferencesImpl(const uint64_t* a, const uint64_t* b, size_t words) {
  return SumOfCounts(
      words,
      [=](auto d, size_t i) HWY_ATTR { return hn::Xor(hn::LoadU(d, a + i), hn::LoadU(d, b + i)); },
      [=](size_t i) { return a[i] ^ b[i]; });
}

uint64_t CountOnesImpl(const uint64_t* a, size_t words) {
  return SumOfCounts(
      words, [=](auto d, size_t i) HWY_ATTR { return hn::LoadU(d, a + i); },
      [=](size_t i) { return a[i]; });
}

// Sums stay in registers, four vectors of them, and so do the bits of their filters.
template <typename T>
HWY_INLINE void CompareSumsOf(const TapFilters<T>& set, const T* in, size_t count,
                              hwy::MakeUnsigned<T>* out) {
  const hn::CappedTag<T, 16> d;
  const hn::RebindToUnsigned<decltype(d)> bits;
  const size_t lanes = hn::Lanes(d);
  constexpr size_t kChains = 4;
  for (size_t at = 0; at < count; at += kChains * lanes) {
    const T* x = in + at;
    hn::Vec<decltype(bits)> reached[kChains];
    for (auto& r : reached) r = hn::Zero(bits);
    size_t i = 0;
    for (size_t f = 0; f < set.filters; ++f) {
      hn::Vec<decltype(d)> sums[kChains];
      for (auto& sum : sums) sum = hn::Zero(d);
      for (; i < set.ends[2 * f]; ++i) {
        const T* from = x + set.places[i];
        for (size_t c = 0; c < kChains; ++c) {
          sums[c] = hn::Add(sums[c], hn::LoadU(d, from + c * lanes));
        }
      }
      for (; i < set.ends[2 * f + 1]; ++i) {
        const T* from = x + set.places[i];
        for (size_t c = 0; c < kChains; ++c) {
          sums[c] = hn::Sub(sums[c], hn::LoadU(d, from + c * lanes));
        }
      }
      const auto above = hn::Set(d, set.above[f]);
      const auto bit = hn::Set(d, static_cast<T>(hwy::MakeUnsigned<T>{1} << f));
      for (size_t c = 0; c < kChains; ++c) {
        const auto set_bit = hn::IfThenElseZero(hn::Gt(sums[c], above), bit);
        reached[c] = hn::Or(reached[c], hn::BitCast(bits, set_bit));
      }
    }
    for (size_t c = 0; c < kChains; ++c) hn::StoreU(reached[c], bits, out + at + c * lanes);
  }
}

void CompareSums16(const TapFilters<int16_t>& filters, const int16_t* in, size_t count,
                   uint16_t* out) {
  CompareSumsOf(filters, in, count, out);
}

void CompareSums32(const TapFilters<int32_t>& filters, const int32_t* in, size_t count,
                   uint32_t* out) {
  CompareSumsOf(filters, in, count, out);
}

const char* TargetImpl() { return hwy::TargetName(HWY_TARGET); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lite
}  // namespace ddnn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddnn {
namespace lite {
namespace {
HWY_EXPORT(CompareDifferencesImpl);
HWY_EXPORT(CountPairedImpl);
HWY_EXPORT(CountDifferencesImpl);
HWY_EXPORT(CountOnesImpl);
HWY_EXPORT(CompareSums16);
HWY_EXPORT(CompareSums32);
HWY_EXPORT(TargetImpl);
}  // namespace

void CompareDifferences(const BitFilters& filters, const uint64_t* first, const int32_t* paired,
                        size_t step, const uint32_t* classes, size_t pixels, uint64_t* out,
                        size_t plane) {
  HWY_DYNAMIC_DISPATCH(CompareDifferencesImpl)
  (filters, first, paired, step, classes, pixels, out, plane);
}

void CountPaired(const uint64_t* words, size_t count, int32_t* paired) {
  HWY_DYNAMIC_DISPATCH(CountPairedImpl)(words, count, paired);
}

uint64_t CountDifferences(const uint64_t* a, const uint64_t* b, size_t words) {
  return HWY_DYNAMIC_DISPATCH(CountDifferencesImpl)(a, b, words);
}

uint64_t CountOnes(const uint64_t* a, size_t words) {
  return HWY_DYNAMIC_DISPATCH(CountOnesImpl)(a, words);
}

void CompareSums(const TapFilters<int16_t>& filters, const int16_t* in, size_t count,
                 uint16_t* out) {
  HWY_DYNAMIC_DISPATCH(CompareSums16)(filters, in, count, out);
}

void CompareSums(const TapFilters<int32_t>& filters, const int32_t* in, size_t count,
                 uint32_t* out) {
  HWY_DYNAMIC_DISPATCH(CompareSums32)(filters, in, count, out);
}

std::string KernelTarget() { return HWY_DYNAMIC_DISPATCH(TargetImpl)(); }

bool KernelsRunHere() {
#if HWY_ARCH_X86
  return (hwy::SupportedTargets() & HWY_TARGETS) != 0;
#else
  return true;
#endif
}

std::vector<std::string> KernelTargets() {
  std::vector<std::string> names;
  // The best has the lowest bit.
  for (int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1) {
    names.push_back(hwy::TargetName(left & -left));
  }
  // An Arm processor without AES is not counted among those that NEON is for, and has it.
  if (names.empty()) names.push_back(KernelTarget());
  return names;
}

void UseKernelTarget(const std::string& name) {
  for (int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1) {
    if (name == hwy::TargetName(left & -left)) hwy::GetChosenTarget().Update(left & -left);
  }
}

}  // namespace lite
}  // namespace ddnn
#endif  // HWY_ONCE

#ifndef DDNN_DATASETS_COUNTER_RNG_H_
#define DDNN_DATASETS_COUNTER_RNG_H_

#include <cstdint>
#include <initializer_list>

namespace ddnn {

/// SplitMix64's finaliser: a bijection of 64-bit words in which every input bit moves every output
/// bit. Source: Steele, Lea and Flood, OOPSLA 2014.
inline uint64_t Mix64(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/// Random words addressed by (key, index) instead of drawn from a moving state: the same on every
/// machine, in every order and on any number of threads. std:: distributions promise none of it.
class CounterRng {
 public:
  /// The words of {a, b} and {b, a} differ.
  explicit CounterRng(std::initializer_list<uint64_t> key) {
    for (uint64_t part : key) state_ = Mix64(state_ + part + kGamma);
  }

  uint64_t Word(uint64_t index) const { return Mix64(state_ + kGamma * (index + 1)); }
  /// In [0, 1), a multiple of 2^-53.
  double Uniform(uint64_t index) const {
    return static_cast<double>(Word(index) >> 11) * 0x1.0p-53;
  }
  /// In [-1, 1).
  double Symmetric(uint64_t index) const { return 2 * Uniform(index) - 1; }

 private:
  static constexpr uint64_t kGamma = 0x9e3779b97f4a7c15u;
  uint64_t state_ = 0;
};

}  // namespace ddnn

#endif  // DDNN_DATASETS_COUNTER_RNG_H_

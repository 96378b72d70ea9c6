#include "runtime/core/fold.h"

#include <cmath>
#include <string>

#include "runtime/core/float_bytes.h"

namespace ddnn {
namespace {

constexpr int kLimit = 1 << 24;

// sign(y(n)) >= 0 by the definition, in double and in the order the header gives.
bool IsPositive(const BatchNormValues& norm, size_t c, double unit, int n) {
  const double deviation = std::sqrt(static_cast<double>(norm.variance[c]) + norm.epsilon);
  const double x = n * unit;
  const double y =
      static_cast<double>(norm.gamma[c]) * (x - static_cast<double>(norm.mean[c])) / deviation +
      static_cast<double>(norm.beta[c]);
  return y >= 0;
}

// First n in (-kLimit, kLimit] from which on `IsPositive` is `rising`. Every step of the expression
// is monotonic in n and so is its rounding: bisecting the expression itself is exact, ties
// included.
int Boundary(const BatchNormValues& norm, size_t c, double unit, bool rising) {
  int low = -kLimit, high = kLimit;  // the boundary is in (low, high]
  while (high - low > 1) {
    const int middle = low + (high - low) / 2;
    if (IsPositive(norm, c, unit, middle) == rising) {
      high = middle;
    } else {
      low = middle;
    }
  }
  return high;
}

}  // namespace

v1::Threshold FoldThreshold(const BatchNormValues& norm, float unit) {
  v1::Threshold threshold;
  threshold.set_unit(unit);
  std::string flip((norm.gamma.size() + 7) / 8, '\0');
  bool any = false;
  for (size_t c = 0; c < norm.gamma.size(); ++c) {
    const bool falling = norm.gamma[c] < 0;
    threshold.add_at(Boundary(norm, c, unit, !falling));
    if (falling) {
      flip[c / 8] = static_cast<char>(flip[c / 8] | (1 << (c % 8)));
      any = true;
    }
  }
  if (any) threshold.set_flip(flip);
  return threshold;
}

v1::Affine FoldAffine(const BatchNormValues& norm) {
  std::string scale, bias;
  for (size_t c = 0; c < norm.gamma.size(); ++c) {
    const double factor = static_cast<double>(norm.gamma[c]) /
                          std::sqrt(static_cast<double>(norm.variance[c]) + norm.epsilon);
    AppendFloat(static_cast<float>(factor), &scale);
    AppendFloat(static_cast<float>(norm.beta[c] - norm.mean[c] * factor), &bias);
  }
  v1::Affine affine;
  affine.set_scale(scale);
  affine.set_bias(bias);
  return affine;
}

}  // namespace ddnn

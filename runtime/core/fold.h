#ifndef DDNN_RUNTIME_CORE_FOLD_H_
#define DDNN_RUNTIME_CORE_FOLD_H_

#include <vector>

#include "ddnn/v1/bundle.pb.h"

namespace ddnn {

/// Trained batch norm, one entry per channel: y = gamma * (x - mean) / sqrt(variance + epsilon) +
/// beta.
struct BatchNormValues {
  std::vector<float> gamma, beta, mean, variance;
  double epsilon = 1e-5;
};

/// Folds batch norm followed by sign into integer comparisons for inputs x = n * unit.
///
/// Exact: for every integer |n| < 2^24 the comparison equals sign(y) with y computed in double,
/// where sign(0) = +1. gamma < 0 turns the comparison round, gamma = 0 gives the constant
/// sign(beta).
v1::Threshold FoldThreshold(const BatchNormValues& norm, float unit);

/// Folds batch norm into scale and bias.
v1::Affine FoldAffine(const BatchNormValues& norm);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_CORE_FOLD_H_

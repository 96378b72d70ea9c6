#ifndef DDNN_TRAIN_MODULE_STATE_H_
#define DDNN_TRAIN_MODULE_STATE_H_

#include <ATen/core/Tensor.h>

#include <string>

namespace ddnn::train {

enum class TensorRole {
  kWeight,        ///< of a float convolution or linear layer
  kBinaryWeight,  ///< its sign is the weight
  kBias,
  kNorm,       ///< gamma or beta of a batch norm
  kStatistic,  ///< running mean or variance: no gradient
};

/// One tensor of a module, sharing its memory.
struct StateTensor {
  std::string name;  ///< "device-0.body.2.gamma": tier, first node of the group, place, what it is
  TensorRole role;
  at::Tensor value;
};

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_MODULE_STATE_H_

#ifndef DDNN_TRAIN_ADAM_H_
#define DDNN_TRAIN_ADAM_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace ddnn::train {

/// Adam with decoupled weight decay, and with its whole state in reach: LibTorch's keeps its own
/// under keys that differ between versions.
/// Source: Kingma and Ba, ICLR 2015; Loshchilov and Hutter, ICLR 2019 (arXiv 1711.05101).
///
/// A parameter without a gradient stays as it is in that step. Not safe to call from several
/// threads.
class Adam {
 public:
  /// \param parameters  leaves
  /// \param decay       per parameter: each step takes away this share of it, times the rate
  Adam(std::vector<at::Tensor> parameters, std::vector<double> decay);

  void ZeroGrad();
  void Step(double rate);

  /// First and second moment of each parameter in turn; may be copied into.
  const std::vector<at::Tensor>& moments() const { return moments_; }
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  std::vector<at::Tensor> parameters_;
  std::vector<double> decay_;
  std::vector<at::Tensor> moments_;
  int64_t steps_ = 0;
};

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_ADAM_H_

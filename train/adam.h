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
/// On a CPU all parameters are moved in one pass of all threads, the same bit for bit whatever
/// their number. A parameter without a gradient stays as it is in that step. Not safe to call from
/// several threads.
class Adam {
 public:
  /// \param parameters  leaves
  /// \param decay       per parameter: each step takes away this share of it, times the rate
  /// \param binary      per parameter: only its sign is used, and each step puts it back into
  ///                    [-1, 1]: beyond that its gradient is cut off for good. Empty: none is.
  Adam(std::vector<at::Tensor> parameters, std::vector<double> decay,
       std::vector<bool> binary = {});

  void ZeroGrad();

  /// \return  how many binary weights have another sign now
  int64_t Step(double rate);

  /// First and second moment of each parameter in turn; may be copied into.
  const std::vector<at::Tensor>& moments() const { return moments_; }
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  struct Parameter {
    at::Tensor value;
    double decay;
    bool binary;
  };
  struct Shares {
    double rate, first, second;  ///< how much of a moment's limit is there after so many steps
  };

  int64_t StepByOperations(const Parameter& parameter, const Shares& shares, at::Tensor* first,
                           at::Tensor* second) const;

  std::vector<Parameter> parameters_;
  std::vector<at::Tensor> moments_;
  int64_t steps_ = 0;
};

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_ADAM_H_

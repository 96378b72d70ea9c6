#include "train/adam.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <utility>

namespace ddnn::train {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;

}  // namespace

Adam::Adam(std::vector<at::Tensor> parameters, std::vector<double> decay)
    : parameters_(std::move(parameters)), decay_(std::move(decay)) {
  TORCH_CHECK(parameters_.size() == decay_.size(), "one decay per parameter");
  for (const at::Tensor& parameter : parameters_) {
    for (int i = 0; i < 2; ++i) moments_.push_back(at::zeros_like(parameter.detach()));
  }
}

void Adam::ZeroGrad() {
  for (at::Tensor& parameter : parameters_) parameter.mutable_grad() = at::Tensor();
}

void Adam::Step(double rate) {
  at::NoGradGuard no_grad;
  ++steps_;
  const double first_share = 1 - std::pow(kBeta1, steps_);
  const double second_share = 1 - std::pow(kBeta2, steps_);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& parameter = parameters_[i];
    const at::Tensor& gradient = parameter.grad();
    if (!gradient.defined()) continue;
    at::Tensor& first = moments_[2 * i];
    at::Tensor& second = moments_[2 * i + 1];
    if (decay_[i] != 0) parameter.mul_(1 - rate * decay_[i]);
    first.mul_(kBeta1).add_(gradient, 1 - kBeta1);
    second.mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
    const at::Tensor width = second.sqrt().div_(std::sqrt(second_share)).add_(kEpsilon);
    parameter.addcdiv_(first, width, -rate / first_share);
  }
}

}  // namespace ddnn::train

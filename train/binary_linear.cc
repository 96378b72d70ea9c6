#include "train/binary_linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "train/parallel.h"
#include "train/plane_kernels.h"

namespace ddnn::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct BinaryLinearFunction : torch::autograd::Function<BinaryLinearFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& weight) {
    const int64_t groups = weight.size(0), outputs = weight.size(1), inputs = weight.size(2);
    const int64_t batch = input.size(0);
    const at::Tensor x = input.reshape({batch, groups * inputs}).contiguous();
    const at::Tensor signs = at::empty_like(weight);
    const float* from = weight.data_ptr<float>();
    float* to = signs.data_ptr<float>();
    for (int64_t i = 0; i < weight.numel(); ++i) to[i] = from[i] >= 0 ? 1.0f : -1.0f;
    const at::Tensor y = at::empty({batch, groups * outputs, 1, 1}, weight.options());
    at::parallel_for(0, batch, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * groups; i < end * groups; ++i) {
        Kernels().dots(x.data_ptr<float>() + i * inputs, to + i % groups * outputs * inputs, inputs,
                       outputs, y.data_ptr<float>() + i * outputs);
      }
    });
    context->save_for_backward({x, weight, signs});
    context->saved_data["shape"] = input.sizes().vec();
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &signs = saved[2];
    const int64_t groups = weight.size(0), outputs = weight.size(1), inputs = weight.size(2);
    const int64_t batch = x.size(0);
    const at::Tensor dy = gradients[0].reshape({batch, groups * outputs}).contiguous();
    const float* grad = dy.data_ptr<float>();
    at::Tensor dx;
    if (context->needs_input_grad(0)) {
      dx = at::empty(context->saved_data["shape"].toIntVector(), x.options());
      at::parallel_for(0, batch, 4, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin * groups; i < end * groups; ++i) {
          Kernels().combine(signs.data_ptr<float>() + i % groups * outputs * inputs,
                            grad + i * outputs, inputs, outputs, dx.data_ptr<float>() + i * inputs);
        }
      });
    }
    const at::Tensor dw = at::empty_like(weight);
    constexpr int64_t kBlock = 256;
    const int64_t blocks = (inputs + kBlock - 1) / kBlock;
    at::parallel_for(0, groups * blocks, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t group = i / blocks, begin = i % blocks * kBlock;
        const int64_t end = std::min(begin + kBlock, inputs);
        float* to = dw.data_ptr<float>() + group * outputs * inputs;
        const float* now = weight.data_ptr<float>() + group * outputs * inputs;
        Kernels().outer(x.data_ptr<float>() + group * inputs, groups * inputs,
                        grad + group * outputs, groups * outputs, batch, inputs, outputs, begin,
                        end, to);
        for (int64_t o = 0; o < outputs; ++o) {
          for (int64_t j = o * inputs + begin; j < o * inputs + end; ++j) {
            if (std::fabs(now[j]) > 1) to[j] = 0;
          }
        }
      }
    });
    return {dx, dw};
  }
};

}  // namespace

at::Tensor BinaryLinearBlock(const at::Tensor& x, const at::Tensor& weight) {
  return BinaryLinearFunction::apply(x, weight);
}

}  // namespace ddnn::train

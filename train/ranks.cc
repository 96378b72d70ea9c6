#include "train/ranks.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace ddnn::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor Summed(Ranks* ranks, const at::Tensor& x) {
  const at::Tensor sum = x.detach().clone(at::MemoryFormat::Contiguous);
  ranks->Sum(sum);
  return sum;
}

struct SumFunction : torch::autograd::Function<SumFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, int64_t ranks) {
    context->saved_data["ranks"] = ranks;
    return Summed(reinterpret_cast<Ranks*>(ranks), x);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    Ranks* ranks = reinterpret_cast<Ranks*>(context->saved_data["ranks"].toInt());
    return {Summed(ranks, gradients[0]), {}};
  }
};

}  // namespace

void JoinStatistics(Ranks* ranks, std::vector<double>* counts, std::vector<double>* means,
                    std::vector<double>* squares) {
  if (ranks == nullptr) return;
  const size_t channels = counts->size();
  std::vector<double> all;
  for (size_t c = 0; c < channels; ++c) {
    const double n = (*counts)[c], mean = (*means)[c];
    all.insert(all.end(), {n, n * mean, (*squares)[c] + n * mean * mean});
  }
  ranks->Sum(absl::MakeSpan(all));
  for (size_t c = 0; c < channels; ++c) {
    const double n = all[3 * c], mean = all[3 * c + 1] / std::max(n, 1.0);
    (*counts)[c] = n;
    (*means)[c] = mean;
    // In double what cancels here is far below a float's last bit.
    (*squares)[c] = std::max(all[3 * c + 2] - n * mean * mean, 0.0);
  }
}

at::Tensor SumOverRanks(Ranks* ranks, const at::Tensor& x) {
  if (ranks == nullptr) return x;
  return SumFunction::apply(x, reinterpret_cast<int64_t>(ranks));
}

}  // namespace ddnn::train

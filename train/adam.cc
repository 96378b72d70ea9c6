#include "train/adam.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "train/parallel.h"
#include "train/plane_kernels.h"

namespace ddnn::train {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;
// Values that one thread takes at a time.
constexpr int64_t kPiece = 1 << 14;

bool Plain(const at::Tensor& t) {
  return t.is_cpu() && t.scalar_type() == at::kFloat && t.is_contiguous();
}

// A parameter in memory, behind `begin` values of others.
struct Span {
  AdamTerms terms;
  int64_t begin, size;
  at::Tensor gradient;
  float *value, *first, *second;
};

int64_t StepPiece(const std::vector<Span>& spans, int64_t begin, int64_t end) {
  int64_t flipped = 0;
  for (const Span& span : spans) {
    const int64_t from = std::max(begin - span.begin, int64_t{0});
    const int64_t to = std::min(end - span.begin, span.size);
    if (from >= to) continue;
    const int64_t moved =
        Kernels().adam(span.terms, span.gradient.data_ptr<float>() + from, to - from,
                       span.value + from, span.first + from, span.second + from);
    if (span.terms.binary) flipped += moved;
  }
  return flipped;
}

}  // namespace

Adam::Adam(std::vector<at::Tensor> parameters, std::vector<double> decay,
           std::vector<bool> binary) {
  binary.resize(binary.empty() ? parameters.size() : binary.size());
  TORCH_CHECK(parameters.size() == decay.size() && parameters.size() == binary.size(),
              "one decay per parameter");
  for (size_t i = 0; i < parameters.size(); ++i) {
    for (int k = 0; k < 2; ++k) moments_.push_back(at::zeros_like(parameters[i].detach()));
    parameters_.push_back({std::move(parameters[i]), decay[i], binary[i]});
  }
}

void Adam::ZeroGrad() {
  for (Parameter& parameter : parameters_) parameter.value.mutable_grad() = at::Tensor();
}

int64_t Adam::Step(double rate) {
  at::NoGradGuard no_grad;
  ++steps_;
  const Shares shares{rate, 1 - std::pow(kBeta1, steps_), 1 - std::pow(kBeta2, steps_)};
  AdamTerms terms{};
  terms.first_kept = kBeta1;
  terms.first_added = 1 - kBeta1;
  terms.second_kept = kBeta2;
  terms.second_added = 1 - kBeta2;
  terms.rate = static_cast<float>(rate / shares.first);
  terms.inverse_root_share = static_cast<float>(1 / std::sqrt(shares.second));
  terms.epsilon = kEpsilon;
  int64_t flipped = 0, size = 0;
  std::vector<Span> spans;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& p = parameters_[i];
    const at::Tensor& gradient = p.value.grad();
    at::Tensor &first = moments_[2 * i], &second = moments_[2 * i + 1];
    if (!gradient.defined()) continue;
    if (!Plain(p.value)) {
      flipped += StepByOperations(p, shares, &first, &second);
      continue;
    }
    terms.keep = static_cast<float>(1 - rate * p.decay);
    terms.binary = p.binary;
    spans.push_back({terms, size, p.value.numel(), gradient.contiguous(), p.value.data_ptr<float>(),
                     first.data_ptr<float>(), second.data_ptr<float>()});
    size += p.value.numel();
  }
  std::vector<int64_t> flips((size + kPiece - 1) / kPiece);
  at::parallel_for(0, static_cast<int64_t>(flips.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) flips[i] = StepPiece(spans, i * kPiece, (i + 1) * kPiece);
  });
  return std::accumulate(flips.begin(), flips.end(), flipped);
}

int64_t Adam::StepByOperations(const Parameter& parameter, const Shares& shares, at::Tensor* first,
                               at::Tensor* second) const {
  at::Tensor value = parameter.value;
  const at::Tensor& gradient = value.grad();
  const at::Tensor before = parameter.binary ? value >= 0 : at::Tensor();
  if (parameter.decay != 0) value.mul_(1 - shares.rate * parameter.decay);
  first->mul_(kBeta1).add_(gradient, 1 - kBeta1);
  second->mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
  const at::Tensor width = second->sqrt().div_(std::sqrt(shares.second)).add_(kEpsilon);
  value.addcdiv_(*first, width, -shares.rate / shares.first);
  if (!parameter.binary) return 0;
  value.clamp_(-1, 1);
  return (before != (value >= 0)).sum().item<int64_t>();
}

}  // namespace ddnn::train

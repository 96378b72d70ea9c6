#include "train/norm_block.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "train/ops.h"

namespace ddnn::train {
namespace {

constexpr at::MemoryFormat kRows = at::MemoryFormat::ChannelsLast;

struct Case {
  NormShape shape;
  int64_t batch, groups, each, height, width;
  bool masked;

  std::string Name() const {
    return "batch " + std::to_string(batch) + ", " + std::to_string(groups) + " x " +
           std::to_string(each) + " channels, " + std::to_string(height) + " x " +
           std::to_string(width) + ", activation " +
           std::to_string(static_cast<int>(shape.activation)) + (shape.planes ? ", planes" : "") +
           (masked ? ", masked" : "");
  }
};

Case Draw(std::mt19937* random) {
  const auto upto = [&](int64_t n) {
    return std::uniform_int_distribution<int64_t>(1, n)(*random);
  };
  Case c;
  c.shape.activation = static_cast<Activation>(upto(3) - 1);
  c.shape.planes = upto(2) == 1;
  c.shape.momentum = 0.2;
  c.batch = upto(20) + 1, c.groups = upto(3), c.each = upto(30);
  c.height = upto(9), c.width = upto(9);
  c.masked = upto(2) == 1;
  return c;
}

struct Values {
  at::Tensor x, mask, gamma, beta, mean, variance, weights;

  Values(const Case& c, at::ScalarType type) {
    const int64_t channels = c.groups * c.each;
    x = at::randn({c.batch, channels, c.height, c.width}, type) * 2 + 1;
    gamma = at::randn({channels}, type);
    beta = at::randn({channels}, type);
    mean = at::randn({channels}, type);
    variance = at::rand({channels}, type) + 0.5;
    weights = at::randn_like(x);
    if (c.masked) {
      mask = (at::rand({c.batch, c.groups}) < 0.6).to(type);
      mask.select(0, 0).fill_(1);
    }
  }

  Values To(at::ScalarType type) const {
    Values copy = *this;
    for (at::Tensor* t : {&copy.x, &copy.gamma, &copy.beta, &copy.mean, &copy.variance,
                          &copy.weights, &copy.mask}) {
      if (t->defined()) *t = t->to(type, /*non_blocking=*/false, /*copy=*/true);
    }
    return copy;
  }

  void Learn() {
    for (at::Tensor* t : {&x, &gamma, &beta}) t->requires_grad_();
  }
};

// Absent samples have values too, which nobody uses and no loss sees.
at::Tensor Seen(const Values& v, const at::Tensor& y) {
  return v.mask.defined() ? y * SpreadMask(v.mask, y.size(1) / v.mask.size(1)) : y;
}

// LibTorch's operations, one by one, in double: too long for NormBlock to take it.
at::Tensor Plain(const NormShape& s, const Values& v) {
  const at::Tensor y = MaskedBatchNorm(v.x, v.mask, v.gamma, v.beta, v.mean, v.variance, s.momentum,
                                       s.epsilon, s.ranks);
  if (s.activation == Activation::kSign) return SignSte(y);
  return s.activation == Activation::kRelu ? at::relu(y) : y;
}

at::Tensor Fused(const NormShape& s, const Values& v) {
  return NormBlock(s, v.x, v.mask, v.gamma, v.beta, v.mean, v.variance);
}

void ExpectNear(const at::Tensor& got, const at::Tensor& wanted, const std::string& what) {
  const at::Tensor off = (got.to(at::kDouble) - wanted.to(at::kDouble)).abs();
  const double size = wanted.to(at::kDouble).abs().max().item<double>();
  EXPECT_LE(off.max().item<double>(), 2e-5 * (1 + size)) << what;
}

TEST(NormBlock, HasTheValuesAndGradientsOfItsPartsOverRandomShapes) {
  std::mt19937 random(7);
  at::manual_seed(7);
  for (int i = 0; i < 60; ++i) {
    const Case c = Draw(&random);
    SCOPED_TRACE(c.Name());
    Values exact(c, at::kDouble);
    // What rounds differently must not decide a sign.
    exact.x = (exact.x * 64).round() / 64;
    Values v = exact.To(at::kFloat);
    if (i % 2 == 0) v.x = v.x.contiguous(kRows);
    exact.Learn();
    v.Learn();
    const at::Tensor wanted = Plain(c.shape, exact), got = Fused(c.shape, v);
    EXPECT_TRUE(got.is_contiguous(c.shape.planes ? at::MemoryFormat::Contiguous : kRows));
    ExpectNear(Seen(v, got), Seen(exact, wanted), "y");
    ExpectNear(v.mean, exact.mean, "running mean");
    ExpectNear(v.variance, exact.variance, "running variance");
    (Seen(exact, wanted) * exact.weights).sum().backward();
    // A gradient comes as what is behind it made it.
    const at::Tensor weights = i % 3 == 0 ? v.weights.contiguous(kRows) : v.weights;
    got.backward(Seen(v, weights));
    ExpectNear(v.x.grad(), exact.x.grad(), "dx");
    ExpectNear(v.gamma.grad(), exact.gamma.grad(), "dgamma");
    ExpectNear(v.beta.grad(), exact.beta.grad(), "dbeta");
  }
}

TEST(NormBlock, ComputesHalvesInFloatAndRoundsOnce) {
  std::mt19937 random(8);
  at::manual_seed(8);
  for (int i = 0; i < 30; ++i) {
    const Case c = Draw(&random);
    SCOPED_TRACE(c.Name());
    Values half(c, at::kFloat);
    half.x = half.x.to(at::kBFloat16);
    Values v = half.To(at::kFloat);
    half.gamma = v.gamma.clone(), half.beta = v.beta.clone();
    half.Learn();
    v.Learn();
    const at::Tensor y = Fused(c.shape, half), whole = Fused(c.shape, v);
    EXPECT_EQ(y.scalar_type(), c.shape.planes ? at::kFloat : at::kBFloat16);
    EXPECT_TRUE(at::equal(y, whole.to(y.scalar_type())));
    const at::Tensor dy = half.weights.to(at::kBFloat16).to(y.scalar_type());
    y.backward(dy);
    whole.backward(dy.to(at::kFloat));
    EXPECT_EQ(half.x.grad().scalar_type(), at::kBFloat16);
    EXPECT_TRUE(at::equal(half.x.grad(), v.x.grad().to(at::kBFloat16)));
    EXPECT_TRUE(at::equal(half.gamma.grad(), v.gamma.grad()));
  }
}

TEST(NormBlock, KeepsWhatIsNotANumber) {
  at::Tensor x = at::ones({2, 3, 2, 2}).to(at::kBFloat16);
  x[0][1][0][0] = std::nanf("");
  const at::Tensor one = at::ones({3}), zero = at::zeros({3});
  const at::Tensor y = NormBlock({}, x, {}, one, zero, zero.clone(), one.clone());
  EXPECT_TRUE(at::isnan(y[0][1][0][0]).item<bool>());
  EXPECT_FALSE(at::isnan(y[0][0]).any().item<bool>());
}

TEST(NormBlock, IsTheSameForAnyNumberOfThreads) {
  const Case c{{}, 17, 2, 13, 7, 5, true};
  const int before = at::get_num_threads();
  std::vector<at::Tensor> results;
  for (int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    at::manual_seed(9);
    Values v(c, at::kFloat);
    v.Learn();
    const at::Tensor y = Fused(c.shape, v);
    y.backward(v.weights);
    results.push_back(at::cat({y.flatten(), v.x.grad().flatten(), v.gamma.grad(), v.mean}));
    EXPECT_TRUE(at::equal(results[0], results.back())) << threads << " threads";
  }
  at::set_num_threads(before);
}

}  // namespace
}  // namespace ddnn::train

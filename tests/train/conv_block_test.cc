#include "train/conv_block.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "train/binary_linear.h"
#include "train/ops.h"

namespace ddnn::train {
namespace {

int Draw(int low, int high, std::mt19937* random) {
  return low + static_cast<int>((*random)() % (high - low + 1));
}

struct Case {
  ConvBlockShape shape;
  at::Tensor x, mask, weight, gamma, beta, mean, variance;

  at::Tensor Fused() const {
    return ConvBlock(shape, x, mask, weight, gamma, beta, mean, variance);
  }

  // Operation by operation; zero where a node is absent.
  at::Tensor Plain() const {
    at::Tensor in = x;
    if (x.scalar_type() == at::kByte) in = (x.to(at::kFloat) - shape.offset) * shape.scale;
    const std::vector<int64_t> one(2, 1), padding(2, shape.padding);
    at::Tensor y = at::conv2d(in, SignSte(weight), {}, at::IntArrayRef(one),
                              at::IntArrayRef(padding), at::IntArrayRef(one), shape.groups);
    if (shape.pool_kernel > 0) {
      const std::vector<int64_t> kernel(2, shape.pool_kernel), stride(2, shape.pool_stride);
      const std::vector<int64_t> border(2, shape.pool_padding);
      y = at::max_pool2d(y, at::IntArrayRef(kernel), at::IntArrayRef(stride),
                         at::IntArrayRef(border));
    }
    y = MaskedBatchNorm(y, mask, gamma, beta, mean, variance, shape.momentum, shape.epsilon);
    if (shape.activation == Activation::kSign) y = SignSte(y);
    if (shape.activation == Activation::kRelu) y = at::relu(y);
    return mask.defined() ? y * SpreadMask(mask, shape.filters) : y;
  }

  Case Copy() const {
    Case copy = *this;
    for (at::Tensor* t : {&copy.x, &copy.weight, &copy.gamma, &copy.beta}) {
      const bool learns = t->requires_grad();
      *t = t->detach().clone();
      t->requires_grad_(learns);
    }
    copy.mean = mean.clone();
    copy.variance = variance.clone();
    return copy;
  }
};

// Values of which all sums are exact, so that neither signs nor places of maxima are a matter of
// rounding; ties among maxima are frequent.
Case RandomCase(int seed) {
  std::mt19937 random(seed);
  at::manual_seed(seed);
  Case c;
  ConvBlockShape& s = c.shape;
  int height = 0, width = 0;
  do {
    s = ConvBlockShape();
    s.groups = Draw(1, 3, &random);
    s.channels = Draw(1, 9, &random);
    s.filters = Draw(1, 10, &random);
    s.kernel = Draw(1, 5, &random);
    s.padding = Draw(0, static_cast<int>(s.kernel) - 1, &random);
    s.pool_kernel = Draw(0, 3, &random);
    s.pool_stride = Draw(1, 3, &random);
    s.pool_padding = Draw(0, static_cast<int>(s.pool_kernel) / 2, &random);
    s.activation = static_cast<Activation>(seed % 3);
    height = Draw(3, 21, &random);
    width = Draw(3, 37, &random);
  } while (!FitsConvBlock(s, height, width));
  const int64_t batch = Draw(2, 11, &random), channels = s.groups * s.filters;
  if (seed % 4 == 0) {
    s.offset = 128;
    s.scale = 1.0 / 256;
    c.x = at::randint(0, 256, {batch, s.groups * s.channels, height, width}, at::kByte);
  } else {
    c.x = (at::randint(0, 2, {batch, s.groups * s.channels, height, width}, at::kFloat) * 2 - 1)
              .requires_grad_();
  }
  if (seed % 2 == 0) {
    c.mask = (at::rand({batch, s.groups}) < 0.6).to(at::kFloat);
    c.mask[0].fill_(1);
    c.mask[1].fill_(1);
  }
  c.weight = (at::rand({channels, s.channels, s.kernel, s.kernel}) * 3 - 1.5).requires_grad_();
  c.gamma = (at::rand({channels}) - 0.5).requires_grad_();
  c.beta = at::randn({channels}).requires_grad_();
  c.mean = at::zeros({channels});
  c.variance = at::ones({channels});
  return c;
}

void ExpectClose(const at::Tensor& found, const at::Tensor& expected, const char* what) {
  ASSERT_TRUE(found.defined()) << what;
  ASSERT_EQ(found.sizes(), expected.sizes()) << what;
  const float size = std::max(expected.abs().max().item<float>(), 1e-2f);
  EXPECT_LE((found - expected).abs().max().item<float>(), 2e-4f * size) << what;
}

TEST(ConvBlock, ComputesWhatItsPartsComputeAndHasTheirGradients) {
  for (int seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    const Case plain = RandomCase(seed), fused = plain.Copy();
    const at::Tensor expected = plain.Plain(), found = fused.Fused();
    ExpectClose(found, expected, "values");
    ExpectClose(fused.mean, plain.mean, "mean");
    ExpectClose(fused.variance, plain.variance, "variance");
    const at::Tensor dy = at::randn(expected.sizes());
    expected.backward(dy);
    found.backward(dy);
    ExpectClose(fused.weight.grad(), plain.weight.grad(), "weight");
    ExpectClose(fused.gamma.grad(), plain.gamma.grad(), "gamma");
    ExpectClose(fused.beta.grad(), plain.beta.grad(), "beta");
    if (plain.x.requires_grad()) ExpectClose(fused.x.grad(), plain.x.grad(), "x");
    if (HasFatalFailure()) return;
  }
}

TEST(ConvBlock, GivesTheSameBitsWhateverTheNumberOfThreads) {
  for (int seed : {2, 5}) {
    const Case one = RandomCase(seed), three = one.Copy();
    const auto run = [](const Case& c, int threads) {
      at::set_num_threads(threads);
      const at::Tensor y = c.Fused();
      y.backward(at::arange(y.numel(), at::kFloat).view(y.sizes()).remainder(7) - 3);
      at::set_num_threads(1);
      return y;
    };
    EXPECT_TRUE(at::equal(run(one, 1), run(three, 3)));
    EXPECT_TRUE(at::equal(one.weight.grad(), three.weight.grad()));
    EXPECT_TRUE(at::equal(one.gamma.grad(), three.gamma.grad()));
    EXPECT_TRUE(at::equal(one.x.grad(), three.x.grad()));
    EXPECT_TRUE(at::equal(one.variance, three.variance));
  }
}

TEST(ConvBlock, LeavesOutWhatHasNoRoomForThePoolsPadding) {
  ConvBlockShape shape;
  shape.channels = shape.filters = 4;
  shape.pool_kernel = 3;
  shape.pool_padding = 1;
  EXPECT_FALSE(FitsConvBlock(shape, 8, 8));  // a 1x1 convolution leaves nothing between the rows
  shape.kernel = 3;
  EXPECT_TRUE(FitsConvBlock(shape, 8, 8));
  EXPECT_FALSE(FitsConvBlock(shape, 2, 8));
}

TEST(BinaryLinearBlock, ComputesTheProductWithSignsAndHasItsGradients) {
  for (int seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    at::manual_seed(seed);
    const int64_t batch = Draw(1, 9, &random), groups = Draw(1, 3, &random);
    const int64_t inputs = Draw(1, 600, &random), outputs = Draw(1, 12, &random);
    const at::Tensor x = at::randn({batch, groups * inputs, 1, 1}).requires_grad_();
    const at::Tensor w = (at::rand({groups, outputs, inputs}) * 3 - 1.5).requires_grad_();
    const at::Tensor x2 = x.detach().clone().requires_grad_();
    const at::Tensor w2 = w.detach().clone().requires_grad_();
    const at::Tensor expected =
        at::einsum("bgi,goi->bgo", {x2.view({batch, groups, inputs}), SignSte(w2)})
            .reshape({batch, groups * outputs, 1, 1});
    const at::Tensor found = BinaryLinearBlock(x, w);
    ExpectClose(found, expected, "values");
    const at::Tensor dy = at::randn(expected.sizes());
    expected.backward(dy);
    found.backward(dy);
    ExpectClose(x.grad(), x2.grad(), "x");
    ExpectClose(w.grad(), w2.grad(), "w");
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace ddnn::train

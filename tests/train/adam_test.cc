#include "train/adam.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>

#include <cmath>
#include <utility>
#include <vector>

namespace ddnn::train {
namespace {

std::vector<at::Tensor> RandomLeaves() {
  std::vector<at::Tensor> leaves;
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{7}, {3, 5}, {4, 2, 3, 3}, {1000}}) {
    leaves.push_back(at::randn(shape).requires_grad_());
  }
  return leaves;
}

std::vector<at::Tensor> Copies(const std::vector<at::Tensor>& leaves) {
  std::vector<at::Tensor> copies;
  for (const at::Tensor& t : leaves) copies.push_back(t.detach().clone().requires_grad_());
  return copies;
}

double Difference(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs() / b.abs().clamp_min(1)).max().item<double>();
}

// 20 steps of both with the same gradients, rates changing as under a schedule.
template <typename Optimizer, typename Options>
void ExpectTheSame(double decay, Optimizer* theirs, Options options_of,
                   const std::vector<at::Tensor>& their_leaves, std::vector<at::Tensor> leaves) {
  Adam ours(leaves, std::vector<double>(leaves.size(), decay));
  for (int step = 0; step < 20; ++step) {
    const double rate = 0.05 / (1 + step);
    for (size_t i = 0; i < leaves.size(); ++i) {
      const at::Tensor gradient = at::randn_like(leaves[i]) * std::pow(10.0, step % 5 - 2);
      leaves[i].mutable_grad() = gradient;
      at::Tensor(their_leaves[i]).mutable_grad() = gradient.clone();
    }
    options_of(&theirs->param_groups()[0].options()).lr(rate);
    theirs->step();
    ours.Step(rate);
  }
  for (size_t i = 0; i < leaves.size(); ++i) {
    EXPECT_LT(Difference(leaves[i].detach(), their_leaves[i].detach()), 1e-6);
  }
}

TEST(Adam, IsLibTorchsAdam) {
  for (const uint64_t seed : {1, 2, 3}) {
    at::manual_seed(seed);
    const std::vector<at::Tensor> leaves = RandomLeaves(), theirs = Copies(leaves);
    torch::optim::Adam adam(theirs, torch::optim::AdamOptions(1));
    const auto options = [](torch::optim::OptimizerOptions* o) -> torch::optim::AdamOptions& {
      return static_cast<torch::optim::AdamOptions&>(*o);
    };
    ExpectTheSame(0, &adam, options, theirs, leaves);
  }
}

TEST(Adam, WithDecayIsLibTorchsAdamW) {
  for (const double decay : {0.01, 0.3}) {
    at::manual_seed(4);
    const std::vector<at::Tensor> leaves = RandomLeaves(), theirs = Copies(leaves);
    torch::optim::AdamW adam(theirs, torch::optim::AdamWOptions(1).weight_decay(decay));
    const auto options = [](torch::optim::OptimizerOptions* o) -> torch::optim::AdamWOptions& {
      return static_cast<torch::optim::AdamWOptions&>(*o);
    };
    ExpectTheSame(decay, &adam, options, theirs, leaves);
  }
}

TEST(Adam, IsItsFormula) {
  at::Tensor leaf = at::tensor({2.0f, -3.0f}).requires_grad_();
  Adam adam({leaf}, {0.1});
  std::vector<double> value = {2, -3}, first(2), second(2);
  const std::vector<std::vector<float>> gradients = {{1, -0.5f}, {0.25f, 4}, {-3, 0}};
  for (int step = 1; step <= 3; ++step) {
    leaf.mutable_grad() = at::tensor(gradients[step - 1]);
    adam.Step(0.02);
    for (int i = 0; i < 2; ++i) {
      const double g = gradients[step - 1][i];
      value[i] -= 0.02 * 0.1 * value[i];
      first[i] = 0.9 * first[i] + 0.1 * g;
      second[i] = 0.999 * second[i] + 0.001 * g * g;
      const double width = std::sqrt(second[i] / (1 - std::pow(0.999, step))) + 1e-8;
      value[i] -= 0.02 * first[i] / (1 - std::pow(0.9, step)) / width;
      EXPECT_NEAR(leaf[i].item<float>(), value[i], 1e-6);
    }
  }
}

TEST(Adam, LeavesWhatHasNoGradient) {
  at::Tensor with = at::ones({2}).requires_grad_(), without = at::ones({2}).requires_grad_();
  Adam adam({with, without}, {0.5, 0.5});
  with.mutable_grad() = at::ones({2});
  adam.Step(0.1);
  EXPECT_NE(with[0].item<float>(), 1);
  EXPECT_EQ(without[0].item<float>(), 1);
  adam.ZeroGrad();
  EXPECT_FALSE(with.grad().defined());
}

TEST(Adam, KeepsBinaryWeightsWithinOneAndCountsWhatFlips) {
  const at::Tensor values = at::tensor({0.5f, -0.5f, 0.01f, -0.01f, 0.99f, 0.0f});
  at::Tensor binary = values.clone().requires_grad_(), free = values.clone().requires_grad_();
  Adam adam({binary, free}, {0, 0}, {true, false});
  const at::Tensor gradient = at::tensor({1.0f, -1.0f, 1.0f, -1.0f, -1.0f, 0.0f});
  binary.mutable_grad() = free.mutable_grad() = gradient;
  EXPECT_EQ(adam.Step(0.1), 2);  // the two next to 0; 0 itself counts as positive and stays
  EXPECT_EQ(binary[4].item<float>(), 1);
  EXPECT_GT(free[4].item<float>(), 1);
  EXPECT_EQ(adam.Step(0), 0);
}

// More values than one thread takes at a time, in tensors that end anywhere.
TEST(Adam, GivesTheSameBitsWhateverTheNumberOfThreads) {
  const auto run = [](int threads) {
    at::set_num_threads(threads);
    at::manual_seed(8);
    std::vector<at::Tensor> leaves;
    for (int64_t size : {3, 20000, 1, 17000, 40000}) {
      leaves.push_back(at::randn({size}).requires_grad_());
    }
    Adam adam(leaves, std::vector<double>(leaves.size(), 0.1), {true, true, true, false, true});
    int64_t flipped = 0;
    for (int step = 0; step < 3; ++step) {
      for (at::Tensor& leaf : leaves) leaf.mutable_grad() = at::randn_like(leaf);
      flipped += adam.Step(0.3);
    }
    at::set_num_threads(1);
    return std::pair(flipped, at::cat(leaves).detach());
  };
  const auto one = run(1), three = run(3);
  EXPECT_GT(one.first, 1000);
  EXPECT_EQ(one.first, three.first);
  EXPECT_TRUE(at::equal(one.second, three.second));
}

}  // namespace
}  // namespace ddnn::train

#include "train/batch_loss.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

#include "tests/train/toy_dataset.h"

namespace ddnn::train {
namespace {

struct Case {
  NetworkPlan plan;
  std::vector<ExitBatch> exits;  // leaves
  at::Tensor labels, view_labels, class_weights;
};

// Exits of a random plan, scores that overflow a naive softmax among them, and as many labels and
// views missing as there may be.
Case RandomCase(int seed) {
  std::mt19937 random(seed);
  at::manual_seed(seed);
  v1::NetworkSpec spec = PlanOf(TinySpec(seed % 2 == 0 ? "MP" : "AP")).spec();
  for (int t = 0; t < spec.tier_size(); ++t) {
    spec.mutable_tier(t)->mutable_exit()->set_weight(0.25f * static_cast<float>(1 + random() % 5));
  }
  spec.mutable_tier(0)->mutable_exit()->set_each_weight(0.5f * static_cast<float>(random() % 3));
  Case c{*NetworkPlan::Create(spec), {}, {}, {}, {}};
  const int64_t batch = 1 + static_cast<int64_t>(random() % 9), views = c.plan.views();
  for (const ExitPlan& exit : c.plan.exits()) {
    const int64_t nodes = exit.tier == 0 ? views : 1;
    ExitBatch b;
    const double size = random() % 3 == 0 ? 200 : 2;
    b.node_scores = (at::randn({batch, nodes, 3}) * size).requires_grad_();
    b.scores = (at::randn({batch, 3}) * size).requires_grad_();
    if (random() % 2 == 0) {
      b.node_mask = (at::rand({batch, nodes}) < 0.6).to(at::kFloat);
      b.mask = b.node_mask.amax(1);
    }
    c.exits.push_back(b);
  }
  c.labels = at::randint(0, 4, {batch}, at::kLong);  // 3 counts nowhere
  c.view_labels = at::where(at::rand({batch, views}) < 0.7, c.labels.unsqueeze(1), 3);
  if (seed % 3 == 0) c.class_weights = at::tensor({0.3f, 0.0f, 2.5f});
  return c;
}

at::Tensor Leaf(const at::Tensor& t) { return t.detach().clone().requires_grad_(); }

void ExpectGradient(const at::Tensor& found, const at::Tensor& expected) {
  if (!expected.defined()) {
    EXPECT_TRUE(!found.defined() || found.abs().max().item<float>() == 0);
    return;
  }
  const at::Tensor there = found.defined() ? found : at::zeros_like(expected);
  EXPECT_LT((there - expected).abs().max().item<float>(), 1e-5);
}

TEST(LossOfBatch, IsTheJointLossWithItsGradientsAndCounts) {
  for (int seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    Case c = RandomCase(seed);
    std::vector<ExitBatch> plain = c.exits;
    for (ExitBatch& b : plain) {
      b.scores = Leaf(b.scores);
      b.node_scores = Leaf(b.node_scores);
    }
    std::vector<at::Tensor> losses;
    const at::Tensor joint =
        JointLoss(c.plan, plain, c.labels, c.view_labels, &losses, c.class_weights);
    joint.backward();
    const BatchLoss found = LossOfBatch(c.plan, c.exits, c.labels, c.view_labels, c.class_weights);
    Backward(c.exits, found);
    EXPECT_NEAR(found.value, joint.item<double>(), 1e-5 * (1 + joint.item<double>()));
    ASSERT_EQ(found.exits.size(), plain.size());
    for (size_t e = 0; e < plain.size(); ++e) {
      const auto [counted, right] = CountRight(c.plan, plain[e], c.labels);
      EXPECT_EQ(found.exits[e].counted, counted);
      EXPECT_EQ(found.exits[e].right, right);
      const double loss = losses[e].item<double>();
      EXPECT_NEAR(found.exits[e].loss, loss, 1e-5 * (1 + loss));
      ExpectGradient(c.exits[e].scores.grad(), plain[e].scores.grad());
      ExpectGradient(c.exits[e].node_scores.grad(), plain[e].node_scores.grad());
    }
  }
}

// The joined scores are a function of the nodes': both paths of the gradient must add up.
TEST(LossOfBatch, ReachesTheNodesThroughTheJoinedScoresToo) {
  Case c = RandomCase(4);
  ExitBatch& exit = c.exits[0];
  const auto gradient = [&](bool fused) {
    const at::Tensor leaf = Leaf(exit.node_scores);
    exit.node_scores = leaf * 1;
    exit.scores = exit.node_scores.amax(1);
    if (fused) {
      Backward(c.exits, LossOfBatch(c.plan, c.exits, c.labels, c.view_labels));
    } else {
      JointLoss(c.plan, c.exits, c.labels, c.view_labels).backward();
    }
    return leaf.grad();
  };
  ExpectGradient(gradient(true), gradient(false));
}

TEST(LossOfBatch, IsNoNumberWhereAScoreIsNone) {
  Case c = RandomCase(2);
  c.labels.fill_(1);
  c.exits[1].mask = at::Tensor();
  c.exits[1].scores = at::full({c.labels.size(0), 3}, std::numeric_limits<float>::quiet_NaN());
  EXPECT_FALSE(std::isfinite(LossOfBatch(c.plan, c.exits, c.labels, c.view_labels).value));
}

}  // namespace
}  // namespace ddnn::train

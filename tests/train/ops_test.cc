#include "train/ops.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "runtime/core/aggregate.h"
#include "runtime/core/feature_codec.h"
#include "runtime/core/score_codec.h"
#include "tests/train/toy_dataset.h"

namespace ddnn::train {
namespace {

std::vector<float> Values(const at::Tensor& t) {
  const at::Tensor flat = t.contiguous().flatten();
  return std::vector<float>(flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
}

TEST(SignSte, IsPlusOneAtZeroAndPassesTheGradientUpToOne) {
  const at::Tensor x =
      at::tensor({-2.0f, -1.0f, -0.5f, -0.0f, 0.0f, 0.5f, 1.0f, 1.5f}).requires_grad_();
  const at::Tensor y = SignSte(x);
  EXPECT_EQ(Values(y), (std::vector<float>{-1, -1, -1, 1, 1, 1, 1, 1}));
  y.backward(at::arange(1, 9, at::kFloat));
  EXPECT_EQ(Values(x.grad()), (std::vector<float>{0, 2, 3, 4, 5, 6, 7, 0}));
}

TEST(SignSte, MatchesElementsWhateverTheMemoryFormat) {
  at::manual_seed(3);
  const at::Tensor x = at::randn({2, 5, 3, 4});
  const at::Tensor last = x.contiguous(at::MemoryFormat::ChannelsLast).requires_grad_();
  EXPECT_TRUE(at::equal(SignSte(last), SignSte(x)));
  // The gradient arrives in the other layout.
  const at::Tensor weights = at::randn({2, 5, 3, 4});
  (SignSte(last) * weights).sum().backward();
  EXPECT_TRUE(at::equal(last.grad(), weights * (x.abs() <= 1)));
}

struct Norm {
  explicit Norm(int64_t channels)
      : gamma(at::rand({channels}) - 0.5),
        beta(at::randn({channels})),
        mean(at::zeros({channels})),
        variance(at::ones({channels})) {}
  at::Tensor Run(const at::Tensor& x, const at::Tensor& mask) const {
    return MaskedBatchNorm(x, mask, gamma, beta, mean, variance, 0.1, 1e-5);
  }
  at::Tensor gamma, beta, mean, variance;
};

TEST(MaskedBatchNorm, CountsPresentSamplesOnly) {
  at::manual_seed(5);
  Norm masked(3), plain(3);
  plain.gamma = masked.gamma;
  plain.beta = masked.beta;
  const at::Tensor x = at::randn({6, 3, 4, 5});
  const at::Tensor mask = at::tensor({1.f, 0.f, 1.f, 1.f, 0.f, 1.f}).view({6, 1});
  const at::Tensor kept = x.index({mask.view(-1) > 0});
  const at::Tensor expected = plain.Run(kept, {});
  const at::Tensor found = masked.Run(x, mask).index({mask.view(-1) > 0});
  EXPECT_TRUE(at::allclose(found, expected, 1e-4, 1e-5));
  EXPECT_TRUE(at::allclose(masked.mean, plain.mean, 1e-4, 1e-6));
  EXPECT_TRUE(at::allclose(masked.variance, plain.variance, 1e-4, 1e-6));
}

TEST(MaskedBatchNorm, HasTheGradientsOfBatchNormOverPresentSamples) {
  at::manual_seed(9);
  for (int64_t side : {1, 3}) {
    // Each of two nodes, alone, over the samples it is present in.
    const int64_t batch = 9, each = 5;
    const at::Tensor x = at::randn({batch, 2 * each, side, side});
    const at::Tensor dy = at::randn({batch, 2 * each, side, side});
    at::Tensor mask = (at::rand({batch, 2}) < 0.6).to(at::kFloat);
    mask.narrow(0, 0, 3).fill_(1);
    Norm norm(2 * each);
    const at::Tensor spread = SpreadMask(mask, each);
    at::Tensor whole = x.clone().requires_grad_();
    norm.gamma.requires_grad_();
    norm.beta.requires_grad_();
    (norm.Run(whole, mask) * spread).backward(dy);
    for (int node = 0; node < 2; ++node) {
      const at::Tensor seen = mask.select(1, node) > 0;
      Norm alone(each);
      alone.gamma = norm.gamma.detach().narrow(0, node * each, each).clone().requires_grad_();
      alone.beta = norm.beta.detach().narrow(0, node * each, each).clone().requires_grad_();
      const at::Tensor part = x.narrow(1, node * each, each).index({seen}).clone().requires_grad_();
      alone.Run(part, {}).backward(dy.narrow(1, node * each, each).index({seen}));
      const auto same = [&](const at::Tensor& found, const at::Tensor& expected) {
        EXPECT_TRUE(at::allclose(found, expected, 1e-3, 1e-5)) << found << expected;
      };
      same(whole.grad().narrow(1, node * each, each).index({seen}), part.grad());
      same(norm.gamma.grad().narrow(0, node * each, each), alone.gamma.grad());
      same(norm.beta.grad().narrow(0, node * each, each), alone.beta.grad());
      EXPECT_EQ(whole.grad()
                    .narrow(1, node * each, each)
                    .index({seen.logical_not()})
                    .abs()
                    .sum()
                    .item<float>(),
                0);
    }
  }
}

TEST(MaskedBatchNorm, IgnoresWhatAbsentSamplesShow) {
  at::manual_seed(6);
  Norm a(4), b(4);
  b.gamma = a.gamma;
  b.beta = a.beta;
  const at::Tensor mask = at::tensor({1.f, 0.f, 0.f, 1.f, 1.f, 1.f}).view({3, 2});
  const at::Tensor x = at::randn({3, 4, 2, 2});
  const at::Tensor other = x + 100 * (1 - SpreadMask(mask, 2));
  const at::Tensor present = SpreadMask(mask, 2);
  EXPECT_TRUE(at::equal(a.Run(x, mask) * present, b.Run(other, mask) * present));
  EXPECT_TRUE(at::equal(a.mean, b.mean));
  EXPECT_TRUE(at::equal(a.variance, b.variance));
}

TEST(MaskedBatchNorm, LeavesStatisticsOfANodeThatNobodySees) {
  Norm norm(2);
  const at::Tensor x = at::randn({3, 2, 2, 2}).requires_grad_();
  const at::Tensor y = norm.Run(x, at::tensor({1.f, 0.f, 1.f, 0.f, 1.f, 0.f}).view({3, 2}));
  EXPECT_EQ(norm.mean[1].item<float>(), 0);
  EXPECT_EQ(norm.variance[1].item<float>(), 1);
  EXPECT_NE(norm.mean[0].item<float>(), 0);
  y.sum().backward();
  EXPECT_TRUE(at::isfinite(x.grad()).all().item<bool>());
}

// The joins of training against those of the runtime, on the same inputs and masks.
class JoinTest : public ::testing::TestWithParam<v1::Aggregator> {};

TEST_P(JoinTest, ScoresAreJoinedAsTheRuntimeDoes) {
  at::manual_seed(7);
  Random random(7);
  for (int round = 0; round < 30; ++round) {
    const int nodes = RandomInt(1, 5, &random), classes = RandomInt(2, 6, &random);
    const at::Tensor scores = at::randn({1, nodes, classes});
    at::Tensor mask = at::zeros({1, nodes});
    std::vector<std::vector<float>> children(nodes);
    for (int n = 0; n < nodes; ++n) {
      if (n != round % nodes && RandomInt(0, 1, &random) == 0) continue;
      mask[0][n] = 1;
      children[n] = Values(scores[0][n]);
    }
    const auto expected = JoinScores(GetParam(), children);
    ASSERT_TRUE(expected.ok()) << expected.status();
    const std::vector<float> found = Values(JoinScoreBatch(GetParam(), scores, mask));
    ASSERT_EQ(found.size(), expected->size());
    for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], (*expected)[i], 1e-6);
    if (mask.sum().item<float>() == nodes) {
      EXPECT_TRUE(at::allclose(JoinScoreBatch(GetParam(), scores, {}),
                               JoinScoreBatch(GetParam(), scores, mask)));
    }
  }
}

TEST_P(JoinTest, NobodyPresentGivesZerosAndFiniteGradients) {
  const at::Tensor scores = at::randn({2, 3, 4}).requires_grad_();
  const at::Tensor joined = JoinScoreBatch(GetParam(), scores, at::zeros({2, 3}));
  EXPECT_EQ(joined.abs().sum().item<float>(), 0);
  joined.sum().backward();
  EXPECT_TRUE(at::isfinite(scores.grad()).all().item<bool>());
}

TEST_P(JoinTest, FeaturesAreJoinedAsTheRuntimeDoes) {
  at::manual_seed(8);
  Random random(8);
  for (bool grid : {false, true}) {
    if (grid && GetParam() != v1::CC) continue;
    v1::NetworkSpec spec = PlanOf(TinySpec()).spec();
    spec.set_views(6);
    v1::Aggregation* how = spec.mutable_tier(1)->mutable_features();
    how->set_kind(GetParam());
    if (grid) {
      how->mutable_grid()->set_rows(3);
      how->mutable_grid()->set_columns(2);
    }
    const auto plan = NetworkPlan::Create(spec);
    ASSERT_TRUE(plan.ok()) << plan.status();
    const ValueType& type = plan->node(0, 0).features;
    for (int round = 0; round < 10; ++round) {
      const at::Tensor maps =
          (at::randn({1, 6, type.shape.channels, type.shape.height, type.shape.width}) >= 0)
                  .to(at::kFloat) *
              2 -
          1;
      at::Tensor mask = at::zeros({1, 6});
      std::vector<ChildFeatures> children(6);
      for (int n = 0; n < 6; ++n) {
        if (n != round % 6 && RandomInt(0, 1, &random) == 0) continue;
        mask[0][n] = 1;
        children[n].packed = PackFeatures(type, spec.input(), Values(maps[0][n]));
        children[n].presence = uint64_t{1} << n;
      }
      const auto expected = JoinFeatures(*plan, 1, 0, children);
      ASSERT_TRUE(expected.ok()) << expected.status();
      const at::Tensor stacked = (maps * mask.view({1, 6, 1, 1, 1})).flatten(1, 2);
      const std::vector<float> found = Values(JoinFeatureBatch(*how, 6, stacked, mask));
      ASSERT_EQ(found.size(), expected->size());
      for (size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], (*expected)[i], 1e-6);
    }
  }
}

// Doubles go the plain way, operation by operation.
TEST_P(JoinTest, HasThePlainFormulationsGradientTiesIncluded) {
  at::manual_seed(9);
  for (int round = 0; round < 30; ++round) {
    const int64_t batch = 1 + round % 7, nodes = 1 + round % 5;
    const at::Tensor scores = at::randint(-2, 3, {batch, nodes, 3}, at::kFloat).requires_grad_();
    const at::Tensor plain = scores.detach().to(at::kDouble).requires_grad_();
    at::Tensor mask;
    if (round % 3 != 0) mask = (at::rand({batch, nodes}) < 0.6).to(at::kFloat);
    const at::Tensor found = JoinScoreBatch(GetParam(), scores, mask);
    const at::Tensor expected = JoinScoreBatch(GetParam(), plain, mask);
    const at::Tensor dy = at::randn(found.sizes());
    found.backward(dy);
    expected.backward(dy.to(at::kDouble));
    EXPECT_TRUE(at::allclose(found.detach().to(at::kDouble), expected.detach()));
    EXPECT_TRUE(at::allclose(scores.grad().to(at::kDouble), plain.grad(), 1e-5, 1e-6)) << round;
  }
}

TEST_P(JoinTest, HidesNoScoreThatIsNoNumber) {
  at::Tensor scores = at::zeros({1, 3, 2});
  for (int64_t node = 0; node < 3; ++node) {
    scores.fill_(1);
    scores[0][node][1] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(JoinScoreBatch(GetParam(), scores, {}).sum().item<float>())) << node;
  }
}

INSTANTIATE_TEST_SUITE_P(All, JoinTest, ::testing::Values(v1::MP, v1::AP, v1::CC),
                         [](const auto& info) { return v1::Aggregator_Name(info.param); });

TEST(RoundScoresSte, LeavesWhatTravelsAndPassesTheGradientWithinTheRange) {
  v1::ScoreCode code;
  code.set_bits(5);
  code.set_range(3);
  const at::Tensor scores = (at::rand({40, 10}) * 10 - 5).requires_grad_();
  const at::Tensor rounded = RoundScoresSte(code, scores);
  const at::Tensor plain = scores.detach().contiguous();
  std::vector<float> expected(plain.data_ptr<float>(), plain.data_ptr<float>() + plain.numel());
  RoundScores(code, &expected);
  for (int64_t i = 0; i < plain.numel(); ++i) {
    EXPECT_NEAR(rounded.view(-1)[i].item<float>(), expected[i], 1e-5);
  }
  rounded.sum().backward();
  EXPECT_TRUE(at::equal(scores.grad(), (scores.detach().abs() <= 3).to(at::kFloat)));
  const at::Tensor untouched = RoundScoresSte({}, scores);
  EXPECT_TRUE(untouched.is_same(scores));
}

}  // namespace
}  // namespace ddnn::train

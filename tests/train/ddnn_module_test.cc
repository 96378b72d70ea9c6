#include "train/ddnn_module.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "runtime/node/whole_network.h"
#include "runtime/torch/torch_engine.h"
#include "tests/train/toy_dataset.h"
#include "train/epoch_record.h"
#include "train/learner.h"

namespace ddnn::train {
namespace {

struct Inputs {
  at::Tensor pixels, presence, labels, view_labels;
};

// Random pixels; each view is present with `chance`, and one of them always.
Inputs RandomInputs(const NetworkPlan& plan, int batch, double chance) {
  const Shape shape = plan.view_shape();
  Inputs in;
  in.pixels = at::randint(0, 256, {batch, plan.views(), shape.channels, shape.height, shape.width},
                          at::kByte);
  in.presence = at::rand({batch, plan.views()}) < chance;
  for (int b = 0; b < batch; ++b) in.presence[b][b % plan.views()] = true;
  in.labels = at::randint(0, plan.classes(), {batch}, at::kLong);
  in.view_labels = at::where(in.presence, in.labels.unsqueeze(1), plan.classes());
  return in;
}

// Anything training could have led to, negative batch norm scales among it.
void Scramble(const DdnnModule& module) {
  at::NoGradGuard no_grad;
  for (const at::Tensor& p : module.parameters()) at::Tensor(p).uniform_(-1, 1);
}

std::vector<WholeOutput> RunExported(const DdnnModule& module, const Inputs& in) {
  const NetworkPlan& plan = module.plan();
  Bundle bundle{{}, plan, "", std::vector<ExitThreshold>(plan.exits().size(), 0.0f), {}};
  for (const v1::Section& section : module.Export()) {
    const absl::Status fits = CheckSection(plan, section);
    EXPECT_TRUE(fits.ok()) << fits;
    bundle.sections[{*plan.FindTier(section.tier()), section.node()}] = section;
  }
  auto network = WholeNetwork::Create(bundle, CreateTorchEngine);
  if (!network.ok()) {
    ADD_FAILURE() << network.status();
    return {};
  }
  const int64_t bytes = in.pixels[0].numel();
  std::vector<WholeInput> inputs(in.pixels.size(0));
  for (size_t i = 0; i < inputs.size(); ++i) {
    const at::Tensor sample = in.pixels[i].contiguous();
    inputs[i].pixels.assign(reinterpret_cast<const char*>(sample.data_ptr<uint8_t>()), bytes);
    for (int v = 0; v < plan.views(); ++v) {
      if (in.presence[i][v].item<bool>()) inputs[i].presence |= uint64_t{1} << v;
    }
  }
  auto outputs = (*network)->Run(inputs);
  EXPECT_TRUE(outputs.ok()) << outputs.status();
  return outputs.ok() ? *std::move(outputs) : std::vector<WholeOutput>();
}

void ExpectExportedAgrees(const NetworkPlan& plan, double tolerance) {
  DdnnModule module(plan);
  Scramble(module);
  // Statistics that are not 0 and 1.
  module.Forward(RandomInputs(plan, 12, 0.7).pixels, RandomInputs(plan, 12, 0.7).presence);
  module.set_training(false);
  const Inputs in = RandomInputs(plan, 5, 0.6);
  const std::vector<ExitBatch> exits = module.Forward(in.pixels, in.presence);
  const std::vector<WholeOutput> outputs = RunExported(module, in);
  ASSERT_EQ(outputs.size(), 5u);
  for (size_t e = 0; e < exits.size(); ++e) {
    for (int b = 0; b < 5; ++b) {
      for (int c = 0; c < plan.classes(); ++c) {
        const float expected = exits[e].scores[b][c].item<float>();
        ASSERT_NEAR(outputs[b].exit_scores[e][c], expected,
                    tolerance * std::max(1.0f, std::fabs(expected)))
            << plan.exits()[e].name << ", sample " << b << "\n"
            << plan.spec().DebugString();
      }
    }
  }
}

TEST(DdnnModule, ComputesWhatTheExportedBinarySectionsCompute) {
  for (int seed = 1; seed <= 25; ++seed) {
    Random random(seed);
    at::manual_seed(seed);
    RandomSpecOptions options;
    options.binary_only = true;
    const auto plan = NetworkPlan::Create(RandomSpec(options, &random));
    ASSERT_TRUE(plan.ok()) << plan.status();
    // Everything up to the scores' own affine layer and average is exact.
    ExpectExportedAgrees(*plan, 1e-6);
  }
}

TEST(DdnnModule, ComputesWhatTheExportedFloatSectionsCompute) {
  v1::NetworkSpec spec = PlanOf(TinySpec("CC", "AP")).spec();
  v1::Tier* device = spec.mutable_tier(0);
  *device->mutable_layer(0)->mutable_conv() = v1::Conv(device->layer(0).binary_conv());
  device->mutable_layer(3)->mutable_relu();
  *device->mutable_exit()->mutable_layer(1)->mutable_linear() =
      v1::Linear(device->exit().layer(1).binary_linear());
  v1::Tier* cloud = spec.mutable_tier(1);
  *cloud->mutable_layer(0)->mutable_conv() = v1::Conv(cloud->layer(0).binary_conv());
  cloud->mutable_layer(2)->mutable_average_pool()->set_kernel(2);
  cloud->mutable_exit()->add_layer()->mutable_dropout()->set_probability(0.5);
  for (int seed = 1; seed <= 5; ++seed) {
    at::manual_seed(seed);
    const auto plan = NetworkPlan::Create(spec);
    ASSERT_TRUE(plan.ok()) << plan.status();
    ExpectExportedAgrees(*plan, 1e-4);
  }
}

// The scores of all exits in training mode and the gradients of all parameters.
std::vector<at::Tensor> TrainedWith(const v1::NetworkSpec& from, v1::Precision precision) {
  v1::NetworkSpec spec = from;
  spec.mutable_training()->set_precision(precision);
  at::manual_seed(3);
  DdnnModule module(PlanOf(spec.DebugString()));
  const Inputs in = RandomInputs(module.plan(), 8, 0.8);
  std::vector<at::Tensor> all;
  at::Tensor sum = at::zeros({});
  for (const ExitBatch& exit : module.Forward(in.pixels, in.presence)) {
    EXPECT_EQ(exit.scores.scalar_type(), at::kFloat);
    all.push_back(exit.scores.detach());
    sum = sum + (exit.scores * at::arange(exit.scores.size(1))).sum();
  }
  sum.backward();
  for (const at::Tensor& p : module.parameters()) {
    EXPECT_EQ(p.scalar_type(), at::kFloat);
    all.push_back(p.grad().defined() ? p.grad() : at::zeros_like(p));
  }
  return all;
}

TEST(DdnnModule, ComputesFloatConvolutionsInBfloat16WhereTheSpecSaysSo) {
  v1::NetworkSpec spec = PlanOf(TinySpec("CC", "CC")).spec();
  v1::Tier* device = spec.mutable_tier(0);
  *device->mutable_layer(0)->mutable_conv() = v1::Conv(device->layer(0).binary_conv());
  device->mutable_layer(3)->mutable_relu();
  const std::vector<at::Tensor> whole = TrainedWith(spec, v1::FLOAT32);
  const std::vector<at::Tensor> half = TrainedWith(spec, v1::BFLOAT16);
  ASSERT_EQ(half.size(), whole.size());
  // A bias before batch norm has no gradient but what rounding leaves.
  double longest = 0, largest = 0;
  for (const at::Tensor& t : whole) longest = std::max(longest, t.norm().item<double>());
  for (size_t i = 0; i < whole.size(); ++i) {
    const double size = whole[i].norm().item<double>() + 0.1 * longest;
    const double off = (half[i] - whole[i]).norm().item<double>() / size;
    EXPECT_LT(off, 0.1) << i << ": " << whole[i] << half[i];
    largest = std::max(largest, off);
  }
  EXPECT_GT(largest, 1e-5);
}

TEST(DdnnModule, NeverRoundsABinaryNetwork) {
  for (int seed = 1; seed <= 5; ++seed) {
    Random random(seed);
    RandomSpecOptions options;
    options.binary_only = true;
    const v1::NetworkSpec spec = RandomSpec(options, &random);
    const std::vector<at::Tensor> whole = TrainedWith(spec, v1::FLOAT32);
    const std::vector<at::Tensor> half = TrainedWith(spec, v1::BFLOAT16);
    for (size_t i = 0; i < whole.size(); ++i) EXPECT_TRUE(at::equal(half[i], whole[i])) << i;
  }
}

TEST(DdnnModule, IsNotMovedByWhatAbsentViewsShow) {
  at::manual_seed(2);
  const NetworkPlan plan = PlanOf(TinySpec());
  const DdnnModule module(plan);
  const Inputs in = RandomInputs(plan, 8, 0.5);
  const at::Tensor other =
      at::where(in.presence.view({8, 3, 1, 1, 1}), in.pixels, at::full_like(in.pixels, 255));
  const auto a = module.Forward(in.pixels, in.presence);
  const auto b = module.Forward(other, in.presence);
  for (size_t e = 0; e < a.size(); ++e) EXPECT_TRUE(at::equal(a[e].scores, b[e].scores));
}

TEST(DdnnModule, ABatchWithoutAnyViewCostsNothingAndBreaksNothing) {
  for (const char* join : {"MP", "AP", "CC"}) {
    at::manual_seed(3);
    const NetworkPlan plan = PlanOf(TinySpec(join, join));
    const DdnnModule module(plan);
    Inputs in = RandomInputs(plan, 4, 1);
    in.presence.fill_(false);
    const auto exits = module.Forward(in.pixels, in.presence);
    const at::Tensor loss = JointLoss(plan, exits, in.labels, in.view_labels);
    EXPECT_EQ(loss.item<float>(), 0) << join;
    loss.backward();
    for (const at::Tensor& p : module.parameters()) {
      if (!p.grad().defined()) continue;
      EXPECT_TRUE(at::isfinite(p.grad()).all().item<bool>()) << join;
    }
    EXPECT_EQ(CountRight(plan, exits[0], in.labels).first, 0);
    for (const v1::Section& section : module.Export()) {
      EXPECT_TRUE(CheckSection(plan, section).ok());
    }
  }
}

TEST(JointLoss, LeavesOutLabelsThatSayAbsent) {
  at::manual_seed(4);
  const NetworkPlan plan = PlanOf(TinySpec());
  const DdnnModule module(plan);
  Inputs in = RandomInputs(plan, 6, 1);
  const auto exits = module.Forward(in.pixels, in.presence);
  const at::Tensor nothing = at::full({6}, plan.classes(), at::kLong);
  const at::Tensor no_views = at::full({6, 3}, plan.classes(), at::kLong);
  EXPECT_EQ(JointLoss(plan, exits, nothing, no_views).item<float>(), 0);
  EXPECT_EQ(CountRight(plan, exits[1], nothing).first, 0);

  // A sample without a label weighs nothing: the rest has the loss it has alone.
  at::Tensor labels = in.labels.clone();
  labels[5] = plan.classes();
  std::vector<ExitBatch> first = exits;
  for (ExitBatch& exit : first) {
    exit.scores = exit.scores.narrow(0, 0, 5);
    exit.node_scores = exit.node_scores.narrow(0, 0, 5);
  }
  EXPECT_NEAR(
      JointLoss(plan, exits, labels, no_views).item<float>(),
      JointLoss(plan, first, labels.narrow(0, 0, 5), no_views.narrow(0, 0, 5)).item<float>(), 1e-5);
}

TEST(JointLoss, AddsEveryExitAndEveryNodeWithItsWeight) {
  v1::NetworkSpec spec = PlanOf(TinySpec("AP")).spec();
  spec.mutable_tier(0)->mutable_exit()->set_weight(0.25f);
  spec.mutable_tier(0)->mutable_exit()->set_each_weight(0.5f);
  spec.mutable_tier(1)->mutable_exit()->set_weight(2);
  const auto plan = NetworkPlan::Create(spec);
  ASSERT_TRUE(plan.ok()) << plan.status();
  // Uniform scores cost log 3 wherever they are counted.
  ExitBatch local, cloud;
  local.node_scores = at::zeros({4, 3, 3});
  local.scores = at::zeros({4, 3});
  cloud.node_scores = at::zeros({4, 1, 3});
  cloud.scores = at::zeros({4, 3});
  const at::Tensor labels = at::tensor({0L, 1L, 2L, 0L}, at::kLong);
  const at::Tensor view_labels = labels.unsqueeze(1).expand({4, 3});
  EXPECT_NEAR(JointLoss(*plan, {local, cloud}, labels, view_labels).item<float>(),
              (0.25 + 3 * 0.5 + 2) * std::log(3.0), 1e-5);
}

TEST(JointLoss, WeighsClassesAsLibTorchsCrossEntropyDoes) {
  at::manual_seed(6);
  v1::NetworkSpec spec = PlanOf(TinySpec("AP")).spec();
  spec.mutable_tier(0)->mutable_exit()->set_weight(0.25f);
  spec.mutable_tier(0)->mutable_exit()->set_each_weight(0.5f);
  const NetworkPlan plan = *NetworkPlan::Create(spec);
  ExitBatch local, cloud;
  local.node_scores = at::randn({8, 3, 3});
  local.scores = at::randn({8, 3});
  cloud.node_scores = at::randn({8, 1, 3});
  cloud.scores = at::randn({8, 3});
  const at::Tensor labels = at::randint(0, 3, {8}, at::kLong);
  at::Tensor views = labels.unsqueeze(1).repeat({1, 3});
  views[2][1] = views[7][1] = 3;  // absent: left out
  const at::Tensor weights = at::tensor({0.3f, 0.0f, 2.5f});
  const auto mean = [&](const at::Tensor& scores, const at::Tensor& expected) {
    return at::cross_entropy_loss(scores, expected, weights, at::Reduction::Mean,
                                  /*ignore_index=*/3)
        .item<double>();
  };
  double expected = mean(cloud.scores, labels) + 0.25 * mean(local.scores, labels);
  for (int v = 0; v < 3; ++v) {
    expected += 0.5 * mean(local.node_scores.select(1, v), views.select(1, v));
  }
  const auto loss = [&](const at::Tensor& class_weights) {
    return JointLoss(plan, {local, cloud}, labels, views, nullptr, class_weights).item<double>();
  };
  EXPECT_NEAR(loss(weights), expected, 1e-5);
  // A mean: only their ratios count.
  for (double factor : {0.01, 10.0}) EXPECT_NEAR(loss(factor * weights), expected, 1e-5);
  EXPECT_NEAR(loss(at::ones({3})), loss({}), 1e-6);
  EXPECT_EQ(loss(at::zeros({3})), 0);
}

// Overfits one batch by every way of joining: gradients reach all that is needed, CC's own linear
// layer over the scores included.
class OverfitTest : public ::testing::TestWithParam<const char*> {};

TEST_P(OverfitTest, LearnsOneBatchByHeart) {
  at::manual_seed(5);
  const NetworkPlan plan = PlanOf(TinySpec(GetParam(), GetParam()));
  Learner learner(plan, at::kCPU);
  const Inputs in = RandomInputs(plan, 12, 1);
  double first = 0, last = 0;
  v1::EpochRecord record;
  for (int step = 0; step < 150; ++step) {
    record = NewEpochRecord(plan, 1);
    last = learner.Step({in.pixels, in.presence, in.labels, in.view_labels}, 0.02, &record);
    if (step == 0) first = last;
  }
  EXPECT_LT(last, first / 3);
  for (const v1::ExitEpoch& exit : record.exit()) {
    EXPECT_EQ(exit.counted(), 12);
    EXPECT_GE(exit.right(), 11);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryJoin, OverfitTest, ::testing::Values("MP", "AP", "CC"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace ddnn::train

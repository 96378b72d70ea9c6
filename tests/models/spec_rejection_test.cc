#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "models/network_plan.h"
#include "tests/models/base_spec.h"

namespace ddnn {
namespace {

constexpr int kHuge = std::numeric_limits<int>::max();
constexpr int kLow = std::numeric_limits<int>::min();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

using Spec = v1::NetworkSpec;

struct Rejection {
  const char* name;
  std::function<void(Spec*)> change;
  /// All of them must be in the error.
  std::vector<std::string> says;
};

v1::Conv* Conv1(Spec* s) { return s->mutable_tier(0)->mutable_layer(0)->mutable_binary_conv(); }
v1::Pool* Pool1(Spec* s) { return s->mutable_tier(0)->mutable_layer(1)->mutable_max_pool(); }

class SpecRejection : public testing::TestWithParam<Rejection> {};

TEST_P(SpecRejection, NamesThePlaceAndWhatWasFound) {
  Spec spec = BaseSpec();
  GetParam().change(&spec);
  const absl::Status status = NetworkPlan::Create(spec).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  for (const std::string& part : GetParam().says) {
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(part));
  }
  EXPECT_LT(status.message().size(), 1000u);
}

std::vector<Rejection> Names() {
  return {
      {"OneBitScores",
       [](Spec* s) {
         s->mutable_tier(s->tier_size() - 1)->mutable_exit()->mutable_score_code()->set_bits(1);
         s->mutable_tier(s->tier_size() - 1)->mutable_exit()->mutable_score_code()->set_range(1);
       },
       {"score_code has bits 1", "2 to 8"}},
      {"ScoresWithoutRange",
       [](Spec* s) {
         s->mutable_tier(s->tier_size() - 1)->mutable_exit()->mutable_score_code()->set_bits(8);
       },
       {"score_code has range 0", "1e-6 to 1e6"}},
      {"ScoreCodeOfOneNode",
       [](Spec* s) {
         v1::ScoreCode* code =
             s->mutable_tier(s->tier_size() - 1)->mutable_exit()->mutable_score_code();
         code->set_bits(8);
         code->set_range(1);
       },
       {"score_code", "the tier has one"}},
      {"NoName", [](Spec* s) { s->clear_name(); }, {"name is \"\""}},
      {"PathAsName", [](Spec* s) { s->set_name("../x"); }, {"name is", "../x"}},
      {"LongName", [](Spec* s) { s->set_name(std::string(1 << 20, 'x')); }, {"name is"}},
      {"PathAsTierName",
       [](Spec* s) { s->mutable_tier(1)->set_name("a/b"); },
       {"tier.name", "a/b"}},
      {"TierTwice", [](Spec* s) { s->mutable_tier(1)->set_name("device"); }, {"device", "twice"}},
      {"ExitTwice",
       [](Spec* s) { s->mutable_tier(2)->mutable_exit()->set_name("local"); },
       {"cloud.exit.name", "local", "twice"}},
      {"ReservedExit",
       [](Spec* s) { s->mutable_tier(2)->mutable_exit()->set_name("overall"); },
       {"overall"}},
      {"OneClass",
       [](Spec* s) {
         s->clear_class_name();
         s->add_class_name("a");
       },
       {"1 classes", "2 to 65536"}},
      {"ClassTwice", [](Spec* s) { s->set_class_name(2, "cat"); }, {"cat", "twice"}},
      {"ClassAsPath", [](Spec* s) { s->set_class_name(2, "../../etc"); }, {"class_name"}},
      {"ClassAsList", [](Spec* s) { s->set_class_name(2, "cat,dog"); }, {"class_name", "commas"}},
      {"EmptyClass", [](Spec* s) { s->set_class_name(2, ""); }, {"class_name"}},
  };
}

std::vector<Rejection> Inputs() {
  return {
      {"NoInput", [](Spec* s) { s->clear_input(); }, {"input is 0x0x0"}},
      {"NegativeHeight", [](Spec* s) { s->mutable_input()->set_height(-1); }, {"1x-1x8"}},
      {"HugeInput", [](Spec* s) { s->mutable_input()->set_width(kHuge); }, {"2147483647"}},
      {"LargeInput",
       [](Spec* s) {
         s->mutable_input()->set_height(65536);
         s->mutable_input()->set_width(65536);
       },
       {"1x65536x65536", "more than 16777216"}},
      {"Offset", [](Spec* s) { s->mutable_input()->set_offset(256); }, {"input.offset is 256"}},
      {"NoScale", [](Spec* s) { s->mutable_input()->clear_scale(); }, {"input.scale is 0"}},
      {"NanScale", [](Spec* s) { s->mutable_input()->set_scale(kNan); }, {"input.scale is nan"}},
      {"InfScale", [](Spec* s) { s->mutable_input()->set_scale(kInf); }, {"input.scale is inf"}},
      {"NegativeScale", [](Spec* s) { s->mutable_input()->set_scale(-1); }, {"input.scale is -1"}},
      {"InexactScale",
       [](Spec* s) { s->mutable_input()->set_scale(0.3f); },
       {"device.conv1", "power of two", "0.3"}},
      {"NoViews", [](Spec* s) { s->clear_views(); }, {"views is 0", "1 to 64"}},
      {"ManyViews", [](Spec* s) { s->set_views(65); }, {"views is 65", "1 to 64"}},
      {"HugeViews", [](Spec* s) { s->set_views(kHuge); }, {"views is 2147483647"}},
  };
}

std::vector<Rejection> Layers() {
  return {
      {"EmptyLayer", [](Spec* s) { s->mutable_tier(0)->add_layer(); }, {"device.4"}},
      {"NamedEmptyLayer",
       [](Spec* s) { s->mutable_tier(0)->add_layer()->set_name("mystery"); },
       {"device.mystery"}},
      {"NoFilters", [](Spec* s) { Conv1(s)->set_filters(0); }, {"device.conv1", "0 filters"}},
      {"LowFilters", [](Spec* s) { Conv1(s)->set_filters(kLow); }, {"device.conv1", "filters"}},
      {"HugeFilters",
       [](Spec* s) { Conv1(s)->set_filters(kHuge); },
       {"device.conv1", "2147483647"}},
      {"ManyFilters",
       [](Spec* s) { Conv1(s)->set_filters(1 << 20); },
       {"device.conv1", "1048576x8x8", "more than 16777216"}},
      {"NoKernel", [](Spec* s) { Conv1(s)->set_kernel(0); }, {"device.conv1", "kernel 0"}},
      {"LowKernel",
       [](Spec* s) { Conv1(s)->set_kernel(kLow); },
       {"device.conv1", "kernel -2147483648"}},
      {"HugeKernel",
       [](Spec* s) { Conv1(s)->set_kernel(kHuge); },
       {"device.conv1", "kernel 2147483647"}},
      {"LargeKernel",
       [](Spec* s) {
         Conv1(s)->set_kernel(11);
         Conv1(s)->set_padding(1);
       },
       {"device.conv1", "kernel 11", "1x8x8", "expected at least 9"}},
      {"NegativeStride", [](Spec* s) { Conv1(s)->set_stride(-1); }, {"device.conv1", "stride -1"}},
      {"HugeStride", [](Spec* s) { Conv1(s)->set_stride(kHuge); }, {"device.conv1", "stride"}},
      {"Padding",
       [](Spec* s) { Conv1(s)->set_padding(3); },
       {"device.conv1", "padding 3", "0 to 2"}},
      {"LowPadding", [](Spec* s) { Conv1(s)->set_padding(kLow); }, {"device.conv1", "padding"}},
      {"PoolPadding",
       [](Spec* s) { Pool1(s)->set_padding(2); },
       {"device.1", "max_pool", "padding 2", "0 to 1"}},
      {"PoolKernel", [](Spec* s) { Pool1(s)->set_kernel(kLow); }, {"device.1", "max_pool"}},
      {"UnflattenedLinear",
       [](Spec* s) { s->mutable_tier(2)->mutable_layer(1)->mutable_linear()->set_outputs(2); },
       {"cloud.1", "linear", "4x2x2", "16x1x1"}},
      {"NoOutputs",
       [](Spec* s) {
         s->mutable_tier(2)->mutable_exit()->mutable_layer(1)->mutable_linear()->set_outputs(0);
       },
       {"cloud.final.1"}},
      {"ManyWeights",
       [](Spec* s) {
         auto* exit = s->mutable_tier(2)->mutable_exit();
         exit->mutable_layer(1)->mutable_linear()->set_outputs(1 << 24);
       },
       {"cloud.final.1", "weights"}},
      {"Epsilon",
       [](Spec* s) { s->mutable_tier(0)->mutable_layer(2)->mutable_batch_norm()->set_epsilon(0); },
       {"device.2", "epsilon 0"}},
      {"NanMomentum",
       [](Spec* s) {
         s->mutable_tier(0)->mutable_layer(2)->mutable_batch_norm()->set_momentum(kNan);
       },
       {"device.2", "momentum nan"}},
      {"Dropout",
       [](Spec* s) { s->mutable_tier(2)->add_layer()->mutable_dropout()->set_probability(1); },
       {"cloud.2", "probability 1"}},
      {"DropoutInThePair",
       [](Spec* s) {
         *s->mutable_tier(0)->add_layer() = s->tier(0).layer(3);
         s->mutable_tier(0)->mutable_layer(3)->mutable_dropout()->set_probability(0.5f);
       },
       {"device.3", "between batch_norm and sign"}},
      {"ManyLayers",
       [](Spec* s) {
         for (int i = 0; i < 257; ++i) s->mutable_tier(2)->add_layer()->mutable_relu();
       },
       {"cloud", "layers", "at most 256"}},
  };
}

std::vector<Rejection> Trees() {
  return {
      {"NoTier", [](Spec* s) { s->clear_tier(); }, {"0 tiers"}},
      {"ManyTiers",
       [](Spec* s) {
         for (int i = 0; i < 9; ++i) s->add_tier()->set_name("t" + std::to_string(i));
       },
       {"12 tiers", "1 to 8"}},
      {"RootWithoutExit", [](Spec* s) { s->mutable_tier(2)->clear_exit(); }, {"cloud", "exit"}},
      {"DeviceFeatures",
       [](Spec* s) { s->mutable_tier(0)->mutable_features()->set_kind(v1::CC); },
       {"device", "features"}},
      {"DeviceNodes", [](Spec* s) { s->mutable_tier(0)->add_node(); }, {"device", "node"}},
      {"NoFeatures",
       [](Spec* s) { s->mutable_tier(1)->clear_features(); },
       {"edge", "features.kind is 0"}},
      {"UnknownAggregator",
       [](Spec* s) {
         s->mutable_tier(1)->mutable_features()->set_kind(static_cast<v1::Aggregator>(9));
       },
       {"edge", "features.kind is 9"}},
      {"GridOfMaxima",
       [](Spec* s) {
         s->mutable_tier(1)->mutable_features()->set_kind(v1::MP);
         s->mutable_tier(1)->mutable_features()->mutable_grid()->set_rows(1);
       },
       {"edge", "grid needs kind CC"}},
      {"GridSize",
       [](Spec* s) {
         s->mutable_tier(1)->mutable_features()->mutable_grid()->set_rows(2);
         s->mutable_tier(1)->mutable_features()->mutable_grid()->set_columns(2);
       },
       {"edge", "2 rows and 2 columns for 2 children"}},
      {"HugeGrid",
       [](Spec* s) {
         s->mutable_tier(1)->mutable_features()->mutable_grid()->set_rows(kHuge);
         s->mutable_tier(1)->mutable_features()->mutable_grid()->set_columns(kHuge);
       },
       {"edge", "grid"}},
      {"ChildMissing",
       [](Spec* s) { s->mutable_tier(1)->mutable_node(1)->mutable_child()->RemoveLast(); },
       {"edge.node", "no node joins child 2 of device"}},
      {"ChildTwice",
       [](Spec* s) { s->mutable_tier(1)->mutable_node(1)->add_child(0); },
       {"edge.node 1", "child 0 of device", "node 0 has"}},
      {"ChildOutOfRange",
       [](Spec* s) { s->mutable_tier(1)->mutable_node(1)->add_child(4); },
       {"edge.node 1", "child 4", "0 to 3"}},
      {"NegativeChild",
       [](Spec* s) { s->mutable_tier(1)->mutable_node(1)->add_child(kLow); },
       {"edge.node 1", "0 to 3"}},
      {"EmptyNode", [](Spec* s) { s->mutable_tier(1)->add_node(); }, {"edge.node 2", "no child"}},
      {"TwoRoots",
       [](Spec* s) { s->mutable_tier()->RemoveLast(); },
       {"edge", "last tier has 2 nodes"}},
      {"ExitUnderTwoParents",
       [](Spec* s) {
         v1::Exit* exit = s->mutable_tier(0)->mutable_exit();
         exit->set_name("early");
         exit->set_scores(v1::AP);
         exit->add_layer()->mutable_flatten();
         exit->add_layer()->mutable_linear()->set_outputs(3);
       },
       {"device.early", "must meet at one parent", "edge has 2"}},
      {"ScoresMissing",
       [](Spec* s) { s->mutable_tier(1)->mutable_exit()->clear_scores(); },
       {"edge.local", "scores is 0"}},
      {"ScoresOfOne",
       [](Spec* s) { s->mutable_tier(2)->mutable_exit()->set_scores(v1::MP); },
       {"cloud.final", "scores", "one"}},
      {"WrongHead",
       [](Spec* s) {
         s->mutable_tier(2)->mutable_exit()->mutable_layer(1)->mutable_linear()->set_outputs(4);
       },
       {"cloud.final", "4x1x1", "3x1x1"}},
      {"DifferentShapes",
       [](Spec* s) {
         s->mutable_tier(1)->clear_layer();
         s->mutable_tier(1)->clear_exit();
         s->mutable_tier(1)->mutable_node(0)->mutable_child()->RemoveLast();
         s->mutable_tier(1)->mutable_node(1)->add_child(3);
         s->mutable_tier(2)->mutable_features()->set_kind(v1::MP);
       },
       {"cloud", "2x4x4", "6x4x4"}},
      {"EmptyTierThatAverages",
       [](Spec* s) {
         s->mutable_tier(1)->clear_layer();
         s->mutable_tier(1)->mutable_features()->set_kind(v1::AP);
       },
       {"edge", "without layers", "CC"}},
  };
}

std::vector<Rejection> Trainings() {
  return {
      {"ExitWeight",
       [](Spec* s) { s->mutable_tier(2)->mutable_exit()->set_weight(-1); },
       {"cloud.exit", "weight -1"}},
      {"NanEachWeight",
       [](Spec* s) { s->mutable_tier(1)->mutable_exit()->set_each_weight(kNan); },
       {"edge.exit", "nan"}},
      {"Epochs", [](Spec* s) { s->mutable_training()->set_epochs(-1); }, {"training.epochs is -1"}},
      {"Batch", [](Spec* s) { s->mutable_training()->set_batch(kHuge); }, {"training.batch"}},
      {"LearningRate",
       [](Spec* s) { s->mutable_training()->set_learning_rate(kInf); },
       {"training.learning_rate is inf"}},
      {"ViewDropout",
       [](Spec* s) { s->mutable_training()->set_view_dropout(1); },
       {"training.view_dropout is 1"}},
      {"AccuracyDrop",
       [](Spec* s) { s->mutable_training()->set_max_accuracy_drop(2); },
       {"training.max_accuracy_drop is 2"}},
      {"Samples",
       [](Spec* s) { s->mutable_training()->set_samples_per_epoch(-5); },
       {"training.samples_per_epoch is -5"}},
      {"EmptySchedule",
       [](Spec* s) { s->mutable_training()->mutable_schedule(); },
       {"training.schedule is empty", "one_cycle"}},
      {"StepWithoutEpochs",
       [](Spec* s) { s->mutable_training()->mutable_schedule()->mutable_step()->set_factor(0.1f); },
       {"training.schedule.step.epochs is 0", "expected 1"}},
      {"StepThatGrows",
       [](Spec* s) {
         s->mutable_training()->mutable_schedule()->mutable_step()->set_epochs(1);
         s->mutable_training()->mutable_schedule()->mutable_step()->set_factor(2);
       },
       {"training.schedule.step.factor is 2", "0 to 1"}},
      {"CosineEnd",
       [](Spec* s) { s->mutable_training()->mutable_schedule()->mutable_cosine()->set_end(-1); },
       {"training.schedule.cosine.end is -1"}},
      {"WarmUp",
       [](Spec* s) {
         s->mutable_training()->mutable_schedule()->mutable_one_cycle()->set_warm_up(kNan);
       },
       {"training.schedule.one_cycle.warm_up is nan"}},
      {"Decay",
       [](Spec* s) { s->mutable_training()->mutable_weight_decay()->set_rate(-0.1f); },
       {"training.weight_decay.rate is -0.1", "0 to 10"}},
      {"Precision",
       [](Spec* s) { s->mutable_training()->set_precision(static_cast<v1::Precision>(7)); },
       {"training.precision is 7", "FLOAT32 or BFLOAT16"}},
      {"Patience",
       [](Spec* s) { s->mutable_training()->set_patience(-1); },
       {"training.patience is -1"}},
      {"PatienceWithoutEpochs",
       [](Spec* s) {
         s->mutable_training()->set_epochs(0);
         s->mutable_training()->set_patience(3);
       },
       {"training.patience is 3", "training.epochs", "is 0"}},
      {"ClassWeightCount",
       [](Spec* s) { s->mutable_training()->mutable_class_weights()->add_weight(1); },
       {"training.class_weights.weight", "found 1", "expected 3"}},
      {"ClassWeight",
       [](Spec* s) {
         for (float w : {1.0f, 1.0f, -2.0f}) {
           s->mutable_training()->mutable_class_weights()->add_weight(w);
         }
       },
       {"training.class_weights.weight[2] is -2"}},
      {"ClassWeightsAllZero",
       [](Spec* s) {
         for (int c = 0; c < 3; ++c) s->mutable_training()->mutable_class_weights()->add_weight(0);
       },
       {"training.class_weights.weight is 0 for every class"}},
      {"TwoKindsOfClassWeights",
       [](Spec* s) {
         s->mutable_training()->mutable_class_weights()->set_balanced(true);
         s->mutable_training()->mutable_class_weights()->add_weight(1);
       },
       {"training.class_weights", "both"}},
      {"EmptyClassWeights",
       [](Spec* s) { s->mutable_training()->mutable_class_weights(); },
       {"training.class_weights is empty", "balanced"}},
      {"Shift",
       [](Spec* s) { s->mutable_training()->add_augmentation()->set_shift(8); },
       {"training.augmentation[0].shift is 8", "0 to 7"}},
      {"Flip",
       [](Spec* s) { s->mutable_training()->add_augmentation()->set_flip(1.5f); },
       {"training.augmentation[0].flip is 1.5"}},
      {"Crop",
       [](Spec* s) { s->mutable_training()->add_augmentation()->set_crop(1); },
       {"training.augmentation[0].crop is 1", "0.9"}},
      {"Brightness",
       [](Spec* s) { s->mutable_training()->add_augmentation()->set_brightness(kNan); },
       {"training.augmentation[0].brightness is nan"}},
      {"Erase",
       [](Spec* s) { s->mutable_training()->add_augmentation()->set_erase(9); },
       {"training.augmentation[0].erase is 9", "0 to 8"}},
      {"AugmentedViewThatIsNot",
       [](Spec* s) { s->mutable_training()->add_augmentation()->add_view(4); },
       {"training.augmentation[0].view is 4", "0 to 3"}},
      {"ViewAugmentedTwice",
       [](Spec* s) {
         s->mutable_training()->add_augmentation()->add_view(2);
         s->mutable_training()->add_augmentation();
       },
       {"training.augmentation[1].view", "view 2"}},
  };
}

const auto kParamName = [](const auto& info) { return std::string(info.param.name); };
INSTANTIATE_TEST_SUITE_P(Names, SpecRejection, testing::ValuesIn(Names()), kParamName);
INSTANTIATE_TEST_SUITE_P(Inputs, SpecRejection, testing::ValuesIn(Inputs()), kParamName);
INSTANTIATE_TEST_SUITE_P(Layers, SpecRejection, testing::ValuesIn(Layers()), kParamName);
INSTANTIATE_TEST_SUITE_P(Trees, SpecRejection, testing::ValuesIn(Trees()), kParamName);
INSTANTIATE_TEST_SUITE_P(Trainings, SpecRejection, testing::ValuesIn(Trainings()), kParamName);

TEST(SpecRejection, TheUnchangedSpecIsFine) { EXPECT_TRUE(NetworkPlan::Create(BaseSpec()).ok()); }

}  // namespace
}  // namespace ddnn

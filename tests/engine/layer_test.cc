// Small cases by hand: what each layer does at its borders and ties.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/text_format.h"
#include "runtime/core/float_bytes.h"
#include "tests/engine/engines.h"

namespace ddnn {
namespace testing {
namespace {

using ::testing::ElementsAre;

DDNN_INSTANTIATE_FOR_ALL_ENGINES();

// One device with the body given.
NetworkPlan DevicePlan(const std::string& input, const std::string& body) {
  return PlanOf(absl::StrCat(
      "name: 'n' views: 1 class_name: ['a', 'b'] input { ", input, " } tier { name: 'device' ",
      body, " exit { name: 'e' layer { flatten {} } layer { linear { outputs: 2 } } } }"));
}

// Two devices whose features reach the cloud through CC; the body given is the cloud's.
NetworkPlan CloudPlan(const std::string& device, const std::string& body) {
  return PlanOf(absl::StrCat(
      "name: 'n' views: 2 class_name: ['a', 'b'] ",
      "input { channels: 1 height: 1 width: 4 offset: 0 scale: 1 } tier { name: 'device' ", device,
      " } tier { name: 'cloud' features { kind: CC } ", body,
      " exit { name: 'e' layer { flatten {} } layer { linear { outputs: 2 } } } }"));
}

v1::Section SectionOf(const NetworkPlan& plan, int tier, const std::string& body) {
  std::mt19937 rng(1);
  v1::Section section = RandomSection(plan, tier, 0, Weights::kDyadic, &rng);
  v1::Section given;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(body, &given));
  if (given.body_size() > 0) *section.mutable_body() = given.body();
  return section;
}

std::string Escaped(const std::string& bytes) {
  std::string text;
  for (unsigned char c : bytes) {
    text += {'\\', static_cast<char>('0' + c / 64), static_cast<char>('0' + c / 8 % 8),
             static_cast<char>('0' + c % 8)};
  }
  return text;
}

class LayerCase {
 public:
  LayerCase(const EngineUnderTest& engine, NetworkPlan plan, int tier, const std::string& body)
      : plan_(std::move(plan)), node_(plan_.node(tier, 0)) {
    auto made = engine.create(plan_, SectionOf(plan_, tier, body));
    EXPECT_TRUE(made.ok()) << made.status();
    if (made.ok()) engine_ = *std::move(made);
  }

  std::vector<float> Pixels(const std::string& pixels) { return Run({pixels, {}}); }
  std::vector<float> Values(const std::vector<float>& values) { return Run({{}, values}); }

 private:
  std::vector<float> Run(const SectionInput& input) {
    if (engine_ == nullptr) return {};
    auto out = engine_->Run({input});
    EXPECT_TRUE(out.ok()) << out.status();
    if (!out.ok()) return {};
    return Unpacked(plan_, node_, out->front().features);
  }

  NetworkPlan plan_;
  NodePlan node_;
  std::unique_ptr<Engine> engine_;
};

constexpr char kSquare[] = "channels: 1 height: 2 width: 2 offset: 10 scale: 0.5";
constexpr char kConv3[] = "layer { binary_conv { filters: 1 kernel: 3 padding: 1 } }";

std::string Conv3(const std::string& bits) {
  return absl::StrCat("body { binary_conv { filters: 1 kernel: 3 padding: 1 weights: '",
                      Escaped(Bits(bits)), "' } }");
}

TEST_P(EngineTest, PixelsAreShiftedAndScaledAndPaddingAddsNothing) {
  LayerCase layer(GetParam(), DevicePlan(kSquare, kConv3), 0, Conv3("111111111"));
  // (11 + 12 + 13 + 4 - 4 * 10) / 2 in every window.
  EXPECT_THAT(layer.Pixels({11, 12, 13, 4}), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(layer.Pixels({11, 12, 13, 5}), ElementsAre(0.5, 0.5, 0.5, 0.5));
}

TEST_P(EngineTest, WeightsLieInTheOrderOfTheFile) {
  // Only the weight right of the centre is +1.
  LayerCase layer(GetParam(), DevicePlan(kSquare, kConv3), 0, Conv3("000001000"));
  // Right neighbour minus all others.
  EXPECT_THAT(layer.Pixels({12, 14, 10, 10}), ElementsAre(1, -3, -3, -3));
}

TEST_P(EngineTest, ThresholdsTakeTiesAsReachedAndFlipAndHoldConstants) {
  const NetworkPlan plan =
      DevicePlan("channels: 1 height: 1 width: 3 offset: 100 scale: 0.25",
                 "layer { binary_conv { filters: 4 kernel: 1 } } layer { batch_norm {} } "
                 "layer { sign {} }");
  LayerCase layer(GetParam(), plan, 0,
                  absl::StrCat("body { binary_conv { filters: 4 kernel: 1 weights: '",
                               Escaped(Bits("1111")), "' } } body { threshold { at: 5 at: 5 ",
                               "at: 16777216 at: -16777216 unit: 0.25 flip: '",
                               Escaped(Bits("0100")), "' } }"));
  EXPECT_THAT(layer.Pixels({104, 105, 106}), ElementsAre(-1, 1, 1, 1, -1, -1, -1, -1, -1, 1, 1, 1));
}

TEST_P(EngineTest, SignOfZeroIsPlusOne) {
  LayerCase layer(GetParam(), DevicePlan(kSquare, "layer { sign {} }"), 0, "body { sign {} }");
  EXPECT_THAT(layer.Pixels({9, 10, 11, 0}), ElementsAre(-1, 1, 1, -1));
}

TEST_P(EngineTest, MaxPoolPadsWithLessThanAnything) {
  const std::string pool = "max_pool { kernel: 2 stride: 2 padding: 1 }";
  LayerCase layer(GetParam(), DevicePlan(kSquare, absl::StrCat(kConv3, " layer { ", pool, " }")), 0,
                  absl::StrCat(Conv3("000010000"), " body { ", pool, " }"));
  // The convolution gives each pixel minus the three others, all negative here.
  EXPECT_THAT(layer.Pixels({20, 20, 20, 20}), ElementsAre(-10, -10, -10, -10));
}

TEST_P(EngineTest, AveragePoolDividesByTheValuesInside) {
  const std::string pool = "average_pool { kernel: 2 stride: 1 padding: 1 }";
  LayerCase layer(GetParam(), DevicePlan(kSquare, absl::StrCat("layer { ", pool, " }")), 0,
                  absl::StrCat("body { ", pool, " }"));
  EXPECT_THAT(layer.Pixels({12, 14, 16, 18}), ElementsAre(1, 1.5, 2, 2, 2.5, 3, 3, 3.5, 4));
}

TEST_P(EngineTest, ReluCutsBelowZero) {
  LayerCase layer(GetParam(), DevicePlan(kSquare, "layer { relu {} }"), 0, "body { relu {} }");
  EXPECT_THAT(layer.Pixels({8, 10, 12, 0}), ElementsAre(0, 0, 1, 0));
}

TEST_P(EngineTest, AffineRoundsTheProductBeforeTheSum) {
  const NetworkPlan plan =
      DevicePlan("channels: 1 height: 1 width: 1 offset: 0 scale: 1", "layer { batch_norm {} }");
  // 41 * 0.1f rounds to 4.1f; a fused multiply-add would keep the difference.
  LayerCase layer(GetParam(), plan, 0,
                  absl::StrCat("body { affine { scale: '", Escaped(FloatBytes({0.1f})), "' bias: '",
                               Escaped(FloatBytes({-(41 * 0.1f)})), "' } }"));
  EXPECT_THAT(layer.Pixels({41}), ElementsAre(0.0f));
}

constexpr char kBits[] = "layer { sign {} }";

TEST_P(EngineTest, MissingSlotsAddNothingToBinarySums) {
  const NetworkPlan plan =
      CloudPlan(kBits, "layer { flatten {} } layer { binary_linear { outputs: 2 } }");
  LayerCase layer(GetParam(), plan, 1,
                  absl::StrCat("body { flatten {} } body { binary_linear { outputs: 2 weights: '",
                               Escaped(Bits("1111111100001111")), "' } }"));
  EXPECT_THAT(layer.Values({1, 1, 1, -1, 0, 0, 0, 0}), ElementsAre(2, -2));
  EXPECT_THAT(layer.Values({0, 0, 0, 0, 1, 1, 1, -1}), ElementsAre(2, 2));
}

TEST_P(EngineTest, MissingSlotsBecomePlusOneBehindSign) {
  LayerCase layer(GetParam(), CloudPlan(kBits, kBits), 1, "body { sign {} }");
  EXPECT_THAT(layer.Values({1, -1, 1, -1, 0, 0, 0, 0}), ElementsAre(1, -1, 1, -1, 1, 1, 1, 1));
}

TEST_P(EngineTest, MaxPoolKeepsAMissingSlotBetweenMinusAndPlusOne) {
  const NetworkPlan plan = CloudPlan(kBits,
                                     "layer { max_pool { kernel: 1 } } layer { flatten {} } "
                                     "layer { binary_linear { outputs: 1 } }");
  LayerCase layer(GetParam(), plan, 1,
                  absl::StrCat("body { max_pool { kernel: 1 } } body { flatten {} } ",
                               "body { binary_linear { outputs: 1 weights: '",
                               Escaped(Bits("11111111")), "' } }"));
  EXPECT_THAT(layer.Values({1, -1, 1, 1, 0, 0, 0, 0}), ElementsAre(2));
}

TEST_P(EngineTest, ANodeWithoutLayersHandsOnItsPixels) {
  LayerCase layer(GetParam(), CloudPlan("", kBits), 0, "");
  EXPECT_THAT(layer.Pixels({1, 2, static_cast<char>(200), 0}), ElementsAre(1, 2, 200, 0));
}

}  // namespace
}  // namespace testing
}  // namespace ddnn

// Sections as ONNX models, run by OpenCV's dnn, against the device engine.
#include <onnx/checker.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "models/section_layout.h"
#include "runtime/core/bundle.h"
#include "runtime/core/float_bytes.h"
#include "tests/engine/engines.h"
#include "tests/engine/random_network_spec.h"
#include "tests/tools/onnx_support.h"
#include "tools/export/section_onnx.h"

namespace ddnn {
namespace testing {
namespace {

constexpr int kBatch = 3;
constexpr unsigned kCases = 120;

// One random section, its model, and what the device engine says to a batch.
class Case {
 public:
  Case(Arithmetic arithmetic, unsigned seed)
      : rng_(seed), plan_(RandomPlan(arithmetic, &rng_)), tier_(static_cast<int>(rng_() % 2)) {
    const Weights weights = arithmetic == Arithmetic::kBinary ? Weights::kDyadic : Weights::kReal;
    section_ = RandomSection(plan_, tier_, 0, weights, &rng_);
    const std::vector<SectionInput> batch = RandomBatch(node(), kBatch, &rng_);
    input_ = ModelInput(batch);
    auto engine = CreateLiteEngine(plan_, section_);
    EXPECT_TRUE(engine.ok()) << engine.status();
    auto out = (*engine)->Run(batch);
    EXPECT_TRUE(out.ok()) << out.status();
    outputs_ = *std::move(out);
    model_ = SectionGraph(plan_, section_).model();
  }

  const NetworkPlan& plan() const { return plan_; }
  const NodePlan& node() const { return plan_.node(tier_, 0); }
  const v1::Section& section() const { return section_; }
  const onnx::ModelProto& model() const { return model_; }
  std::map<std::string, std::vector<float>> RunModel() const {
    return RunOpenCv(model_, input_, kBatch);
  }
  std::vector<float> features() const {
    std::vector<float> all;
    for (const SectionOutput& out : outputs_) {
      const std::vector<float> values = Unpacked(plan_, node(), out.features);
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }
  std::vector<float> scores() const {
    std::vector<float> all;
    for (const SectionOutput& out : outputs_) {
      all.insert(all.end(), out.scores.begin(), out.scores.end());
    }
    return all;
  }

 private:
  std::mt19937 rng_;
  NetworkPlan plan_;
  int tier_;
  v1::Section section_;
  onnx::ModelProto model_;
  std::vector<float> input_;
  std::vector<SectionOutput> outputs_;
};

std::string Trace(unsigned seed, const Case& c) {
  return "seed " + std::to_string(seed) + " " + c.section().tier() + "\n" +
         c.plan().spec().DebugString();
}

TEST(SectionModel, GivesTheBitsOfTheDeviceEngineInOpenCv) {
  int heads = 0;
  for (unsigned seed = 0; seed < kCases; ++seed) {
    const Case c(Arithmetic::kBinary, seed);
    SCOPED_TRACE(Trace(seed, c));
    auto found = c.RunModel();
    // A missing child's zero has no bit of its own: what travels is -1.
    if (c.node().features.kind == ValueKind::kBit) {
      for (float& x : found["features"]) x = x > 0 ? 1 : -1;
    }
    ASSERT_EQ(found["features"], c.features());
    if (c.section().head().empty()) continue;
    if (c.section().head(c.section().head_size() - 1).has_binary_linear()) {
      ASSERT_EQ(found["scores"], c.scores());
      ++heads;
    } else {
      ExpectClose(found["scores"], c.scores());
    }
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(heads, 20);
}

TEST(SectionModel, GivesTheFloatsOfTheDeviceEngineInOpenCv) {
  std::map<v1::SectionLayer::KindCase, int> met;
  for (unsigned seed = 0; seed < kCases; ++seed) {
    const Case c(Arithmetic::kFloat, seed);
    SCOPED_TRACE(Trace(seed, c));
    auto found = c.RunModel();
    ExpectClose(found["features"], c.features());
    ExpectClose(found["scores"], c.scores());
    if (HasFatalFailure()) return;
    for (const v1::SectionLayer& layer : c.section().body()) ++met[layer.kind_case()];
    for (const v1::SectionLayer& layer : c.section().head()) ++met[layer.kind_case()];
  }
  for (auto kind : {v1::SectionLayer::kConv, v1::SectionLayer::kLinear, v1::SectionLayer::kAffine,
                    v1::SectionLayer::kMaxPool, v1::SectionLayer::kAveragePool,
                    v1::SectionLayer::kRelu, v1::SectionLayer::kBinaryConv}) {
    EXPECT_GE(met[kind], 10) << kind;
  }
}

TEST(SectionModel, PassesTheCheckerOfOnnx) {
  for (unsigned seed = 0; seed < kCases; ++seed) {
    for (Arithmetic arithmetic : {Arithmetic::kBinary, Arithmetic::kFloat}) {
      const Case c(arithmetic, seed);
      SCOPED_TRACE(Trace(seed, c));
      ASSERT_NO_THROW(onnx::checker::check_model(c.model()));
      ASSERT_EQ(c.model().opset_import(0).version(), 13);
    }
  }
}

TEST(SectionModel, ZeroIsPositiveBehindSign) {
  const NetworkPlan plan = PlanOf(R"pb(
    name: "signs"
    input { channels: 1 height: 1 width: 3 offset: 100 scale: 0.3 }
    views: 1
    class_name: "a"
    class_name: "b"
    tier {
      name: "device"
      layer { batch_norm {} }
      layer { sign {} }
    }
    tier {
      name: "cloud"
      features { kind: CC }
      exit {
        name: "cloud"
        layer { flatten {} }
        layer { linear { outputs: 2 } }
      }
    }
  )pb");
  v1::Section section;
  section.set_network("signs");
  section.set_tier("device");
  v1::Affine* affine = section.add_body()->mutable_affine();
  affine->set_scale(FloatBytes({2}));
  affine->set_bias(FloatBytes({0}));
  section.add_body()->mutable_sign();
  ASSERT_TRUE(CheckSection(plan, section).ok()) << CheckSection(plan, section);
  const auto out = RunOpenCv(SectionGraph(plan, section).model(), {99, 100, 101}, 1);
  EXPECT_EQ(out.at("features"), (std::vector<float>{-1, 1, 1}));
}

TEST(ScoresModel, IsTheLinearLayerBehindConcatenatedScores) {
  int met = 0;
  for (unsigned seed = 0; seed < 3 * kCases && met < 20; ++seed) {
    std::mt19937 rng(seed);
    const NetworkPlan plan = RandomPlan(Arithmetic::kFloat, &rng);
    if (LayOutSection(plan, 1, 0).scores.empty()) continue;
    ++met;
    const v1::Section section = RandomSection(plan, 1, 0, Weights::kReal, &rng);
    std::vector<float> joined(static_cast<size_t>(plan.classes()) *
                              plan.node(1, 0).children.size());
    for (float& x : joined) x = static_cast<float>(rng() % 1000) / 100 - 5;
    auto engine = CreateLiteEngine(plan, section);
    ASSERT_TRUE(engine.ok()) << engine.status();
    const auto expected = (*engine)->RunScores(joined);
    ASSERT_TRUE(expected.ok()) << expected.status();
    const onnx::ModelProto model = ScoresGraph(plan, section).model();
    ASSERT_NO_THROW(onnx::checker::check_model(model));
    ExpectClose(RunOpenCv(model, joined, 1).at("scores"), *expected);
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(met, 20);
}

}  // namespace
}  // namespace testing
}  // namespace ddnn

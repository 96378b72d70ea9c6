// Whole random sections: each engine against the plain reference, and so against the other.
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "models/section_layout.h"
#include "tests/engine/engines.h"
#include "tests/engine/random_network_spec.h"

namespace ddnn {
namespace testing {
namespace {

DDNN_INSTANTIATE_FOR_ALL_ENGINES();

constexpr int kBatch = 3;

class RandomCase {
 public:
  RandomCase(Arithmetic arithmetic, unsigned seed)
      : rng_(seed), plan_(RandomPlan(arithmetic, &rng_)), tier_(static_cast<int>(rng_() % 2)) {
    const Weights weights = arithmetic == Arithmetic::kBinary ? Weights::kDyadic : Weights::kReal;
    section_ = RandomSection(plan_, tier_, 0, weights, &rng_);
    batch_ = RandomBatch(node(), kBatch, &rng_);
  }

  const NetworkPlan& plan() const { return plan_; }
  const NodePlan& node() const { return plan_.node(tier_, 0); }
  const v1::Section& section() const { return section_; }
  const std::vector<SectionInput>& batch() const { return batch_; }
  std::mt19937* rng() { return &rng_; }

 private:
  std::mt19937 rng_;
  NetworkPlan plan_;
  int tier_;
  v1::Section section_;
  std::vector<SectionInput> batch_;
};

// The cases below mean little unless every binary layer meets pixels, bits and integers.
TEST(RandomSections, MeetEveryBinaryLayerOverEveryKind) {
  std::map<std::pair<v1::SectionLayer::KindCase, ValueKind>, int> met;
  for (unsigned seed = 0; seed < 400; ++seed) {
    RandomCase c(Arithmetic::kBinary, seed);
    const SectionLayout layout = LayOutSection(c.plan(), c.node().tier, 0);
    for (const LayerSlot& slot : layout.body) ++met[{slot.kind, slot.in.kind}];
    for (const LayerSlot& slot : layout.head) ++met[{slot.kind, slot.in.kind}];
  }
  for (ValueKind kind : {ValueKind::kPixel, ValueKind::kBit, ValueKind::kInteger}) {
    for (auto layer : {v1::SectionLayer::kBinaryConv, v1::SectionLayer::kBinaryLinear,
                       v1::SectionLayer::kMaxPool, v1::SectionLayer::kFlatten}) {
      EXPECT_GE((met[{layer, kind}]), 10) << layer << " over " << static_cast<int>(kind);
    }
  }
  for (auto layer :
       {v1::SectionLayer::kThreshold, v1::SectionLayer::kRelu, v1::SectionLayer::kAffine}) {
    EXPECT_GE((met[{layer, ValueKind::kInteger}]), 10) << layer;
  }
}

TEST_P(EngineTest, AgreesBitForBitWithTheReferenceOnBinarySections) {
  for (unsigned seed = 0; seed < 400; ++seed) {
    RandomCase c(Arithmetic::kBinary, seed);
    SCOPED_TRACE(::testing::Message() << "seed " << seed << " " << c.plan().spec().DebugString());
    auto engine = Make(c.plan(), c.section());
    ASSERT_NE(engine, nullptr);
    auto out = engine->Run(c.batch());
    ASSERT_TRUE(out.ok()) << out.status();
    for (int i = 0; i < kBatch; ++i) {
      const ReferenceOutput expected = RunReference(c.plan(), c.node(), c.section(), c.batch()[i]);
      ASSERT_EQ((*out)[i].features,
                PackFeatures(c.node().features, c.plan().spec().input(), expected.features));
      ASSERT_EQ((*out)[i].scores, expected.scores);
    }
  }
}

TEST_P(EngineTest, AgreesWithTheReferenceOnFloatSections) {
  for (unsigned seed = 0; seed < 400; ++seed) {
    RandomCase c(Arithmetic::kFloat, seed);
    SCOPED_TRACE(::testing::Message() << "seed " << seed << " " << c.plan().spec().DebugString());
    auto engine = Make(c.plan(), c.section());
    ASSERT_NE(engine, nullptr);
    auto out = engine->Run(c.batch());
    ASSERT_TRUE(out.ok()) << out.status();
    for (int i = 0; i < kBatch; ++i) {
      const ReferenceOutput expected = RunReference(c.plan(), c.node(), c.section(), c.batch()[i]);
      ExpectClose(Unpacked(c.plan(), c.node(), (*out)[i].features), expected.features);
      ExpectClose((*out)[i].scores, expected.scores);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(EngineTest, ABatchGivesWhatItsSamplesGiveAlone) {
  for (unsigned seed = 1000; seed < 1040; ++seed) {
    RandomCase c(Arithmetic::kBinary, seed);
    auto engine = Make(c.plan(), c.section());
    ASSERT_NE(engine, nullptr);
    // Large enough for LibTorch to choose other kernels than for one sample.
    const std::vector<SectionInput> batch = RandomBatch(c.node(), 33, c.rng());
    auto together = engine->Run(batch);
    ASSERT_TRUE(together.ok()) << together.status();
    ASSERT_EQ(together->size(), batch.size());
    for (size_t i = 0; i < batch.size(); ++i) {
      auto alone = engine->Run({batch[i]});
      ASSERT_TRUE(alone.ok()) << alone.status();
      ASSERT_EQ((*together)[i].features, alone->front().features) << "seed " << seed;
      ASSERT_EQ((*together)[i].scores, alone->front().scores) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace testing
}  // namespace ddnn

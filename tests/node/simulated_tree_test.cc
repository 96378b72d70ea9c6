#include "tests/node/simulated_tree.h"

#include <cstring>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/core/exit_criterion.h"
#include "runtime/core/feature_code.h"
#include "runtime/node/whole_network.h"
#include "tests/node/fake_engine.h"
#include "tests/node/networks.h"

namespace ddnn {
namespace {

using ::testing::IsEmpty;

uint32_t Bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

NetworkPlan Network(uint64_t which) {
  if (which < 6) return SmallNetwork(static_cast<char>('a' + which));
  return RandomNetwork(which);
}

// Random pixels of random views for a number of samples, fed at a steady pace.
class Scene {
 public:
  Scene(const NetworkPlan& plan, uint64_t seed, int samples) : plan_(plan), random_(seed) {
    for (int i = 0; i < samples; ++i) {
      WholeInput input;
      input.presence = random_() & plan.all_views();
      if (random_() % 2 == 0) input.presence = plan.all_views();
      for (int p = 0; p < plan.views() * plan.view_shape().size(); ++p) {
        input.pixels.push_back(static_cast<char>(random_()));
      }
      inputs_.push_back(std::move(input));
    }
  }

  void Feed(SimulatedTree* tree, absl::Duration pace) const {
    const size_t size = plan_.view_shape().size();
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const absl::Time at = tree->now() + pace * static_cast<double>(i);
      for (int view = 0; view < plan_.views(); ++view) {
        if ((inputs_[i].presence >> view & 1) != 0) {
          tree->Feed(view, Key(i), inputs_[i].pixels.substr(view * size, size), at);
        } else {
          tree->FeedAbsent(view, Key(i), at);
        }
      }
    }
  }

  static SampleKey Key(size_t i) { return SampleKey{3, i}; }
  const std::vector<WholeInput>& inputs() const { return inputs_; }

 private:
  const NetworkPlan plan_;
  std::mt19937_64 random_;
  std::vector<WholeInput> inputs_;
};

std::vector<ExitThreshold> SomeThresholds(const NetworkPlan& plan, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<ExitThreshold> thresholds;
  for (size_t i = 0; i < plan.exits().size(); ++i) {
    ExitThreshold threshold(static_cast<float>(random() % 100) / 100.0f);
    const uint64_t levels = random() % plan.views();
    for (uint64_t k = 0; k < levels; ++k) {
      threshold.missing.push_back(static_cast<float>(random() % 110) / 100.0f - 0.1f);
    }
    threshold.criterion = static_cast<v1::Criterion>(random() % 3);
    threshold.temperature = static_cast<float>(random() % 30 + 5) / 10;
    thresholds.push_back(threshold);
  }
  return thresholds;
}

struct Case {
  explicit Case(uint64_t which)
      : plan(Network(which)), bundle(FakeBundle(plan)), thresholds(SomeThresholds(plan, which)) {
    whole = *WholeNetwork::Create(bundle, CreateFakeEngine);
    options.seed = which;
    options.thresholds = thresholds;
  }
  SimulatedTree Tree() const { return SimulatedTree(bundle, CreateFakeEngine, options); }

  NetworkPlan plan;
  Bundle bundle;
  std::vector<ExitThreshold> thresholds;
  std::unique_ptr<WholeNetwork> whole;
  SimulatedTree::Options options;
};

// An answer is what the network run whole says at that exit of just the views it names.
void ExpectTruthful(const Case& test, const Scene& scene, const Answer& answer) {
  if (answer.outcome != Outcome::kAnswered) return;
  const ExitPlan& exit = test.plan.exits()[answer.exit];
  // A node that answers alone has not gone through the layer that joins its siblings' scores.
  if (answer.degraded && exit.scores == v1::CC) return;
  WholeInput input = scene.inputs()[answer.sample.sequence];
  EXPECT_EQ(answer.presence & ~input.presence, 0u);
  ASSERT_NE(answer.presence, 0u);
  input.presence = answer.presence;
  auto output = test.whole->Run({input});
  ASSERT_TRUE(output.ok()) << output.status();
  const std::vector<float>& scores = output->front().exit_scores[answer.exit];
  EXPECT_EQ(answer.class_index, ArgMax(scores));
  EXPECT_EQ(Bits(answer.entropy), Bits(Uncertainty(test.thresholds[answer.exit], scores)));
}

void ExpectAllTruthful(const Case& test, const Scene& scene, const SimulatedTree& tree) {
  for (int tier = 0; tier <= test.plan.root_tier(); ++tier) {
    for (size_t index = 0; index < test.plan.tiers()[tier].nodes.size(); ++index) {
      for (const auto& [key, answers] : tree.record(tier, index).answers) {
        for (const Answer& answer : answers) ExpectTruthful(test, scene, answer);
      }
    }
  }
}

class Tree : public ::testing::TestWithParam<uint64_t> {};

TEST_P(Tree, AnswersAsTheWholeNetworkDoes) {
  const Case test(GetParam());
  const Scene scene(test.plan, GetParam(), 60);
  SimulatedTree tree = test.Tree();
  scene.Feed(&tree, absl::Milliseconds(3));
  tree.RunUntilQuiet(absl::Seconds(10));
  ASSERT_THAT(tree.complaints(), IsEmpty());

  for (size_t i = 0; i < scene.inputs().size(); ++i) {
    const uint64_t presence = scene.inputs()[i].presence;
    Answer expected;
    if (presence != 0) {
      auto output = test.whole->Run({scene.inputs()[i]});
      ASSERT_TRUE(output.ok()) << output.status();
      expected = Decide(test.plan, test.thresholds, output->front(), presence);
    }
    for (int view = 0; view < test.plan.views(); ++view) {
      const auto& answers = tree.record(0, view).answers.at(Scene::Key(i));
      ASSERT_EQ(answers.size(), 1u);
      const Answer& got = answers[0];
      if (presence == 0) {
        EXPECT_EQ(got.outcome, Outcome::kShed);
        EXPECT_EQ(got.reason, "no view present");
        continue;
      }
      EXPECT_EQ(got.outcome, Outcome::kAnswered) << got.reason;
      EXPECT_EQ(got.class_index, expected.class_index);
      EXPECT_EQ(got.exit, expected.exit);
      EXPECT_EQ(Bits(got.entropy), Bits(expected.entropy));
      EXPECT_EQ(got.presence, presence);
      EXPECT_EQ(got.hard, expected.hard);
      EXPECT_FALSE(got.degraded);
      EXPECT_EQ(tree.record(test.plan.root_tier(), 0).hard.count(Scene::Key(i)) > 0, got.hard);
    }
  }
}

TEST_P(Tree, PaysTheBytesOfTheFormulaLessWhatCodingSaves) {
  const Case test(GetParam());
  const Scene scene(test.plan, GetParam(), 40);
  SimulatedTree tree = test.Tree();
  scene.Feed(&tree, absl::Milliseconds(3));
  tree.RunUntilQuiet(absl::Seconds(10));
  const ValueType& type = test.plan.node(0, 0).features;
  for (int view = 0; view < test.plan.views(); ++view) {
    uint64_t all = 0;
    for (const auto& [key, answers] : tree.record(0, view).answers) {
      all += answers[0].payload_bytes;
      const bool present = (scene.inputs()[key.sequence].presence >> view & 1) != 0;
      if (!present) {
        EXPECT_EQ(answers[0].payload_bytes, 0u);
        continue;
      }
      auto output = test.whole->Run({scene.inputs()[key.sequence]});
      ASSERT_TRUE(output.ok()) << output.status();
      const std::string& features = output->front().view_features[view];
      const bool sent = DeviceSendsFeatures(test.plan, answers[0].exit);
      const size_t saved = sent ? features.size() - CodeFeatures(type, features).size() : 0;
      EXPECT_EQ(answers[0].payload_bytes + saved, DevicePayloadBytes(test.plan, answers[0].exit));
    }
    EXPECT_EQ(tree.node(0, view).counters().payload_bytes, all);
  }
}

TEST_P(Tree, LosesNoSampleWhenMessagesAreLost) {
  Case test(GetParam());
  test.options.loss = 0.1;
  test.options.engine_failure = 0.03;
  test.options.max_delay = absl::Milliseconds(60);
  test.options.node.gather_deadline = absl::Milliseconds(80);
  test.options.node.sample_deadline = absl::Milliseconds(600);
  test.options.node.max_samples = 25;
  test.options.node.cache_bytes = 60;
  test.options.node.cache_time = absl::Milliseconds(300);
  test.options.node.share_pixels = true;
  const Scene scene(test.plan, GetParam(), 100);
  SimulatedTree tree = test.Tree();
  scene.Feed(&tree, absl::Milliseconds(10));
  tree.RunUntilQuiet(absl::Seconds(20));
  EXPECT_THAT(tree.complaints(), IsEmpty());
  for (int view = 0; view < test.plan.views(); ++view) {
    EXPECT_EQ(tree.record(0, view).answers.size(), scene.inputs().size());
    EXPECT_EQ(tree.node(0, view).cached_bytes(), 0u);
  }
  ExpectAllTruthful(test, scene, tree);
}

TEST_P(Tree, LosesNoSampleWhenLinksBreakAndMend) {
  Case test(GetParam());
  test.options.max_delay = absl::Milliseconds(20);
  const Scene scene(test.plan, GetParam(), 150);
  SimulatedTree tree = test.Tree();
  scene.Feed(&tree, absl::Milliseconds(5));
  std::mt19937_64 random(GetParam());
  for (int i = 0; i < 60; ++i) {
    tree.RunUntil(tree.now() + absl::Milliseconds(random() % 20));
    const int tier = static_cast<int>(random() % test.plan.root_tier());
    const int index = static_cast<int>(random() % test.plan.tiers()[tier].nodes.size());
    if (random() % 2 == 0) {
      tree.CutLink(tier, index);
    } else {
      tree.MendLink(tier, index);
    }
  }
  tree.RunUntilQuiet(absl::Seconds(20));
  EXPECT_THAT(tree.complaints(), IsEmpty());
  for (int view = 0; view < test.plan.views(); ++view) {
    EXPECT_EQ(tree.record(0, view).answers.size(), scene.inputs().size());
  }
  ExpectAllTruthful(test, scene, tree);
}

INSTANTIATE_TEST_SUITE_P(Networks, Tree, ::testing::Range<uint64_t>(0, 60));

}  // namespace
}  // namespace ddnn

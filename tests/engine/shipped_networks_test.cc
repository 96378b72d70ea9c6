// Every node of every network that comes with the source, with random weights.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/engine/engines.h"

namespace ddnn {
namespace testing {
namespace {

std::vector<std::string> ShippedSpecs() {
  const char* root = std::getenv("DDNN_SOURCE_DIR");
  std::vector<std::string> paths;
  if (root == nullptr) return paths;
  const std::filesystem::path models = std::filesystem::path(root) / "models";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(models)) {
    if (entry.path().extension() == ".textproto") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// As ExpectClose, but relative to the root mean square where that is larger: behind several float
// layers, sums of numbers in the hundreds cancel out.
void ExpectCloseForTheirSize(const std::vector<float>& found, const std::vector<float>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  double squares = 0;
  for (float x : expected) squares += double{x} * x;
  const double size = std::max(1.0, std::sqrt(squares / static_cast<double>(expected.size())));
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(found[i], expected[i], 1e-4 * std::max(size, std::fabs(double{expected[i]}))) << i;
  }
}

// Bits, integers and pixels are the same bits; floats 1e-4 relative.
void ExpectSameFeatures(const NetworkPlan& plan, const NodePlan& node, const std::string& found,
                        const std::string& expected) {
  if (node.features.kind != ValueKind::kFloat) {
    ASSERT_EQ(found, expected);
    return;
  }
  ExpectCloseForTheirSize(Unpacked(plan, node, found), Unpacked(plan, node, expected));
}

void ExpectAgreement(const NetworkPlan& plan, int tier, int index, std::mt19937* rng) {
  // Short float sums are exact, so that signs behind them agree too.
  const v1::Section section = RandomSection(plan, tier, index, Weights::kDyadic, rng);
  auto lite = CreateLiteEngine(plan, section);
  auto torch = CreateTorchEngine(plan, section);
  ASSERT_TRUE(lite.ok()) << lite.status();
  ASSERT_TRUE(torch.ok()) << torch.status();
  const NodePlan& node = plan.node(tier, index);
  const std::vector<SectionInput> batch = RandomBatch(node, 4, rng);
  auto a = (*lite)->Run(batch);
  auto b = (*torch)->Run(batch);
  ASSERT_TRUE(a.ok()) << a.status();
  ASSERT_TRUE(b.ok()) << b.status();
  for (size_t i = 0; i < batch.size(); ++i) {
    ExpectSameFeatures(plan, node, (*a)[i].features, (*b)[i].features);
    ExpectClose((*a)[i].scores, (*b)[i].scores);
  }
  const bool exact = std::all_of(node.body.begin(), node.body.end(), [](const ValueType& type) {
    return type.kind != ValueKind::kFloat;
  });
  if (exact && !section.head().empty() && section.head(1).has_binary_linear()) {
    for (size_t i = 0; i < batch.size(); ++i) EXPECT_EQ((*a)[i].scores, (*b)[i].scores);
  }
  if (section.scores().empty()) return;
  std::vector<float> joined(section.scores(0).linear().weights().size() / 4 / plan.classes());
  for (float& x : joined) x = static_cast<float>((*rng)() % 1000) / 100 - 5;
  auto c = (*lite)->RunScores(joined);
  auto d = (*torch)->RunScores(joined);
  ASSERT_TRUE(c.ok()) << c.status();
  ASSERT_TRUE(d.ok()) << d.status();
  ExpectClose(*c, *d);
  ExpectClose(*c, RunReferenceScores(section, joined));
}

class ShippedNetwork : public ::testing::TestWithParam<std::string> {};

TEST_P(ShippedNetwork, BothEnginesAgreeOnEveryNode) {
  auto plan = LoadNetwork(GetParam());
  ASSERT_TRUE(plan.ok()) << plan.status();
  std::mt19937 rng(99);
  for (int tier = 0; tier <= plan->root_tier(); ++tier) {
    const int nodes = static_cast<int>(plan->tiers()[tier].nodes.size());
    for (int index = 0; index < nodes; ++index) {
      SCOPED_TRACE(::testing::Message() << plan->tiers()[tier].name << " " << index);
      ExpectAgreement(*plan, tier, index, &rng);
      if (HasFatalFailure()) return;
    }
  }
}

std::string NameOf(const ::testing::TestParamInfo<std::string>& info) {
  return std::filesystem::path(info.param).stem().string();
}

INSTANTIATE_TEST_SUITE_P(Models, ShippedNetwork, ::testing::ValuesIn(ShippedSpecs()), NameOf);

TEST(ShippedNetworks, AreFound) { EXPECT_GE(ShippedSpecs().size(), 4u); }

}  // namespace
}  // namespace testing
}  // namespace ddnn

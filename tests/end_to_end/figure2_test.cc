// The six configurations of the paper's Figure 2, each a topology file run by the same programs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "runtime/node/whole_network.h"
#include "tests/end_to_end/harness.h"
#include "tests/support/random_network.h"

namespace ddnn {
namespace {

constexpr int kSamples = 150;

struct Figure {
  std::string letter;
  int views;
  std::vector<std::string> exits;
};

// One run of each topology serves all tests.
v1::RunSummary RunTopology(const Figure& figure) {
  TestFolder folder;
  const std::string items = WriteItems(folder, 200);
  const std::string data = figure.views == 6 ? "six-cameras:" + items : items;
  const std::string bundle = SaveRandomBundle(
      folder, "bundle", "models/figure2/" + figure.letter + ".textproto", data, 0.4, 11);
  const Ran ran =
      Run({Program("ddnn-local"),
           "--topology=" + SourcePath("tools/topologies/" + figure.letter + ".textproto"),
           "--bundle=" + bundle, "--data=" + data, "--samples=" + std::to_string(kSamples),
           "--json=" + (folder / "summary.json"), "--log_dir=" + (folder / "log")});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  return ReadSummary(folder / "summary.json");
}

class Figure2 : public testing::TestWithParam<Figure> {
 protected:
  const v1::RunSummary& Summary() {
    static auto* const summaries = new std::map<std::string, v1::RunSummary>;
    const auto found = summaries->find(GetParam().letter);
    if (found != summaries->end()) return found->second;
    return (*summaries)[GetParam().letter] = RunTopology(GetParam());
  }
};

TEST_P(Figure2, AnswersEverySampleAsTheWholeNetworkDoes) {
  const Figure& figure = GetParam();
  const v1::RunSummary& summary = Summary();

  EXPECT_EQ(summary.samples(), static_cast<uint32_t>(kSamples));
  EXPECT_EQ(summary.answered() + summary.shed() + summary.expired(), summary.samples());
  EXPECT_EQ(summary.answered(), static_cast<uint32_t>(kSamples));
  EXPECT_EQ(summary.degraded(), 0u);
  EXPECT_EQ(summary.parity_compared(), static_cast<uint32_t>(kSamples));
  EXPECT_EQ(summary.parity_mismatches(), 0u);
  EXPECT_EQ(summary.disagreements(), 0u);

  double fractions = 0;
  for (const std::string& exit : figure.exits) {
    ASSERT_EQ(summary.exit_fraction().count(exit), 1u) << exit;
    EXPECT_GT(summary.exit_fraction().at(exit), 0.05) << exit;
    fractions += summary.exit_fraction().at(exit);
  }
  EXPECT_NEAR(fractions, 1, 1e-9);
  EXPECT_EQ(summary.exit_fraction_size(), static_cast<int>(figure.exits.size()));
  EXPECT_EQ(summary.accuracy_size(), static_cast<int>(figure.exits.size()) + 1);
  const bool devices_classify = figure.exits[0] == "local";
  EXPECT_EQ(summary.single_view_accuracy_size(), devices_classify ? figure.views : 0);
}

TEST_P(Figure2, CarriesNoMoreThanTheBytesOfTheFormula) {
  const Figure& figure = GetParam();
  const v1::RunSummary& summary = Summary();

  const auto plan = LoadNetwork(SourcePath("models/figure2/" + figure.letter + ".textproto"));
  ASSERT_TRUE(plan.ok()) << plan.status();
  double formula = 0, scores = 0;
  for (size_t exit = 0; exit < figure.exits.size(); ++exit) {
    formula += summary.exit_fraction().at(figure.exits[exit]) *
               DevicePayloadBytes(*plan, static_cast<int>(exit));
  }
  if (figure.exits[0] == "local") scores = DevicePayloadBytes(*plan, 0);
  EXPECT_EQ(summary.raw_bytes_per_view_sample(), 1024);
  // Not all samples are seen by equally many views, and the exits are unequal in that.
  EXPECT_LE(summary.payload_bytes_per_view_sample(), formula + (figure.views == 1 ? 1e-9 : 5));
  // Only bits are coded, and never to nothing.
  const bool pixels = plan->node(0, 0).features.kind == ValueKind::kPixel;
  EXPECT_GE(summary.payload_bytes_per_view_sample(), pixels ? formula - 1e-9 : scores);
  EXPECT_GT(summary.wire_bytes_per_view_sample(), summary.payload_bytes_per_view_sample());
  EXPECT_LT(summary.wire_bytes_per_view_sample(), summary.payload_bytes_per_view_sample() + 150);
}

INSTANTIATE_TEST_SUITE_P(
    Topologies, Figure2,
    testing::Values(Figure{"a", 6, {"cloud"}}, Figure{"b", 1, {"local", "cloud"}},
                    Figure{"c", 6, {"local", "cloud"}}, Figure{"d", 1, {"local", "edge", "cloud"}},
                    Figure{"e", 6, {"local", "edge", "cloud"}}, Figure{"f", 6, {"edge", "cloud"}}),
    [](const testing::TestParamInfo<Figure>& info) { return info.param.letter; });

}  // namespace
}  // namespace ddnn

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "runtime/core/feature_codec.h"
#include "tests/support/random_network.h"

namespace ddnn {
namespace {

NetworkPlan Load(const std::string& name) {
  absl::StatusOr<NetworkPlan> plan = LoadNetwork(SourcePath("models/" + name + ".textproto"));
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *plan : NetworkPlan();
}

TEST(ShippedNetworks, AllOfThemPlan) {
  int networks = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(SourcePath("models"))) {
    if (file.path().extension() != ".textproto") continue;
    absl::StatusOr<NetworkPlan> plan = LoadNetwork(file.path().string());
    EXPECT_TRUE(plan.ok()) << plan.status();
    ++networks;
  }
  EXPECT_GE(networks, 10);
}

class DeviceSectionSize : public testing::TestWithParam<const char*> {};

TEST_P(DeviceSectionSize, FitsInTwoKibibytes) {
  const NetworkPlan plan = Load(GetParam());
  Random random(7);
  for (const NodePlan& device : plan.tiers()[0].nodes) {
    // The largest thresholds take the most bytes.
    v1::Section section = RandomSection(plan, 0, device.index, &random);
    for (v1::SectionLayer& layer : *section.mutable_body()) {
      if (!layer.has_threshold()) continue;
      for (int& at : *layer.mutable_threshold()->mutable_at()) at = -(1 << 24);
      layer.mutable_threshold()->set_flip(
          std::string(static_cast<size_t>(layer.threshold().at_size() + 7) / 8, '\1'));
    }
    EXPECT_LE(section.ByteSizeLong(), 2048u) << plan.spec().name() << " view " << device.index;
  }
}

INSTANTIATE_TEST_SUITE_P(BinaryDevices, DeviceSectionSize,
                         testing::Values("six_cameras", "mnist_grid", "ddnn_mvmc"));

TEST(ShippedNetworks, SixCamerasIsATreeOfSixDevicesAnEdgeAndACloud) {
  const NetworkPlan plan = Load("six_cameras");
  ASSERT_EQ(plan.tiers().size(), 3u);
  EXPECT_EQ(plan.tiers()[0].nodes.size(), 6u);
  EXPECT_EQ(plan.tiers()[1].nodes.size(), 1u);
  EXPECT_EQ(plan.classes(), 10);
  ASSERT_EQ(plan.exits().size(), 3u);
  // The devices' exit is decided where their scores meet.
  EXPECT_EQ(plan.exits()[0].tier, 0);
  EXPECT_EQ(plan.exits()[0].decided_tier, 1);
  EXPECT_EQ(plan.tiers()[1].children_exit, 0);
  EXPECT_EQ(plan.exits()[1].decided_tier, 1);
}

TEST(ShippedNetworks, MvmcDevicesSendWhatThePaperCounts) {
  const NetworkPlan plan = Load("ddnn_mvmc");
  // f = 4 filters of o = 256 bits: 128 bytes.
  EXPECT_EQ(plan.node(0, 0).features.kind, ValueKind::kBit);
  EXPECT_EQ(PackedSize(plan.node(0, 0).features), 128u);
  EXPECT_EQ(plan.view_shape().size(), 3072);
  EXPECT_EQ(plan.classes(), 3);
}

TEST(ShippedNetworks, MnistGridPutsTilesBackInTheirPlaces) {
  const NetworkPlan plan = Load("mnist_grid");
  const Shape tile = plan.node(0, 0).features.shape;
  const Shape joined = plan.node(1, 0).input.shape;
  EXPECT_EQ(joined.height, 3 * tile.height);
  EXPECT_EQ(joined.width, 2 * tile.width);
  EXPECT_EQ(joined.channels, tile.channels);
}

TEST(ShippedNetworks, Cifar10SendsLessThanThePictureFromASmallDevice) {
  const NetworkPlan plan = Load("cifar10");
  EXPECT_EQ(plan.exits().size(), 3u);
  Random random(3);
  EXPECT_LE(RandomSection(plan, 0, 0, &random).ByteSizeLong(), 96u << 10);
  const size_t raw = static_cast<size_t>(plan.view_shape().size());
  EXPECT_EQ(PackedSize(plan.node(0, 0).features), raw * 2 / 3);
  EXPECT_EQ(PackedSize(plan.node(1, 0).features), raw * 5 / 12);
}

// Letters of the paper's Figure 2: views, nodes per tier, and exits as (tier, decided tier).
struct Figure {
  const char* name;
  std::vector<size_t> nodes;
  std::vector<std::pair<int, int>> exits;
};

class Figure2 : public testing::TestWithParam<Figure> {};

TEST_P(Figure2, HasTheTreeOfThePaper) {
  const NetworkPlan plan = Load(std::string("figure2/") + GetParam().name);
  std::vector<size_t> nodes;
  for (const TierPlan& tier : plan.tiers()) nodes.push_back(tier.nodes.size());
  std::vector<std::pair<int, int>> exits;
  for (const ExitPlan& exit : plan.exits()) exits.emplace_back(exit.tier, exit.decided_tier);
  EXPECT_EQ(nodes, GetParam().nodes);
  EXPECT_EQ(exits, GetParam().exits);
}

INSTANTIATE_TEST_SUITE_P(AllSix, Figure2,
                         testing::Values(Figure{"a", {6, 1}, {{1, 1}}},
                                         Figure{"b", {1, 1}, {{0, 0}, {1, 1}}},
                                         Figure{"c", {6, 1, 1}, {{0, 1}, {2, 2}}},
                                         Figure{"d", {1, 1, 1}, {{0, 0}, {1, 1}, {2, 2}}},
                                         Figure{"e", {6, 1, 1}, {{0, 1}, {1, 1}, {2, 2}}},
                                         Figure{"f", {6, 2, 1}, {{1, 2}, {2, 2}}}),
                         [](const auto& info) { return info.param.name; });

TEST(ShippedNetworks, FigureARawPixelsArriveAsTheDeviceTookThem) {
  const NetworkPlan plan = Load("figure2/a");
  EXPECT_EQ(plan.node(0, 0).features.kind, ValueKind::kPixel);
  EXPECT_EQ(PackedSize(plan.node(0, 0).features), 1024u);
}

TEST(ShippedNetworks, FigureCEdgeHandsOnTheDevicesBits) {
  const NetworkPlan plan = Load("figure2/c");
  EXPECT_EQ(plan.node(1, 0).features.kind, ValueKind::kBit);
  EXPECT_EQ(PackedSize(plan.node(1, 0).features), 6 * PackedSize(plan.node(0, 0).features));
}

TEST(LoadNetwork, NamesTheFileAndTheLine) {
  const std::string path = testing::TempDir() + "/broken.textproto";
  ASSERT_TRUE(WriteFileAtomically(path, "name: \"x\"\nvews: 3\n").ok());
  const absl::Status status = LoadNetwork(path).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              testing::AllOf(testing::HasSubstr(path + ":2:"), testing::HasSubstr("vews")));
  EXPECT_EQ(LoadNetwork("/nowhere.textproto").status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(LoadNetwork(testing::TempDir()).ok());
}

}  // namespace
}  // namespace ddnn

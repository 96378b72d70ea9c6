#include "datasets/network_data.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "datasets/pictures.h"
#include "models/network_plan.h"
#include "tests/datasets/test_files.h"
#include "tests/support/random_network.h"

namespace ddnn {
namespace {

using ::testing::HasSubstr;

NetworkPlan SixCameras() {
  auto plan = LoadNetwork(SourcePath("models/six_cameras.textproto"));
  EXPECT_TRUE(plan.ok()) << plan.status();
  return *std::move(plan);
}

TEST(CheckDataFits, NamesWhatDiffers) {
  const NetworkPlan plan = SixCameras();
  DatasetInfo fits{"toy", 6, 1, 32, 32, {}};
  fits.class_names.assign(plan.spec().class_name().begin(), plan.spec().class_name().end());
  EXPECT_TRUE(CheckDataFits(plan, fits).ok());
  const auto refusal = [&](void (*change)(DatasetInfo*)) {
    DatasetInfo info = fits;
    change(&info);
    return InvalidText(CheckDataFits(plan, info));
  };
  EXPECT_EQ(refusal([](DatasetInfo* info) { info->views = 3; }),
            "network six_cameras has 6 views, but toy has 3");
  EXPECT_EQ(refusal([](DatasetInfo* info) { info->width = 16; }),
            "network six_cameras has views of 1x32x32, but toy has 1x32x16");
  EXPECT_EQ(refusal([](DatasetInfo* info) { info->class_names.push_back("hat"); }),
            "network six_cameras has 10 classes, but toy has 11");
  EXPECT_EQ(refusal([](DatasetInfo* info) { info->class_names[1] = "hat"; }),
            "network six_cameras has \"trouser\" as class 1, but toy has \"hat\"");
}

class OpenDatasetForTest : public ::testing::Test {
 protected:
  void Picture(const std::string& name, const Shape& shape) {
    const std::string path = folder_ / name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    ASSERT_TRUE(WritePicture(path, std::string(shape.size(), 'x'), shape).ok());
  }
  TempFolder folder_;
};

// Photographs, of fewer cameras and classes than the network has.
TEST_F(OpenDatasetForTest, ReadsAFolderAsTheNetworkNeedsIt) {
  for (int i = 0; i < 10; ++i) {
    Picture(absl::StrCat("train/", i % 2 == 0 ? "coat/" : "bag/", i, "/", i % 3, ".png"),
            Shape{3, 48 + i, 64});
  }
  const NetworkPlan plan = SixCameras();
  const auto dataset = OpenDatasetFor(plan, "folder:" + folder_.path());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT((*dataset)->info().spec,
              HasSubstr(folder_.path() + "?size=1x32x32&views=6&classes=t-shirt,trouser,"));
  DatasetSample sample;
  ASSERT_TRUE((*dataset)->Read(Split::kTrain, 0, &sample).ok());
  EXPECT_EQ(sample.pixels.size(), 6u * 32 * 32);
  const std::string asked = "folder:" + folder_.path() + "?views=6&size=1x32x32";
  const auto same = OpenDatasetFor(plan, asked);
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_THAT((*same)->info().spec, HasSubstr(asked + "&classes=t-shirt,"));
}

TEST_F(OpenDatasetForTest, KeepsToWhatTheSpecSays) {
  for (const char* name : {"train/coat/1/0.png", "train/coat/2/0.png", "train/bag/1/0.png",
                           "train/bag/2/0.png", "train/bag/3/0.png"}) {
    Picture(name, Shape{1, 32, 32});
  }
  const std::string folder = "folder:" + folder_.path();
  const NetworkPlan plan = SixCameras();
  EXPECT_THAT(InvalidText(OpenDatasetFor(plan, folder + "?size=1x16x16").status()),
              HasSubstr("has views of 1x32x32, but folder:"));
  EXPECT_THAT(InvalidText(OpenDatasetFor(plan, folder + "?classes=bag,coat").status()),
              HasSubstr("has 10 classes, but folder:"));
  Picture("train/hat/1/0.png", Shape{1, 32, 32});
  EXPECT_THAT(InvalidText(OpenDatasetFor(plan, folder).status()),
              HasSubstr("train/hat: is none of the classes t-shirt, trouser"));
}

}  // namespace
}  // namespace ddnn

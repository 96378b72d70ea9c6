#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "datasets/data_spec.h"
#include "datasets/dataset.h"
#include "datasets/loaders.h"
#include "datasets/render.h"
#include "tests/datasets/test_files.h"

namespace ddnn {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

constexpr Split kSplits[] = {Split::kTrain, Split::kCalibration, Split::kTest};

std::unique_ptr<Dataset> Open(const std::string& spec) {
  absl::StatusOr<std::unique_ptr<Dataset>> dataset = OpenDataset(spec);
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  return *std::move(dataset);
}

RenderedSplit Render(const Dataset& dataset, Split split, int threads) {
  RenderOptions options;
  options.threads = threads;
  absl::StatusOr<RenderedSplit> rendered = RenderSplit(dataset, split, options);
  EXPECT_TRUE(rendered.ok()) << rendered.status();
  return *std::move(rendered);
}

class ItemViewsTest : public ::testing::Test {
 protected:
  ItemViewsTest() { WriteMnistLike(folder_.path(), 300, 70); }
  TempFolder folder_;
};

TEST_F(ItemViewsTest, SplitsCoverEverythingOnceAndShareNoPicture) {
  const auto dataset = Open("mnist:" + folder_.path());
  EXPECT_EQ(dataset->size(Split::kTrain), 270);
  EXPECT_EQ(dataset->size(Split::kCalibration), 30);
  EXPECT_EQ(dataset->size(Split::kTest), 70);
  std::set<std::string> seen;
  DatasetSample sample;
  for (Split split : kSplits) {
    for (int64_t i = 0; i < dataset->size(split); ++i) {
      ASSERT_TRUE(dataset->Read(split, i, &sample).ok());
      EXPECT_TRUE(seen.insert(sample.pixels).second) << ToString(split) << " " << i;
    }
    EXPECT_EQ(ErrorText(dataset->Read(split, dataset->size(split), &sample),
                        absl::StatusCode::kOutOfRange),
              absl::StrCat(dataset->info().spec, ": sample ", dataset->size(split), " of the ",
                           ToString(split), " split, which has ", dataset->size(split)));
    EXPECT_EQ(dataset->Read(split, -1, &sample).code(), absl::StatusCode::kOutOfRange);
  }
}

TEST_F(ItemViewsTest, APictureIsInOneSplitThoughTheFilesRepeatIt) {
  // 300 training items, but just 40 pictures; four of them are test pictures too.
  std::string train, test = RandomBytes(10 * 784, 9);
  for (uint64_t i = 0; i < 300; ++i) {
    train += i % 40 < 4 ? test.substr(i % 40 * 784, 784) : RandomBytes(784, 100 + i % 40);
  }
  WriteItems(folder_.path(), "train", 300, train);
  WriteItems(folder_.path(), "t10k", 10, test);
  const auto dataset = Open("mnist:" + folder_.path());
  std::map<std::string, std::set<Split>> where;
  for (Split split : kSplits) {
    EXPECT_GT(dataset->size(split), 0);
    DatasetSample sample;
    for (int64_t i = 0; i < dataset->size(split); ++i) {
      ASSERT_TRUE(dataset->Read(split, i, &sample).ok());
      where[sample.pixels].insert(split);
    }
  }
  for (const auto& [picture, splits] : where) EXPECT_EQ(splits.size(), 1u);
}

TEST_F(ItemViewsTest, PlainItemsArePaddedByTwoOnEachSide) {
  const auto dataset = Open("mnist:" + folder_.path());
  const std::string original = RandomBytes(70 * 784, 2);
  DatasetSample sample;
  ASSERT_TRUE(dataset->Read(Split::kTest, 33, &sample).ok());
  EXPECT_EQ(sample.label, 3);
  EXPECT_EQ(sample.presence, 1u);
  EXPECT_THAT(sample.view_labels, ::testing::ElementsAre(3));
  ASSERT_EQ(sample.pixels.size(), 32u * 32);
  for (int y = 0; y < 32; ++y) {
    for (int x = 0; x < 32; ++x) {
      const bool inside = y >= 2 && y < 30 && x >= 2 && x < 30;
      const char expected = inside ? original[33 * 784 + (y - 2) * 28 + x - 2] : '\0';
      ASSERT_EQ(sample.pixels[y * 32 + x], expected) << y << " " << x;
    }
  }
}

TEST_F(ItemViewsTest, TilesOfAGridPutTogetherAreThePaddedItem) {
  const auto dataset = Open("grid:mnist:" + folder_.path());
  EXPECT_EQ(dataset->info().views, 6);
  EXPECT_EQ(dataset->info().height, 10);
  EXPECT_EQ(dataset->info().width, 16);
  const std::string original = RandomBytes(70 * 784, 2);
  DatasetSample sample;
  ASSERT_TRUE(dataset->Read(Split::kTest, 7, &sample).ok());
  EXPECT_EQ(sample.presence, 0x3fu);
  EXPECT_THAT(sample.view_labels, Each(7));
  for (int y = 0; y < 30; ++y) {
    for (int x = 0; x < 32; ++x) {
      const int view = y / 10 * 2 + x / 16;
      const bool inside = y >= 1 && y < 29 && x >= 2 && x < 30;
      const char expected = inside ? original[7 * 784 + (y - 1) * 28 + x - 2] : '\0';
      ASSERT_EQ(sample.pixels[view * 160 + y % 10 * 16 + x % 16], expected) << y << " " << x;
    }
  }
}

TEST_F(ItemViewsTest, RenderingDependsNeitherOnThreadsNorOnOrder) {
  const auto dataset = Open("six-cameras:mnist:" + folder_.path());
  const RenderedSplit one = Render(*dataset, Split::kTrain, 1);
  const RenderedSplit four = Render(*dataset, Split::kTrain, 4);
  EXPECT_EQ(one.samples, 270);
  EXPECT_EQ(one.pixels.size(), 270u * 6 * 1024);
  EXPECT_TRUE(one.pixels == four.pixels);
  EXPECT_EQ(one.presence, four.presence);
  EXPECT_EQ(one.labels, four.labels);
  EXPECT_EQ(one.view_labels, four.view_labels);
  DatasetSample sample;
  for (int64_t i = 269; i >= 0; i -= 67) {
    ASSERT_TRUE(dataset->Read(Split::kTrain, i, &sample).ok());
    const char* rendered = reinterpret_cast<const char*>(one.view(i, 0));
    EXPECT_TRUE(sample.pixels == std::string(rendered, 6 * 1024)) << i;
    EXPECT_EQ(sample.label, one.labels[i]);
  }
}

TEST_F(ItemViewsTest, AbsentViewsAreBlackAndLabelledSo) {
  const RenderedSplit all = Render(*Open("six-cameras:mnist:" + folder_.path()), Split::kTrain, 2);
  int absent = 0;
  for (int64_t i = 0; i < all.samples; ++i) {
    EXPECT_NE(all.presence[i], 0u);
    for (int v = 0; v < 6; ++v) {
      const bool present = (all.presence[i] >> v & 1) != 0;
      EXPECT_EQ(all.view_labels[i * 6 + v], present ? all.labels[i] : 10);
      absent += present ? 0 : 1;
      const uint8_t* view = all.view(i, v);
      const bool black = std::all_of(view, view + 1024, [](uint8_t p) { return p == 0; });
      EXPECT_TRUE(present || black) << i << " " << v;
    }
  }
  EXPECT_GT(absent, 0);
}

TEST_F(ItemViewsTest, RenderSaysHowFarItIsAndStopsAtItsBounds) {
  const auto dataset = Open("grid:mnist:" + folder_.path());
  RenderOptions options;
  options.max_samples = 10;
  int64_t last = -1;
  options.progress = [&last](int64_t done, int64_t all) {
    EXPECT_EQ(all, 10);
    last = done;
  };
  const absl::StatusOr<RenderedSplit> rendered = RenderSplit(*dataset, Split::kTrain, options);
  ASSERT_TRUE(rendered.ok());
  EXPECT_EQ(rendered->labels.size(), 10u);
  EXPECT_EQ(last, 10);
  options.max_bytes = 10 * 960 - 1;
  const absl::Status refused = RenderSplit(*dataset, Split::kTrain, options).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
}

TEST_F(ItemViewsTest, ATestOnlySetGivesTheSameTestSplit) {
  const std::string text = "six-cameras:mnist:" + folder_.path();
  absl::StatusOr<std::unique_ptr<Dataset>> only =
      OpenDatasetSplits(*ParseDataSpec(text), /*only_test=*/true);
  ASSERT_TRUE(only.ok()) << only.status();
  EXPECT_EQ((*only)->size(Split::kTrain), 0);
  EXPECT_EQ((*only)->size(Split::kCalibration), 0);
  EXPECT_TRUE(Render(**only, Split::kTest, 1).pixels ==
              Render(*Open(text), Split::kTest, 1).pixels);
}

TEST(FashionMnist, HasTheSplitsThatAreDocumented) {
  const auto dataset = Open("fashion-mnist");
  EXPECT_EQ(dataset->size(Split::kTrain), 55000);
  EXPECT_EQ(dataset->size(Split::kCalibration), 5000);
  EXPECT_EQ(dataset->size(Split::kTest), 10000);
  EXPECT_EQ(dataset->info().class_names.size(), 10u);
  DatasetSample sample;
  ASSERT_TRUE(dataset->Read(Split::kTest, 0, &sample).ok());
  EXPECT_EQ(dataset->info().class_names[sample.label], "ankle-boot");
  std::vector<int> count(10);
  for (int64_t i = 0; i < 5000; ++i) {
    ASSERT_TRUE(dataset->Read(Split::kCalibration, i, &sample).ok());
    ++count[sample.label];
  }
  EXPECT_THAT(count, Each(::testing::AllOf(::testing::Gt(400), ::testing::Lt(600))));
}

}  // namespace
}  // namespace ddnn

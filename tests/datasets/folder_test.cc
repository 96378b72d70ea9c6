#include <gmock/gmock.h>

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "datasets/dataset.h"
#include "datasets/pictures.h"
#include "tests/datasets/test_files.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FolderTest : public ::testing::Test {
 protected:
  // A 3x4x5 picture (or grey, 1x4x5) whose every value is `level`.
  void Picture(const std::string& name, int level, int channels = 3) {
    const std::string path = folder_ / name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    const Shape shape = {channels, 4, 5};
    const absl::Status written =
        WritePicture(path, std::string(shape.size(), static_cast<char>(level)), shape);
    ASSERT_TRUE(written.ok()) << written;
  }
  void AllSplits() {
    for (const char* split : {"train", "calibration", "test"}) {
      for (const char* name : {"cat", "ant"}) {
        Picture(absl::StrCat(split, "/", name, "/s1/0.png"), 10);
        Picture(absl::StrCat(split, "/", name, "/s1/2.png"), 30);
        Picture(absl::StrCat(split, "/", name, "/s2/1.png"), 20);
      }
    }
  }
  std::string Spec(const std::string& options = "") { return "folder:" + folder_.path() + options; }
  std::string OpenError(const std::string& options = "") {
    return InvalidText(OpenDataset(Spec(options)).status());
  }
  TempFolder folder_;
};

TEST_F(FolderTest, ReadsViewsByNumberAndClassesByName) {
  AllSplits();
  const auto dataset = OpenDataset(Spec());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const DatasetInfo& info = (*dataset)->info();
  EXPECT_THAT(info.class_names, ElementsAre("ant", "cat"));
  EXPECT_EQ(info.views, 3);
  EXPECT_EQ(info.channels, 3);
  EXPECT_EQ(info.height, 4);
  EXPECT_EQ(info.width, 5);
  EXPECT_EQ((*dataset)->size(Split::kTest), 4);
  DatasetSample sample;
  ASSERT_TRUE((*dataset)->Read(Split::kTest, 2, &sample).ok());
  EXPECT_EQ(sample.label, 1);
  EXPECT_EQ(sample.presence, 5u);
  EXPECT_THAT(sample.view_labels, ElementsAre(1, 2, 1));
  EXPECT_EQ(sample.pixels,
            std::string(60, '\x0a') + std::string(60, '\0') + std::string(60, '\x1e'));
  EXPECT_EQ((*dataset)->Read(Split::kTest, 4, &sample).code(), absl::StatusCode::kOutOfRange);
}

TEST_F(FolderTest, OptionsSetSizeViewsAndClassOrder) {
  AllSplits();
  const auto dataset = OpenDataset(Spec("?size=1x8x6&views=5&classes=cat,bee,ant"));
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->info().views, 5);
  EXPECT_THAT((*dataset)->info().class_names, ElementsAre("cat", "bee", "ant"));
  DatasetSample sample;
  ASSERT_TRUE((*dataset)->Read(Split::kTrain, 0, &sample).ok());
  EXPECT_EQ(sample.label, 2);
  EXPECT_EQ(sample.pixels.substr(0, 48), std::string(48, '\x0a'));
  EXPECT_THAT(OpenError("?views=2"), AllOf(HasSubstr("2.png"), HasSubstr("expected 0 to 1")));
  EXPECT_THAT(OpenError("?size=2x8x6"), HasSubstr("'2x8x6'"));
  EXPECT_THAT(OpenError("?size=99999999x8x6"), HasSubstr("expected CxHxW"));
  EXPECT_THAT(OpenError("?classes=ant,bee"), AllOf(HasSubstr("/cat"), HasSubstr("ant, bee")));
}

TEST_F(FolderTest, TakesMissingSplitsOutOfTrainAndKeepsEveryClass) {
  for (int i = 0; i < 60; ++i) Picture(absl::StrCat("train/cat/", i, ".png"), i + 1, 1);
  Picture("train/ant/only.png", 0, 1);
  std::map<int, Split> place;
  for (int round = 0; round < 2; ++round) {
    const auto dataset = OpenDataset(Spec());
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    EXPECT_EQ((*dataset)->info().channels, 1);
    std::map<int, Split> now;
    for (Split split : {Split::kTrain, Split::kCalibration, Split::kTest}) {
      EXPECT_GT((*dataset)->size(split), 0);
      DatasetSample sample;
      for (int64_t i = 0; i < (*dataset)->size(split); ++i) {
        ASSERT_TRUE((*dataset)->Read(split, i, &sample).ok());
        EXPECT_TRUE(now.emplace(sample.pixels[0], split).second);
      }
    }
    EXPECT_EQ(now.size(), round == 0 ? 61u : 71u);
    EXPECT_EQ(now[0], Split::kTrain);
    // Samples that join later move no other.
    for (const auto& [level, split] : place) EXPECT_EQ(now[level], split) << level;
    place = now;
    for (int i = 60; i < 70; ++i) Picture(absl::StrCat("train/cat/", i, ".png"), i + 1, 1);
  }
}

TEST_F(FolderTest, SamplesNamedByTimeAreNoSample12) {
  for (int i = 0; i < 60; ++i) Picture(absl::StrCat("train/cat/12.30.", i, "/0.png"), i, 1);
  Picture("train/ant/s/0.png", 60, 1);
  const auto dataset = OpenDataset(Spec());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_GT((*dataset)->size(Split::kTrain), 30);
  EXPECT_GT((*dataset)->size(Split::kTest), 3);
  EXPECT_GT((*dataset)->size(Split::kCalibration), 1);
}

TEST_F(FolderTest, SinglePicturesInTrainAndTestLeaveOnlyCalibrationToTake) {
  // As CIFAR-10 and many other sets come; the names in train and test are the same.
  for (int i = 0; i < 30; ++i) {
    for (const char* name : {"cat", "ant"}) {
      Picture(absl::StrCat("train/", name, "/", i, ".png"), i);
      if (i < 10) Picture(absl::StrCat("test/", name, "/", i, ".png"), 100 + i);
    }
  }
  const auto dataset = OpenDataset(Spec());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->info().views, 1);
  EXPECT_EQ((*dataset)->size(Split::kTest), 20);
  EXPECT_GT((*dataset)->size(Split::kCalibration), 0);
  EXPECT_EQ((*dataset)->size(Split::kTrain) + (*dataset)->size(Split::kCalibration), 60);
  DatasetSample sample;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE((*dataset)->Read(Split::kTest, i, &sample).ok());
    EXPECT_EQ(sample.label, i / 10);
    EXPECT_EQ(sample.pixels, std::string(60, static_cast<char>(100 + i % 10)));
    EXPECT_EQ(sample.presence, 1u);
  }
}

TEST_F(FolderTest, NamesThePathThatDoesNotFit) {
  EXPECT_THAT(OpenError(), AllOf(HasSubstr(folder_.path()), HasSubstr("is empty")));
  EXPECT_THAT(ErrorText(OpenDataset("folder:/nonexistent").status(), absl::StatusCode::kNotFound),
              HasSubstr("/nonexistent"));
  AllSplits();
  const auto broken_by = [this](const std::string& name, const std::string& bytes) {
    WriteFile(folder_ / name, bytes);
    const std::string text = OpenError();
    EXPECT_THAT(text, HasSubstr(folder_.path()));
    std::filesystem::remove_all(folder_ / name);
    return text;
  };
  EXPECT_THAT(broken_by("train/cat/s1/64.png", "x"), HasSubstr("64.png: is not named by a view"));
  EXPECT_THAT(broken_by("train/cat/s1/-1.png", "x"), HasSubstr("view number, 0 to 63"));
  EXPECT_THAT(broken_by("train/cat/s1/front.jpg", "x"), HasSubstr("front.jpg"));
  EXPECT_THAT(broken_by("train/cat/s1/2.jpg", "x"), HasSubstr("is view 2 again"));
  EXPECT_THAT(broken_by("train/cat/s1/notes.txt", "x"), HasSubstr("notes.txt: is not a .png"));
  EXPECT_THAT(broken_by("train/cat/single.png", "x"), HasSubstr("samples before it are folders"));
  EXPECT_THAT(broken_by("train/readme", "x"), HasSubstr("readme: is not the folder of a class"));
  EXPECT_TRUE(OpenDataset(Spec()).ok());
}

TEST_F(FolderTest, NamesTheFolderThatDoesNotFit) {
  AllSplits();
  const auto with_folder = [this](const std::string& name) {
    std::filesystem::create_directories(folder_ / name);
    const std::string text = OpenError();
    std::filesystem::remove_all(folder_ / name);
    return text;
  };
  EXPECT_THAT(with_folder("val"), HasSubstr("/val: is no split"));
  EXPECT_THAT(with_folder("train/dog"), HasSubstr("/train/dog: is empty"));
  EXPECT_THAT(with_folder("train/cat/s3"), HasSubstr("/train/cat/s3: has no picture"));
  EXPECT_THAT(with_folder("test/dog"), HasSubstr("/test/dog: is not a class of train: ant, cat"));
  std::filesystem::remove_all(folder_ / "train");
  EXPECT_THAT(OpenError(), HasSubstr("has no folder 'train'"));
  Picture("train/cat/s1/0.png", 1);
  EXPECT_THAT(OpenError(), HasSubstr("/calibration/ant: is not a class of train"));
  std::filesystem::remove_all(folder_ / "calibration");
  EXPECT_THAT(OpenError(), HasSubstr("/test/ant: is not a class of train"));
  std::filesystem::remove_all(folder_ / "test");
  EXPECT_THAT(OpenError(), HasSubstr("/train: has too few samples"));
}

TEST_F(FolderTest, AnUnreadablePictureIsAnErrorThatNamesIt) {
  AllSplits();
  const auto dataset = OpenDataset(Spec());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const std::string path = folder_ / "test/ant/s1/0.png";
  std::ifstream in(path, std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  std::string huge = good;
  huge.replace(16, 8, "\x7f\xff\xff\xff\x7f\xff\xff\xff");
  const std::pair<std::string, const char*> cases[] = {
      {"", "is empty"},
      {"hello", "neither a PNG nor a JPEG"},
      {good.substr(0, 20), "neither a PNG nor a JPEG"},
      {good.substr(0, good.size() - 12), "truncated"},
      {huge, "claims 2147483647x2147483647"},
      {"\xff\xd8\xff\xe0", "neither a PNG nor a JPEG"},
      {std::string("\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03xx", 14), "claims"},
  };
  DatasetSample sample;
  for (const auto& [bytes, what] : cases) {
    WriteFile(path, bytes);
    EXPECT_THAT(InvalidText((*dataset)->Read(Split::kTest, 0, &sample)),
                AllOf(HasSubstr(path), HasSubstr(what)));
  }
}

TEST(Pictures, ColoursKeepTheirOrderThroughAFile) {
  TempFolder folder;
  const Shape shape = {3, 1, 2};
  const std::string pixels = "\x10\x20\x30\x40\x50\x60";
  ASSERT_TRUE(WritePicture(folder / "a.png", pixels, shape).ok());
  EXPECT_EQ(*ReadPicture(folder / "a.png", shape), pixels);
  EXPECT_EQ(*ReadPictureShape(folder / "a.png"), shape);
  // Grey is 0.299 R + 0.587 G + 0.114 B.
  const std::string grey = *ReadPicture(folder / "a.png", {1, 1, 2});
  EXPECT_NEAR(grey[0], 0.299 * 0x10 + 0.587 * 0x30 + 0.114 * 0x50, 1);
  ASSERT_TRUE(WritePicture(folder / "a.jpg", std::string(3 * 64, '\x55'), {3, 8, 8}).ok());
  EXPECT_EQ(*ReadPictureShape(folder / "a.jpg"), (Shape{3, 8, 8}));
  EXPECT_FALSE(WritePicture(folder / "a.png", pixels, {3, 2, 2}).ok());
  EXPECT_FALSE(ReadPicture(folder / "a.png", {2, 1, 2}).ok());
}

TEST(Pictures, ShrinksByArea) {
  TempFolder folder;
  ASSERT_TRUE(WritePicture(folder / "a.png", std::string("\0\x40\x20\x20", 4), {1, 2, 2}).ok());
  EXPECT_EQ(*ReadPicture(folder / "a.png", {1, 1, 1}), std::string("\x20"));
}

}  // namespace
}  // namespace ddnn

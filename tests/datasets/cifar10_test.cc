#include <gmock/gmock.h>

#include <filesystem>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "datasets/data_spec.h"
#include "datasets/dataset.h"
#include "datasets/loaders.h"
#include "tests/datasets/test_files.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kRecord = 3073;

// Record i of a file: label i % 10, random planes.
std::string Records(int count, uint64_t seed) {
  std::string bytes = RandomBytes(static_cast<size_t>(count) * kRecord, seed);
  for (int i = 0; i < count; ++i) bytes[i * kRecord] = static_cast<char>(i % 10);
  return bytes;
}

class Cifar10Test : public ::testing::Test {
 protected:
  Cifar10Test() {
    for (int i = 1; i <= 5; ++i) WriteFile(Batch(i), Records(40, i));
    WriteFile(folder_ / "test_batch.bin", Records(30, 6));
  }
  std::string Batch(int i) const { return folder_ / absl::StrCat("data_batch_", i, ".bin"); }
  std::string Spec() const { return "cifar10:" + folder_.path(); }
  absl::Status OpenStatus() const { return OpenDataset(Spec()).status(); }
  TempFolder folder_;
};

TEST_F(Cifar10Test, ARecordIsALabelAndThreePlanes) {
  const auto dataset = OpenDataset(Spec());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const DatasetInfo& info = (*dataset)->info();
  EXPECT_EQ(info.views, 1);
  EXPECT_EQ(info.channels, 3);
  EXPECT_EQ(info.height, 32);
  EXPECT_EQ(info.width, 32);
  EXPECT_THAT(info.class_names, ElementsAre("airplane", "automobile", "bird", "cat", "deer", "dog",
                                            "frog", "horse", "ship", "truck"));
  ASSERT_EQ((*dataset)->size(Split::kTest), 30);
  DatasetSample sample;
  ASSERT_TRUE((*dataset)->Read(Split::kTest, 23, &sample).ok());
  EXPECT_EQ(sample.label, 3);
  EXPECT_EQ(sample.presence, 1u);
  EXPECT_THAT(sample.view_labels, ElementsAre(3));
  EXPECT_EQ(sample.pixels, Records(30, 6).substr(23 * kRecord + 1, kRecord - 1));
}

TEST_F(Cifar10Test, TheFiveBatchesBecomeTrainAndCalibration) {
  const auto dataset = OpenDataset(Spec());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->size(Split::kTrain), 180);
  EXPECT_EQ((*dataset)->size(Split::kCalibration), 20);
  std::set<std::string> expected, found;
  for (int batch = 1; batch <= 5; ++batch) {
    const std::string bytes = Records(40, batch);
    for (int i = 0; i < 40; ++i) expected.insert(bytes.substr(i * kRecord, kRecord));
  }
  DatasetSample sample;
  for (Split split : {Split::kTrain, Split::kCalibration}) {
    for (int64_t i = 0; i < (*dataset)->size(split); ++i) {
      ASSERT_TRUE((*dataset)->Read(split, i, &sample).ok());
      found.insert(static_cast<char>(sample.label) + sample.pixels);
    }
    EXPECT_EQ((*dataset)->Read(split, (*dataset)->size(split), &sample).code(),
              absl::StatusCode::kOutOfRange);
    EXPECT_EQ((*dataset)->Read(split, -1, &sample).code(), absl::StatusCode::kOutOfRange);
  }
  EXPECT_EQ(found, expected);
}

TEST_F(Cifar10Test, ATestPictureIsNotTrainedOn) {
  // The same picture in both, with another label.
  std::string batch = Records(40, 2);
  batch.replace(7 * kRecord + 1, kRecord - 1, Records(30, 6).substr(1, kRecord - 1));
  WriteFile(Batch(2), batch);
  const auto dataset = OpenDataset(Spec());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->size(Split::kTrain) + (*dataset)->size(Split::kCalibration), 199);
}

TEST_F(Cifar10Test, TakesClassNamesFromTheMetaFile) {
  WriteFile(folder_ / "batches.meta.txt", "a\r\nb\nc\nd\ne\nf\ng\nh\ni\nj k\n\n");
  const auto dataset = OpenDataset(Spec());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT((*dataset)->info().class_names,
              ElementsAre("a", "b", "c", "d", "e", "f", "g", "h", "i", "j k"));
  WriteFile(folder_ / "batches.meta.txt", "a\nb\nc\n");
  EXPECT_THAT(InvalidText(OpenStatus()),
              HasSubstr("batches.meta.txt: names 3 classes, expected 10"));
  WriteFile(folder_ / "batches.meta.txt", "a\nb\na\n");
  EXPECT_THAT(InvalidText(OpenStatus()), HasSubstr("batches.meta.txt: names class 'a' twice"));
  WriteFile(folder_ / "batches.meta.txt", std::string(1 << 20, 'x'));
  EXPECT_THAT(InvalidText(OpenStatus()), HasSubstr("batches.meta.txt: is larger than 4096"));
}

TEST_F(Cifar10Test, RefusesFilesThatAreNotWholeRecords) {
  const std::string path = Batch(3);
  for (const auto& [bytes, what] : {std::pair<std::string, std::string>{"", "is empty"},
                                    {Records(40, 3).substr(1), "has 122919 bytes, expected 1 to"},
                                    {Records(40, 3) + "x", "records of 3073"},
                                    {Records(39, 3), "39 records, expected 40 as data_batch_1"}}) {
    WriteFile(path, bytes);
    EXPECT_THAT(InvalidText(OpenStatus()), AllOf(HasSubstr(path + ": "), HasSubstr(what)));
  }
  // A file as big as a disk, most of it holes: refused by its size, not read.
  WriteFile(path, "");
  std::filesystem::resize_file(path, uintmax_t{kRecord} << 30);
  EXPECT_THAT(InvalidText(OpenStatus()), AllOf(HasSubstr(path), HasSubstr("expected 1 to 10000")));
}

TEST_F(Cifar10Test, NamesTheRecordThatHasNoClass) {
  std::string bytes = Records(40, 4);
  bytes[17 * kRecord] = 10;
  WriteFile(Batch(4), bytes);
  EXPECT_THAT(InvalidText(OpenStatus()),
              HasSubstr(Batch(4) + ": label of record 17 (of 40, from 0) is 10, expected 0 to 9"));
}

TEST_F(Cifar10Test, SaysWhatTheFolderMustHold) {
  EXPECT_THAT(InvalidText(OpenDataset("cifar10").status()), HasSubstr("cifar10:DIR"));
  EXPECT_THAT(InvalidText(OpenDataset(Spec() + "?size=1").status()), HasSubstr("'size'"));
  EXPECT_THAT(ErrorText(OpenDataset("cifar10:/nowhere").status(), absl::StatusCode::kNotFound),
              AllOf(HasSubstr("/nowhere: is not a folder"), HasSubstr("not downloaded")));
  std::filesystem::remove(Batch(5));
  EXPECT_THAT(ErrorText(OpenStatus(), absl::StatusCode::kNotFound),
              AllOf(HasSubstr("has no file data_batch_5.bin"), HasSubstr("test_batch.bin"),
                    HasSubstr("cifar-10-batches-bin")));
  // A device plays the test split and needs no other file.
  const absl::StatusOr<DataSpec> spec = ParseDataSpec(Spec());
  ASSERT_TRUE(spec.ok());
  const auto test = OpenDatasetSplits(*spec, /*only_test=*/true);
  ASSERT_TRUE(test.ok()) << test.status();
  EXPECT_EQ((*test)->size(Split::kTest), 30);
  EXPECT_EQ((*test)->size(Split::kTrain), 0);
}

}  // namespace
}  // namespace ddnn

#include "datasets/frame_source.h"

#include <gmock/gmock.h>

#include <opencv2/core.hpp>
#include <opencv2/videoio.hpp>

#include "absl/strings/str_cat.h"
#include "datasets/dataset.h"
#include "datasets/pictures.h"
#include "tests/datasets/test_files.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::unique_ptr<FrameSource> Open(const std::string& spec, int view, const Shape& shape) {
  absl::StatusOr<std::unique_ptr<FrameSource>> source = OpenFrameSource(spec, view, shape);
  EXPECT_TRUE(source.ok()) << source.status();
  return *std::move(source);
}

TEST(FrameSource, ADatasetGivesOneViewOfItsTestSplitInOrder) {
  TempFolder folder;
  WriteMnistLike(folder.path(), 100, 40);
  const std::string spec = "six-cameras:mnist:" + folder.path();
  const auto dataset = OpenDataset(spec);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const auto source = Open(spec, 4, {1, 32, 32});
  EXPECT_FALSE(source->live());
  int absent = 0;
  DatasetSample sample;
  for (uint64_t i = 0; i < 40; ++i) {
    const absl::StatusOr<Frame> frame = source->Next();
    ASSERT_TRUE(frame.ok()) << frame.status();
    ASSERT_TRUE((*dataset)->Read(Split::kTest, i, &sample).ok());
    EXPECT_EQ(frame->sequence, i);
    EXPECT_EQ(frame->absent, (sample.presence >> 4 & 1) == 0);
    EXPECT_TRUE(frame->pixels == (frame->absent ? "" : sample.pixels.substr(4 * 1024, 1024)));
    absent += frame->absent ? 1 : 0;
  }
  EXPECT_GT(absent, 0);
  EXPECT_LT(absent, 40);
  EXPECT_EQ(source->Next().status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(source->Next().status().code(), absl::StatusCode::kOutOfRange);
}

TEST(FrameSource, ADatasetMustHaveTheShapeAndTheView) {
  TempFolder folder;
  WriteMnistLike(folder.path(), 100, 10);
  const std::string spec = "grid:mnist:" + folder.path();
  for (int view : {-1, 6}) {
    EXPECT_THAT(InvalidText(OpenFrameSource(spec, view, {1, 10, 16}).status()),
                AllOf(HasSubstr("6 views of 1x10x16"), HasSubstr(absl::StrCat("view ", view))));
  }
  EXPECT_THAT(InvalidText(OpenFrameSource(spec, 0, {1, 32, 32}).status()),
              AllOf(HasSubstr("6 views of 1x10x16"), HasSubstr("1x32x32")));
}

TEST(FrameSource, AFolderOfImagesComesByName) {
  TempFolder folder;
  const Shape shape = {1, 2, 2};
  for (const char* name : {"b.png", "a.png", "c.PNG"}) {
    ASSERT_TRUE(WritePicture(folder / name, std::string(4, name[0]), shape).ok());
  }
  WriteFile(folder / "readme.txt", "x");
  WriteFile(folder / "bb.jpg", "damaged");
  const auto source = Open("images:" + folder.path(), 3, shape);
  EXPECT_EQ(source->Next()->pixels, "aaaa");
  EXPECT_EQ(source->Next()->pixels, "bbbb");
  EXPECT_THAT(InvalidText(source->Next().status()), HasSubstr("bb.jpg"));
  const absl::StatusOr<Frame> last = source->Next();
  ASSERT_TRUE(last.ok());
  EXPECT_EQ(last->pixels, "cccc");
  EXPECT_EQ(last->sequence, 3u);
  EXPECT_EQ(source->Next().status().code(), absl::StatusCode::kOutOfRange);
}

TEST(FrameSource, RefusesSourcesThatCannotBePlayed) {
  TempFolder folder;
  const Shape shape = {3, 8, 8};
  EXPECT_THAT(InvalidText(OpenFrameSource("images:" + folder.path(), 0, shape).status()),
              AllOf(HasSubstr(folder.path()), HasSubstr("expected .png or .jpg")));
  EXPECT_EQ(OpenFrameSource("images:/nonexistent", 0, shape).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(OpenFrameSource("video:/nonexistent.avi", 0, shape).status().code(),
            absl::StatusCode::kNotFound);
  WriteFile(folder / "a.avi", "this is no video");
  EXPECT_THAT(InvalidText(OpenFrameSource("video:" + (folder / "a.avi"), 0, shape).status()),
              HasSubstr("a.avi"));
  InvalidText(OpenFrameSource("", 0, shape).status());
}

TEST(FrameSource, AVideoIsPlayedToItsEnd) {
  TempFolder folder;
  const std::string path = folder / "clip.avi";
  // OpenCV's own writer, CAP_OPENCV_MJPEG, changes colours by a quarter on Arm.
  cv::VideoWriter writer(path, cv::CAP_FFMPEG, cv::VideoWriter::fourcc('M', 'J', 'P', 'G'), 10,
                         cv::Size(64, 48));
  ASSERT_TRUE(writer.isOpened());
  // Blue, green, red.
  const cv::Scalar colours[] = {{200, 0, 0}, {0, 200, 0}, {0, 0, 200}};
  for (const cv::Scalar& colour : colours) writer.write(cv::Mat(48, 64, CV_8UC3, colour));
  writer.release();

  const auto source = Open("video:" + path, 0, {3, 6, 8});
  EXPECT_FALSE(source->live());
  for (int i = 0; i < 3; ++i) {
    const absl::StatusOr<Frame> frame = source->Next();
    ASSERT_TRUE(frame.ok()) << frame.status();
    EXPECT_EQ(frame->sequence, static_cast<uint64_t>(i));
    ASSERT_EQ(frame->pixels.size(), 3u * 6 * 8);
    for (int c = 0; c < 3; ++c) {
      const int expected = c == 2 - i ? 200 : 0;
      EXPECT_NEAR(static_cast<uint8_t>(frame->pixels[c * 48 + 20]), expected, 12) << i << " " << c;
    }
  }
  EXPECT_EQ(source->Next().status().code(), absl::StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace ddnn

// A camera at the machine, through OpenCV and V4L2's own calls.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "datasets/frame_source.h"
#include "tests/datasets/fake_v4l2.h"

namespace ddnn {
namespace {

const Shape kShape = {1, 4, 4};

// The next frame that is there, or that is absent; ends with the test if none ever is.
Frame Next(FrameSource* source, bool absent) {
  while (true) {
    absl::StatusOr<Frame> frame = source->Next();
    EXPECT_TRUE(frame.ok()) << frame.status();
    if (!frame.ok() || frame->absent == absent) return frame.ok() ? *frame : Frame();
  }
}

// Until pictures are this grey: those that were on their way come before.
void WaitForGrey(FrameSource* source, int grey) {
  Frame frame;
  do {
    frame = Next(source, /*absent=*/false);
    ASSERT_EQ(frame.pixels.size(), 16u);
  } while (std::abs(static_cast<uint8_t>(frame.pixels[5]) - grey) > 3);
}

TEST(V4l2, PicturesOfACameraThatIsUnpluggedAndPluggedInAgain) {
  SourceOptions options;
  options.rate = 50;
  ShowOnFakeCamera(126);  // 16 to 235 are black to white in video
  const auto source = OpenFrameSource(absl::StrCat("camera:", kFakeCamera), 0, kShape, options);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_TRUE((*source)->live());
  WaitForGrey(source->get(), 128);
  ShowOnFakeCamera(235);
  WaitForGrey(source->get(), 255);
  PlugFakeCamera(false);
  Next(source->get(), /*absent=*/true);
  while ((*source)->counts().losses == 0) Next(source->get(), /*absent=*/true);
  ShowOnFakeCamera(16);
  PlugFakeCamera(true);
  WaitForGrey(source->get(), 0);
  EXPECT_EQ((*source)->counts().losses, 1u);
  EXPECT_GT((*source)->counts().absent.at("camera gone"), 0u);
}

}  // namespace
}  // namespace ddnn

#ifndef DDNN_TESTS_DATASETS_FAKE_V4L2_H_
#define DDNN_TESTS_DATASETS_FAKE_V4L2_H_

#include <string>

namespace ddnn {

/// A V4L2 camera that is there only for this process, at kFakeCamera: whoever opens it gets grey
/// YUYV pictures of 64x48 through the kernel's interface (VIDIOC_..., mapped buffers). Stands in
/// for open and ioctl, which the program must export (ENABLE_EXPORTS).
inline constexpr char kFakeCamera[] = "/dev/video99";

/// 0 to 255; of the pictures from now on.
void ShowOnFakeCamera(int grey);
/// Unplugged, it cannot be opened, and whoever has it open gets ENODEV.
void PlugFakeCamera(bool plugged);

}  // namespace ddnn

#endif  // DDNN_TESTS_DATASETS_FAKE_V4L2_H_

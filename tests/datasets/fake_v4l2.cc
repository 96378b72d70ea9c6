#include "tests/datasets/fake_v4l2.h"

#include <errno.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

// fcntl.h and sys/ioctl.h stay out: they declare what is defined here, with attributes.
constexpr int kAtWorkingDirectory = -100;  // AT_FDCWD

namespace ddnn {
namespace {

constexpr unsigned kWidth = 64, kHeight = 48, kPicture = 2 * kWidth * kHeight;
constexpr unsigned kBuffer = 8192;  // whole pages; mapped from a file in memory
constexpr unsigned kBuffers = 4;

std::atomic<int> grey{0}, device{-1};
std::atomic<bool> plugged{true};
std::atomic<unsigned> next_buffer{0};

int Fail(int error) {
  errno = error;
  return -1;
}

int OpenCamera() {
  if (!plugged) return Fail(ENOENT);
  const int fd = static_cast<int>(syscall(SYS_memfd_create, "camera", 0));
  if (fd >= 0 && ftruncate(fd, kBuffer * kBuffers) != 0) return Fail(EIO);
  next_buffer = 0;
  device = fd;
  return fd;
}

void SetFormat(v4l2_format* format) {
  v4l2_pix_format& pix = format->fmt.pix;
  pix = {};
  pix.width = kWidth;
  pix.height = kHeight;
  pix.pixelformat = V4L2_PIX_FMT_YUYV;
  pix.field = V4L2_FIELD_NONE;
  pix.bytesperline = 2 * kWidth;
  pix.sizeimage = kPicture;
}

void Describe(v4l2_buffer* buffer) {
  buffer->length = kBuffer;
  buffer->m.offset = buffer->index * kBuffer;
  buffer->bytesused = kPicture;
  buffer->memory = V4L2_MEMORY_MMAP;
}

// The next picture; buffers come back in the order in which they were given.
int TakePicture(int fd, v4l2_buffer* buffer) {
  const timespec period = {0, 5000000};  // 200 pictures a second at most
  nanosleep(&period, nullptr);
  buffer->index = next_buffer++ % kBuffers;
  Describe(buffer);
  unsigned char picture[kPicture];
  for (unsigned i = 0; i < kPicture; i += 2) {
    picture[i] = static_cast<unsigned char>(grey);
    picture[i + 1] = 128;  // no colour
  }
  const long written = pwrite(fd, picture, kPicture, buffer->m.offset);
  return written == static_cast<long>(kPicture) ? 0 : Fail(EIO);
}

int Control(int fd, unsigned long request, void* argument) {
  if (!plugged) return Fail(ENODEV);
  switch (request) {
    case VIDIOC_QUERYCAP: {
      auto* capability = static_cast<v4l2_capability*>(argument);
      *capability = {};
      strcpy(reinterpret_cast<char*>(capability->card), "fake");
      capability->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
      return 0;
    }
    case VIDIOC_G_FMT:
    case VIDIOC_S_FMT:
    case VIDIOC_TRY_FMT:
      SetFormat(static_cast<v4l2_format*>(argument));
      return 0;
    case VIDIOC_REQBUFS: {
      auto* wanted = static_cast<v4l2_requestbuffers*>(argument);
      if (wanted->count > kBuffers) wanted->count = kBuffers;
      return 0;
    }
    case VIDIOC_QUERYBUF:
      Describe(static_cast<v4l2_buffer*>(argument));
      return 0;
    case VIDIOC_DQBUF:
      return TakePicture(fd, static_cast<v4l2_buffer*>(argument));
    case VIDIOC_QBUF:
    case VIDIOC_STREAMON:
    case VIDIOC_STREAMOFF:
      return 0;
    default:
      return Fail(ENOTTY);
  }
}

}  // namespace

void ShowOnFakeCamera(int shown) { grey = shown; }
void PlugFakeCamera(bool there) { plugged = there; }

}  // namespace ddnn

extern "C" {

int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const unsigned mode = va_arg(more, unsigned);
  va_end(more);
  if (strcmp(path, ddnn::kFakeCamera) == 0) return ddnn::OpenCamera();
  return static_cast<int>(syscall(SYS_openat, kAtWorkingDirectory, path, flags, mode));
}

int open64(const char* path, int flags, ...) __attribute__((alias("open")));

int ioctl(int fd, unsigned long request, ...) {
  va_list more;
  va_start(more, request);
  void* const argument = va_arg(more, void*);
  va_end(more);
  if (fd == ddnn::device) return ddnn::Control(fd, request, argument);
  return static_cast<int>(syscall(SYS_ioctl, fd, request, argument));
}

}  // extern "C"

#include "datasets/watched_folder.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datasets/pictures.h"

namespace ddnn {
namespace {

constexpr uint32_t kNew = IN_CLOSE_WRITE | IN_MOVED_TO;
constexpr uint32_t kOver = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED;

absl::Status Gone(const std::string& path, const std::string& why) {
  return absl::UnavailableError(absl::StrCat(path, ": ", why));
}

class Watched final : public VideoReader {
 public:
  Watched(std::string path, const Shape& shape, const Framing& framing)
      : path_(std::move(path)), shape_(shape), framing_(framing) {}
  ~Watched() override {
    if (events_ >= 0) close(events_);
    if (interrupt_ >= 0) close(interrupt_);
  }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  absl::Status Open() {
    events_ = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    interrupt_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (events_ < 0 || interrupt_ < 0 ||
        inotify_add_watch(events_, path_.c_str(), kNew | kOver | IN_ONLYDIR) < 0) {
      return Gone(path_, absl::StrCat("cannot be watched: ", strerror(errno)));
    }
    return absl::OkStatus();
  }

  absl::Status Grab() override {
    while (pictures_.empty()) {
      if (over_) return Gone(path_, "was moved or removed");
      pollfd waits[2] = {{events_, POLLIN, 0}, {interrupt_, POLLIN, 0}};
      if (poll(waits, 2, -1) < 0 && errno != EINTR) return Gone(path_, strerror(errno));
      if (waits[1].revents != 0) return absl::CancelledError(absl::StrCat(path_, ": interrupted"));
      if (absl::Status status = ReadEvents(); !status.ok()) return status;
    }
    grabbed_ = std::move(pictures_.front());
    pictures_.pop_front();
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Retrieve() override {
    struct stat file;
    // Nothing that would have to be waited for, such as a pipe.
    if (stat(grabbed_.c_str(), &file) != 0 || !S_ISREG(file.st_mode)) {
      return absl::DataLossError(absl::StrCat(grabbed_, ": is not a file (any more)"));
    }
    absl::StatusOr<std::string> pixels = ReadPicture(grabbed_, shape_, framing_);
    if (pixels.ok()) return pixels;
    return absl::DataLossError(std::string(pixels.status().message()));
  }

  void Interrupt() override {
    eventfd_write(interrupt_, 1);  // it stays readable: later grabs end as well
  }

 private:
  absl::Status ReadEvents() {
    alignas(inotify_event) char buffer[16 << 10];
    const ssize_t bytes = read(events_, buffer, sizeof(buffer));
    if (bytes < 0) {
      if (errno == EAGAIN || errno == EINTR) return absl::OkStatus();
      return Gone(path_, strerror(errno));
    }
    for (ssize_t at = 0; at < bytes;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      if ((event->mask & kOver) != 0) over_ = true;
      if ((event->mask & kNew) == 0 || event->len == 0) continue;
      const std::string name = absl::StrCat(path_, "/", event->name);
      if (IsPictureName(name)) pictures_.push_back(name);
    }
    return absl::OkStatus();
  }

  const std::string path_;
  const Shape shape_;
  const Framing framing_;
  int events_ = -1;
  int interrupt_ = -1;
  bool over_ = false;
  std::deque<std::string> pictures_;  // of one read; then it is worked off
  std::string grabbed_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<VideoReader>> WatchFolder(const std::string& path,
                                                         const Shape& shape,
                                                         const Framing& framing) {
  auto watched = std::make_unique<Watched>(path, shape, framing);
  if (absl::Status status = watched->Open(); !status.ok()) return status;
  return std::unique_ptr<VideoReader>(std::move(watched));
}

}  // namespace ddnn

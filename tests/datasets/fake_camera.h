#ifndef DDNN_TESTS_DATASETS_FAKE_CAMERA_H_
#define DDNN_TESTS_DATASETS_FAKE_CAMERA_H_

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "datasets/video_reader.h"

namespace ddnn {

/// A camera that does what the test says, when it says so. Its readers wait for that.
class FakeCamera {
 public:
  /// The camera's next picture, or how reading it ends.
  void Give(absl::StatusOr<std::string> pixels) {
    std::lock_guard<std::mutex> lock(mu_);
    grabs_.push_back({absl::OkStatus(), std::move(pixels)});
    changed_.notify_all();
  }
  void Break(absl::Status why) {
    std::lock_guard<std::mutex> lock(mu_);
    grabs_.push_back({std::move(why), ""});
    changed_.notify_all();
  }
  /// What opening it ends with, from now on.
  void SetOpen(absl::Status status) {
    std::lock_guard<std::mutex> lock(mu_);
    open_ = std::move(status);
  }
  /// Returns when it was tried to open it so often.
  void WaitForTries(int tries) {
    std::unique_lock<std::mutex> lock(mu_);
    changed_.wait(lock, [&] { return tries_ >= tries; });
  }
  /// Returns when all that was given has been grabbed, and the next is waited for.
  void WaitUntilRead() {
    std::unique_lock<std::mutex> lock(mu_);
    changed_.wait(lock, [&] { return grabs_.empty() && waiting_; });
  }
  int retrieved() {
    std::lock_guard<std::mutex> lock(mu_);
    return retrieved_;
  }

  absl::StatusOr<std::unique_ptr<VideoReader>> Open() {
    std::lock_guard<std::mutex> lock(mu_);
    ++tries_;
    changed_.notify_all();
    if (!open_.ok()) return open_;
    return std::unique_ptr<VideoReader>(new Reader(this));
  }

 private:
  struct Grabbed {
    absl::Status status;
    absl::StatusOr<std::string> pixels;
  };

  class Reader final : public VideoReader {
   public:
    explicit Reader(FakeCamera* camera) : camera_(camera) {}
    absl::Status Grab() override {
      std::unique_lock<std::mutex> lock(camera_->mu_);
      camera_->waiting_ = true;
      camera_->changed_.notify_all();
      camera_->changed_.wait(lock, [this] { return interrupted_ || !camera_->grabs_.empty(); });
      camera_->waiting_ = false;
      if (interrupted_) return absl::CancelledError("interrupted");
      grabbed_ = std::move(camera_->grabs_.front());
      camera_->grabs_.pop_front();
      return grabbed_.status;
    }
    absl::StatusOr<std::string> Retrieve() override {
      std::lock_guard<std::mutex> lock(camera_->mu_);
      ++camera_->retrieved_;
      return grabbed_.pixels;
    }
    void Interrupt() override {
      std::lock_guard<std::mutex> lock(camera_->mu_);
      interrupted_ = true;
      camera_->changed_.notify_all();
    }

   private:
    FakeCamera* const camera_;
    bool interrupted_ = false;
    Grabbed grabbed_;
  };

  std::mutex mu_;
  std::condition_variable changed_;
  std::deque<Grabbed> grabs_;
  absl::Status open_;
  bool waiting_ = false;
  int tries_ = 0, retrieved_ = 0;
};

/// A clock that a test sets.
class FakeTime {
 public:
  explicit FakeTime(absl::Time start) : now_(start) {}
  absl::Time Now() {
    std::lock_guard<std::mutex> lock(mu_);
    return now_;
  }
  void Set(absl::Time now) {
    std::lock_guard<std::mutex> lock(mu_);
    now_ = now;
  }

 private:
  std::mutex mu_;
  absl::Time now_;
};

}  // namespace ddnn

#endif  // DDNN_TESTS_DATASETS_FAKE_CAMERA_H_

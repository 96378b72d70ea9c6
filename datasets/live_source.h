#ifndef DDNN_DATASETS_LIVE_SOURCE_H_
#define DDNN_DATASETS_LIVE_SOURCE_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "datasets/camera_backoff.h"
#include "datasets/frame_clock.h"
#include "datasets/frame_source.h"
#include "datasets/video_reader.h"

namespace ddnn {

/// A camera, read by a thread of its own as fast as it gives pictures, of which one per period is
/// named (FrameClock). A camera that is not there, or goes, is opened again with backoff; until it
/// is back its periods are absent.
class LiveSource final : public FrameSource {
 public:
  struct Options {
    std::string name;  ///< of the camera, for Say
    absl::Duration period;
    /// Pictures come when their file says, not when they are read: a video as a camera.
    bool paced = false;
    /// The wall clock; null: absl::Now.
    std::function<absl::Time()> now;
    /// Hears a line when the camera goes and when it is back. From the reading thread; may be null.
    std::function<void(const std::string&)> say;
    absl::Duration min_backoff = absl::Milliseconds(500);
    absl::Duration max_backoff = absl::Seconds(30);
    uint64_t seed = 1;  ///< of the backoff's jitter
  };
  using Opener = std::function<absl::StatusOr<std::unique_ptr<VideoReader>>()>;

  /// Starts the thread. INVALID_ARGUMENT from `open`, or from the reader it gave, ends the source;
  /// every other error is tried again.
  LiveSource(Opener open, Options options);
  /// Waits for a camera's last picture, or its timeout.
  ~LiveSource() override;

  /// The next period. Waits for it; CANCELLED after Stop. Errors are those that end the source.
  absl::StatusOr<Frame> Next() override;
  bool live() const override { return true; }
  void Stop() override;
  FrameCounts counts() const override;

 private:
  enum class Picture { kDecode, kSkip, kStop };

  absl::Time Now() const { return options_.now ? options_.now() : absl::Now(); }
  void Loop();
  absl::Status Play(VideoReader* reader);
  bool WaitForPace(double rate, uint64_t nth, std::chrono::steady_clock::time_point started);
  Picture Came(absl::Time captured);
  void Unreadable(absl::Time captured, const absl::Status& why);
  void Gone(const absl::Status& why);
  void Say(const std::string& text) const;

  const Opener open_;
  const Options options_;

  mutable std::mutex mu_;
  std::condition_variable changed_;
  FrameClock clock_;
  CameraBackoff backoff_;
  absl::Status failed_;
  bool stopping_ = false;
  bool here_ = false;  // the camera gives pictures
  std::chrono::steady_clock::time_point here_since_, gone_since_;
  bool told_gone_ = false;        // since it last was here
  bool told_unreadable_ = false;  // since one last could be read
  uint64_t losses_ = 0;
  VideoReader* reader_ = nullptr;  // of the thread, to be interrupted
  std::thread thread_;
};

}  // namespace ddnn

#endif  // DDNN_DATASETS_LIVE_SOURCE_H_

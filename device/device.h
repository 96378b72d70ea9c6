#ifndef DDNN_DEVICE_DEVICE_H_
#define DDNN_DEVICE_DEVICE_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "datasets/frame_source.h"
#include "runtime/core/answer.h"
#include "runtime/core/bundle.h"
#include "runtime/net/clock.h"
#include "runtime/net/node_host.h"

namespace ddnn {

/// What became of a device's frames.
struct DeviceSummary {
  uint64_t samples = 0, answered = 0, shed = 0, expired = 0, degraded = 0;
  std::vector<uint64_t> by_exit;            ///< answered, one per exit of the network
  std::map<std::string, uint64_t> reason;   ///< of those shed or expired
  uint64_t payload_bytes = 0;               ///< of those that ended
  FrameCounts frames;                       ///< of a live source, once Run has ended
  absl::Duration latency_p50, latency_p99;  ///< of the last kLatencies answers
};

/// Feeds the frames of one source to a node and hears its answers. Give it to NodeHost::Start as
/// the observer, then Run it with that host.
class Device : public NodeObserver {
 public:
  struct Options {
    uint32_t stream = 0;
    /// Frames per second of a source that is not live; 0: as fast as answers come.
    double rate = 0;
    int64_t samples = 0;     ///< 0: until the source ends
    int max_in_flight = 32;  ///< then a source waits; a live one drops ("device busy")
    bool wait_for_tree = false;
    /// Without wait_for_tree the first frame waits for the parent, but not longer than this.
    absl::Duration connect_limit = absl::Seconds(5);
    /// How long those under way at the end may still take.
    absl::Duration drain_limit = absl::Seconds(5);
    /// Hears each answer once, in order. May be null.
    std::function<void(const Answer&)> on_answer;
    /// Hears that the parent was joined, or lost, in order. May be null.
    std::function<void(bool up)> on_parent;
  };

  static constexpr size_t kLatencies = 1 << 16;

  Device(const NetworkPlan& plan, Options options);

  /// Offers frames until the source ends, enough were offered, or Stop was called; then waits for
  /// those under way. The source's error if it broke; what the parent said if it refused this
  /// device. Call once.
  absl::Status Run(FrameSink* host, FrameSource* source);
  /// No more frames. From any thread.
  void Stop();

  DeviceSummary summary() const;

  void OnAnswer(const Answer& answer) override;
  void OnRefused(const absl::Status& why) override;
  void OnTreeReady() override;
  void OnParent(bool up) override;

 private:
  bool WaitForStart();
  bool WaitForTurn(int64_t offered);
  bool WaitForPlace(FrameSink* host);
  absl::Status Feed(FrameSink* host, FrameSource* source);
  absl::Status OfferFrame(FrameSink* host, Frame frame, bool live);
  void WakeLocked();
  bool over() const { return stopping_ || !refused_.ok(); }

  const NetworkPlan& plan_;
  const Options options_;
  const Clock now_ = SteadyClock();
  absl::Time started_;

  mutable std::mutex mu_;
  std::condition_variable changed_;
  FrameSource* source_ = nullptr;  // while Run runs
  bool stopping_ = false;
  bool tree_ready_ = false;
  bool parent_up_ = false;
  absl::Status refused_;
  DeviceSummary summary_;
  std::vector<absl::Duration> latencies_;  // a ring
};

}  // namespace ddnn

#endif  // DDNN_DEVICE_DEVICE_H_

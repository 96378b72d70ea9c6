#ifndef DDNN_DEVICE_FORWARDER_H_
#define DDNN_DEVICE_FORWARDER_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "ddnn/v1/report.pb.h"
#include "ddnn/v1/tier.pb.h"
#include "device/send_window.h"
#include "device/spool.h"
#include "models/network_plan.h"
#include "runtime/node/node.h"

namespace ddnn {

/// Store and forward of what a device answers alone: into a spool at once, and from there to the
/// root when the parent is back, until the root says that it is stored.
///
/// A thread of its own does all work with files. On... never wait for it: they may be called from
/// gRPC's and the node's threads. Safe to call from several threads.
class Forwarder {
 public:
  struct Options {
    std::string directory;
    int64_t max_bytes = int64_t{64} << 20;
    int view = 0;
    SendWindow::Options window;
    /// What was spooled longer ago survives a power loss. Every wait for the disk wears it.
    absl::Duration sync_every = absl::Seconds(1);
    /// Samples that may wait to be written; one more is dropped ("disk too slow").
    size_t max_queued = 256;
    std::function<absl::Time()> wall_clock = absl::Now;  ///< for the time of capture
  };

  /// Errors as in Spool::Open. `plan` must outlive the forwarder.
  static absl::StatusOr<std::unique_ptr<Forwarder>> Open(const NetworkPlan& plan, Options options);
  ~Forwarder();

  /// The way up. Called from the forwarder's thread.
  struct Parent {
    std::function<std::string()> bundle;  ///< that frames go to now, 32 raw bytes
    /// By the version of this node that runs the bundle, if it still does.
    std::function<void(const std::string& bundle, v1::KeptSample kept)> send;
  };
  void SendTo(Parent parent);
  /// The last call of what SendTo got has returned.
  void SendNowhere();

  /// \param bundle  that gave the answer, 32 raw bytes.
  void OnAlone(const std::string& bundle, const KeepAlone& alone);
  void OnAck(const v1::KeptAck& ack);
  void OnParent(bool up);

  /// Returns when all that was queued before is written and on the disk, at once after Stop.
  void Flush();
  /// Flushes and ends. What is not stored by then waits for the next start.
  void Stop();

  v1::SpoolStats stats() const;

 private:
  struct Sample {
    std::string bundle;
    v1::KeptSample kept;
  };
  struct Events {
    std::deque<Sample> samples;
    std::vector<v1::KeptAck> acks;
    bool link_changed = false;
    bool link_up = false;  // there is a parent, and a way to it

    bool empty() const { return samples.empty() && acks.empty() && !link_changed; }
  };

  Forwarder(const NetworkPlan& plan, Options options, std::unique_ptr<Spool> spool);
  void SetParent(std::optional<Parent> parent);
  void LinkChangedLocked();
  void Loop();
  void Handle(Events events);
  void Write(const std::deque<Sample>& samples);
  void Hear(const v1::KeptAck& ack);
  void SendWhatMayGo();
  absl::Status Send(const Spool::Item& item);
  void SyncIfDue(bool now);
  absl::Time NextDue() const;

  const NetworkPlan& plan_;
  const Options options_;

  // The thread's alone.
  const std::unique_ptr<Spool> spool_;
  SendWindow window_;
  bool more_ = true;
  absl::Time sync_due_ = absl::InfiniteFuture();
  uint64_t sent_ = 0;
  bool told_no_store_ = false, told_error_ = false, told_dropped_ = false, forwarding_ = false;

  std::mutex send_mu_;
  std::optional<Parent> parent_;

  mutable std::mutex mu_;
  std::condition_variable changed_;
  Events events_;
  bool has_parent_ = false, parent_up_ = false;
  uint64_t too_slow_ = 0;
  uint64_t flushes_wanted_ = 0, flushes_done_ = 0;
  bool stopping_ = false, ended_ = false;
  v1::SpoolStats stats_;

  std::thread thread_;
};

/// For people, without the end of the line.
std::string ToLine(const v1::SpoolStats& spool);

}  // namespace ddnn

#endif  // DDNN_DEVICE_FORWARDER_H_

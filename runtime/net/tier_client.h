#ifndef DDNN_RUNTIME_NET_TIER_CLIENT_H_
#define DDNN_RUNTIME_NET_TIER_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ddnn/v1/tier.pb.h"
#include "models/network_plan.h"
#include "runtime/core/answer.h"
#include "runtime/net/clock.h"
#include "runtime/net/tcp_counters.h"

namespace ddnn {

/// What went over a client's streams: messages, and their bytes as protobuf.
struct MessageCounters {
  uint64_t sent = 0, received = 0;
  uint64_t bytes_sent = 0, bytes_received = 0;
};

/// A node's stream to its parent: one channel and one stream for its whole life, opened again with
/// exponential backoff and jitter when it breaks. Sends never block. Safe to call from several
/// threads.
class TierClient {
 public:
  /// Called one at a time, from gRPC's threads or the client's own, with no lock held. Must not
  /// block and must not call Stop.
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnParentUp() = 0;
    virtual void OnParentGone() = 0;
    virtual void OnFeaturesWanted(SampleKey sample) = 0;
    virtual void OnParentAnswer(const Answer& answer) = 0;
    /// Of a view under this node.
    virtual void OnKeptAck(const v1::KeptAck& ack) {}
    /// The whole tree is connected.
    virtual void OnStart() = 0;
    /// The parent will never take this node: FAILED_PRECONDITION, OUT_OF_RANGE, ALREADY_EXISTS,
    /// INVALID_ARGUMENT or UNIMPLEMENTED, naming the parent. It is not tried again. A place that
    /// this client held before counts as its own (the parent has not noticed yet that the
    /// connection broke), so then ALREADY_EXISTS is tried again.
    virtual void OnRefused(const absl::Status& why) = 0;
  };

  struct Options {
    std::string target;  ///< HOST:PORT
    int tier = 0;        ///< of this node
    int index = 0;
    std::string bundle_sha256;  ///< 32 raw bytes
    /// A parent that runs another bundle, or speaks another version, is tried again: a bundle that
    /// fits is on its way.
    bool wait_for_bundle = false;
    absl::Duration min_backoff = absl::Milliseconds(50);
    absl::Duration max_backoff = absl::Seconds(10);
    uint64_t seed = 1;  ///< of the jitter
    /// How long a sample may wait for others to leave with it; see MayWait in outbox.h.
    absl::Duration max_batching_delay;
    /// A connection on which nothing came for `keepalive_time` is asked whether it still is one,
    /// and given up when nothing comes for `keepalive_timeout` then.
    absl::Duration keepalive_time = absl::Seconds(10);
    absl::Duration keepalive_timeout = absl::Seconds(5);
    Clock now;  ///< none: SteadyClock()
    /// A parent that has not answered the hello by then is tried again.
    absl::Duration welcome_limit = absl::Seconds(5);
    /// This machine's wall clock; null: absl::Now. Said, once TellClock was called, when a stream
    /// begins and then on the next message after each clock_period.
    std::function<absl::Time()> wall_clock;
    absl::Duration clock_period = absl::Seconds(10);
    /// What may wait for a parent that does not read; at one more the stream is broken off.
    size_t max_pending = 8192;
    size_t max_pending_bytes = 64 << 20;
  };

  /// `plan` and `handler` must outlive the client.
  TierClient(const NetworkPlan& plan, Options options, Handler* handler);
  ~TierClient();

  void Start();
  /// Dropped while the parent is gone: OnParentGone said so. Returns when Flush is to be called for
  /// it: absl::InfiniteFuture() where it needs no Flush, as always without a batching delay.
  absl::Time Send(v1::UpSample sample);
  /// Sends what has waited for its time. Returns when to call it again.
  absl::Time Flush();
  /// Goes when nothing else waits. Dropped while the parent is gone or too many wait: who wants it
  /// there sends it again until it is acknowledged.
  void SendKept(v1::KeptSample kept);
  /// This node and all under it are connected. Said again after every reconnect.
  void SendReady();
  /// From now on the parent hears at times what this machine's clock shows.
  void TellClock();
  /// Ends the stream when what waits is written, or after `limit`. Returns when the handler will
  /// not be called again.
  void Stop(absl::Duration limit);

  WireCounters wire() const;
  MessageCounters messages() const;

 private:
  class Stream;
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_TIER_CLIENT_H_

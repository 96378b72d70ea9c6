#ifndef DDNN_RUNTIME_NET_TIER_CLIENT_H_
#define DDNN_RUNTIME_NET_TIER_CLIENT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ddnn/v1/tier.pb.h"
#include "models/network_plan.h"
#include "runtime/core/answer.h"
#include "runtime/net/tcp_counters.h"

namespace ddnn {

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
    absl::Duration min_backoff = absl::Milliseconds(50);
    absl::Duration max_backoff = absl::Seconds(2);
    uint64_t seed = 1;  ///< of the jitter
    /// A parent that has not answered the hello by then is tried again.
    absl::Duration welcome_limit = absl::Seconds(5);
    /// What may wait for a parent that does not read; at one more the stream is broken off.
    size_t max_pending = 8192;
    size_t max_pending_bytes = 64 << 20;
  };

  /// `plan` and `handler` must outlive the client.
  TierClient(const NetworkPlan& plan, Options options, Handler* handler);
  ~TierClient();

  void Start();
  /// Dropped while the parent is gone: OnParentGone said so.
  void Send(v1::UpSample sample);
  /// This node and all under it are connected. Said again after every reconnect.
  void SendReady();
  /// Ends the stream when what waits is written, or after `limit`. Returns when the handler will
  /// not be called again.
  void Stop(absl::Duration limit);

  WireCounters wire() const;

 private:
  class Stream;
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_TIER_CLIENT_H_

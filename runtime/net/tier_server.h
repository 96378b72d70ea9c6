#ifndef DDNN_RUNTIME_NET_TIER_SERVER_H_
#define DDNN_RUNTIME_NET_TIER_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ddnn/v1/tier.pb.h"
#include "models/network_plan.h"
#include "runtime/core/answer.h"
#include "runtime/net/clock.h"

namespace grpc {
class CallbackServerContext;
class Service;
template <class Request, class Response>
class ServerBidiReactor;
}  // namespace grpc

namespace ddnn {

/// The side of the tier protocol that children join: one stream per child slot. What a child says
/// is checked against the spec before the handler sees it; what does not fit ends that stream with
/// INVALID_ARGUMENT and nothing else. Sends never block. Safe to call from several threads.
class TierServer {
 public:
  /// Called from gRPC's threads (OnChildGone also from a sender's), with no lock held; one child's
  /// events come one at a time and in order. Must not block.
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnChildJoined(int child) = 0;
    virtual void OnChildGone(int child) = 0;
    /// The child and all under it are connected.
    virtual void OnChildReady(int child) = 0;
    /// What the child's wall clock showed when it spoke: between 1970 and 10000, and that is all
    /// that was checked.
    virtual void OnChildClock(int child, absl::Time said) {}
    /// `sample` has the sizes, presence mask and views that the spec demands. An error ends the
    /// child's stream with that status.
    virtual absl::Status OnSample(int child, v1::UpSample sample) = 0;
    /// `kept` is of a view under the child and has the sizes that the spec demands.
    virtual void OnKept(int child, v1::KeptSample kept) {}
  };

  struct Options {
    int tier = 0;  ///< of the parent, this node
    int index = 0;
    std::string bundle_sha256;  ///< 32 raw bytes
    /// Requests and answers that may wait for one child; it is cut off at one more.
    size_t max_pending = 8192;
    /// A peer that has not said who it is by then is cut off.
    absl::Duration hello_limit = absl::Seconds(10);
    /// How long an answer or request may wait for others to leave with it; see MayWait in outbox.h.
    absl::Duration max_batching_delay;
    Clock now;  ///< none: SteadyClock()
  };

  struct Counters {
    uint64_t refused = 0;    ///< Hellos
    uint64_t malformed = 0;  ///< messages that ended a stream
    uint64_t cut_off = 0;    ///< children that did not read
  };

  /// `plan` and `handler` must outlive the server.
  TierServer(const NetworkPlan& plan, Options options, Handler* handler);
  ~TierServer();

  /// To be registered with one grpc::Server.
  grpc::Service* service();
  /// What that service does with a stream; for a service that chooses among several.
  grpc::ServerBidiReactor<v1::Up, v1::Down>* Join(grpc::CallbackServerContext* context);

  // To a child; nothing happens if it is not connected. `time_left` is in which the sample must be
  // answered. Returned is when Flush is to be called for it: absl::InfiniteFuture() where it needs
  // no Flush, as always without a batching delay.
  absl::Time SendWanted(int child, SampleKey sample, absl::Duration time_left);
  absl::Time SendAnswer(int child, const Answer& answer, absl::Duration time_left);
  void SendStart(int child);
  /// Sends what has waited for its time. Returns when to call it again.
  absl::Time Flush();
  void SendKeptAck(int child, const v1::KeptAck& ack);

  /// Ends all streams with UNAVAILABLE once what waits for them is written, or after `limit`, and
  /// takes no more. Returns when the handler will not be called again.
  void Shutdown(absl::Duration limit);

  Counters counters() const;

 private:
  class Service;
  class Stream;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_TIER_SERVER_H_

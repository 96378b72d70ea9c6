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

namespace grpc {
class Service;
}

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
    /// `sample` has the sizes, presence mask and views that the spec demands. An error ends the
    /// child's stream with that status.
    virtual absl::Status OnSample(int child, v1::UpSample sample) = 0;
  };

  struct Options {
    int tier = 0;  ///< of the parent, this node
    int index = 0;
    std::string bundle_sha256;  ///< 32 raw bytes
    /// Requests and answers that may wait for one child; it is cut off at one more.
    size_t max_pending = 8192;
    /// A peer that has not said who it is by then is cut off.
    absl::Duration hello_limit = absl::Seconds(10);
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

  // To a child; nothing happens if it is not connected.
  void SendWanted(int child, SampleKey sample);
  void SendAnswer(int child, const Answer& answer);
  void SendStart(int child);

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

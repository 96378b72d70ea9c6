#ifndef DDNN_RUNTIME_NET_NODE_HOST_H_
#define DDNN_RUNTIME_NET_NODE_HOST_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ddnn/v1/report.pb.h"
#include "ddnn/v1/tier.pb.h"
#include "runtime/core/answer.h"
#include "runtime/core/bundle.h"
#include "runtime/core/engine.h"
#include "runtime/node/node.h"

namespace grpc {
class Service;
}

namespace ddnn {

class Executor;
class TierRouter;

/// Hears what happens at a node. Called one at a time and in order, from gRPC's, the engine's or
/// the timer's thread, with no lock held. Must not block for long and must not call
/// NodeHost::Drain or Stop; Offer and Stats are fine.
class NodeObserver {
 public:
  virtual ~NodeObserver() = default;

  /// A sample ended here: answered, shed or expired. Each sample that entered comes exactly once.
  virtual void OnAnswer(const Answer& answer) {}
  /// Root only: a hard sample to be stored. Its OnAnswer comes as well.
  virtual void OnHard(const KeepHard& hard) {}
  /// Root only: pictures of a hard sample, from children whose policy allows it.
  virtual void OnPixels(const KeepPixels& pixels) {}
  /// Device with keep_alone: to be kept until the root can be told. Its OnAnswer follows.
  virtual void OnAlone(const KeepAlone& alone) {}
  /// Device: the root's word about what SendKept sent.
  virtual void OnKeptAck(const v1::KeptAck& ack) {}
  /// Root only: what a device kept while it was alone, checked against the network. Comes again
  /// until AckKept reaches the device.
  virtual void OnKept(const v1::KeptSample& kept) {}
  /// The parent refused this node for good (another bundle, no such place, place taken, ...):
  /// nothing will ever get through. The daemon says so and exits non-zero.
  virtual void OnRefused(const absl::Status& why) {}
  /// The parent was joined, or lost.
  virtual void OnParent(bool up) {}
  /// The whole tree is connected, for the first time.
  virtual void OnTreeReady() {}
};

/// What a camera's frames go to.
class FrameSink {
 public:
  virtual ~FrameSink() = default;

  /// Device tier: a new frame, [C, H, W], or that this view does not see the sample.
  /// INVALID_ARGUMENT for the wrong size. Once draining, frames are shed.
  virtual absl::Status Offer(SampleKey sample, std::string pixels) = 0;
  virtual absl::Status OfferAbsent(SampleKey sample) = 0;
  /// Device tier: a frame nobody could take: entered and shed with this reason; the parent is told
  /// not to wait for it.
  virtual void OfferShed(SampleKey sample, const std::string& reason) = 0;
  /// Samples that entered and have not ended.
  virtual int under_way() const = 0;
  /// From now on new samples are shed ("draining") and health says NOT_SERVING; returns when those
  /// under way have ended, or after `limit`.
  virtual void Drain(absl::Duration limit) = 0;
};

/// One node of the tree as a running thing: policy (Node), engine (Executor), the stream to the
/// parent, and the server its children join. Safe to call from several threads.
///
/// Events from children, parent, engine and timer reach the policy one at a time. What the policy
/// wants done is carried out in order by whichever thread came first, with no lock held across
/// gRPC.
class NodeHost : public FrameSink {
 public:
  struct Options {
    /// Tier, index, deadlines, cache. Empty thresholds: the bundle's.
    NodeOptions node;
    /// HOST:PORT to serve children at; port 0 lets the kernel choose. Empty in the device tier.
    std::string listen;
    /// Instead of `listen`: the children come through this, which outlives the host and is served
    /// by somebody else. Other versions of the node may stand beside this one behind it.
    TierRouter* router = nullptr;
    /// HOST:PORT of the parent; empty at the root.
    std::string parent;
    /// A parent that runs another bundle is tried again: see TierClient::Options.
    bool wait_for_bundle = false;
    /// Samples run through the section at once, at most, and samples waiting for it.
    int max_batch = 16;
    int max_queue = 1024;
    /// First and longest wait before the parent is tried again; each is jittered.
    absl::Duration min_backoff = absl::Milliseconds(50);
    absl::Duration max_backoff = absl::Seconds(10);
    /// How long a sample's scores, features, requests and answers may wait for those of others, to
    /// leave in one message; see MayWait in outbox.h. At most half of the gather deadline: features
    /// come a request and a reply later.
    absl::Duration max_batching_delay;
    uint64_t seed = 0;  ///< of the jitter; 0: from tier and index
    /// The parent hears at times what this machine's clock shows: for devices whose samples are
    /// named by it. Nodes above tell theirs once a child does. Null wall_clock: absl::Now.
    bool tell_clock = false;
    std::function<absl::Time()> wall_clock;
    /// Children whose clocks are farther apart than this are named in the log.
    absl::Duration skew_warned = absl::Milliseconds(50);
    /// For tests: the time, never running backwards. Where it is set there is no timer thread and
    /// Poke must be called after it moved. Default: a steady clock.
    std::function<absl::Time()> now;
  };

  /// Starts serving and connecting; the parent need not be there yet. `bundle` must hold the
  /// section of this node and is read during the call only. `observer` and `extra_services` (served
  /// beside the tier service, health and reflection) must outlive the host; either may be called
  /// before Start returns. INVALID_ARGUMENT names the option that does not fit the node;
  /// ALREADY_EXISTS: the port is taken.
  static absl::StatusOr<std::unique_ptr<NodeHost>> Start(
      const Bundle& bundle, EngineFactory factory, Options options, NodeObserver* observer,
      std::vector<grpc::Service*> extra_services = {});
  ~NodeHost() override;

  /// The port served at; 0 without a server.
  int port() const;

  absl::Status Offer(SampleKey sample, std::string pixels) override;
  absl::Status OfferAbsent(SampleKey sample) override;
  void OfferShed(SampleKey sample, const std::string& reason) override;

  /// Device tier: towards the root, behind everything else; edges pass it on. May get lost, then
  /// there is no OnKeptAck.
  void SendKept(v1::KeptSample kept);
  /// Root only: to the device of its view, if that is connected.
  void AckKept(const v1::KeptAck& ack);

  int under_way() const override;
  /// Which children are connected, by slot.
  std::vector<bool> children() const;
  bool tree_ready() const;
  bool parent_up() const;

  /// Runs what an injected clock made due.
  void Poke();

  void Drain(absl::Duration limit) override;
  /// Closes the streams and ends all threads. Nothing is called back after it returned.
  void Stop();

  /// Calls `done` once the engine's queue and the events that stand before it have been worked off,
  /// from one of the host's threads; never, if the host is stuck. Being busy, draining or without a
  /// parent is not being stuck. Not after Stop.
  void WhenWorking(std::function<void()> done);

  v1::NodeStats Stats() const;
  /// Owned by the host; for other work with the same engine threads.
  Executor* executor();

 private:
  class Impl;
  explicit NodeHost(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_NODE_HOST_H_

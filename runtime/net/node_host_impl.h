#ifndef DDNN_RUNTIME_NET_NODE_HOST_IMPL_H_
#define DDNN_RUNTIME_NET_NODE_HOST_IMPL_H_

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/net/child_clocks.h"
#include "runtime/net/node_host.h"
#include "runtime/net/tier_client.h"
#include "runtime/net/tier_server.h"
#include "runtime/node/executor.h"

namespace ddnn {

// Besides the policy's actions: what the readiness barrier and the watchdog want said.
struct TellReady {};
struct TellStart {
  int child = 0;
};
struct TellTreeReady {};
struct TellParent {
  bool up = false;
};
struct TellRefused {
  absl::Status why;
};
struct TellWorking {
  std::function<void()> done;
};
// And what passes the policy by.
struct TellKept {
  v1::KeptSample kept;
};
struct TellKeptAck {
  v1::KeptAck ack;
};
using Task = std::variant<Action, TellReady, TellStart, TellTreeReady, TellParent, TellRefused,
                          TellWorking, TellKept, TellKeptAck>;

/// What is behind a NodeHost. node_host.cc starts it and takes events in, node_actions.cc carries
/// out what the policy wants done and ends it.
class NodeHost::Impl : public TierServer::Handler, public TierClient::Handler {
 public:
  Impl(const Bundle& bundle, Options options, NodeObserver* observer);

  absl::Status Start(const Bundle& bundle, EngineFactory factory,
                     std::vector<grpc::Service*> extra_services);
  absl::Status Offer(SampleKey sample, std::string pixels);
  absl::Status OfferAbsent(SampleKey sample);
  void OfferShed(SampleKey sample, const std::string& reason);
  void SendKept(v1::KeptSample kept);
  void AckKept(const v1::KeptAck& ack);
  void Poke();
  void Drain(absl::Duration limit);
  void Stop();
  void WhenWorking(std::function<void()> done);
  v1::NodeStats Stats() const;

  // From the children.
  void OnChildJoined(int child) override;
  void OnChildGone(int child) override;
  void OnChildReady(int child) override;
  void OnChildClock(int child, absl::Time said) override;
  absl::Status OnSample(int child, v1::UpSample sample) override;
  void OnKept(int child, v1::KeptSample kept) override;

  // From the parent.
  void OnParentUp() override;
  void OnParentGone() override;
  void OnFeaturesWanted(SampleKey sample) override;
  void OnParentAnswer(const Answer& answer) override;
  void OnKeptAck(const v1::KeptAck& ack) override;
  void OnStart() override;
  void OnRefused(const absl::Status& why) override;

  template <typename F>
  auto Locked(F&& read) const {
    std::lock_guard<std::mutex> lock(mu_);
    return read();
  }

  bool root() const { return options_.node.tier == plan_.root_tier(); }
  absl::Status NotADevice() const;
  absl::Status DispatchLocked(int child, v1::UpSample sample, absl::Time now,
                              std::vector<Action>* actions);
  void ShedLocked(SampleKey sample, const std::string& reason, std::vector<int> children);
  void TreeReadyLocked();
  void CheckSkewLocked();

  template <typename F>
  void Event(F&& event);
  void QueueLocked(std::vector<Action> actions);
  void CarryOut(std::unique_lock<std::mutex>* lock);
  void Do(Task task);
  void Do(Action action);
  void Run(RunSection run);
  void Run(RunScores run);
  void Give(const GiveAnswer& give);
  void TimerLoop();
  void FlushAt(absl::Time due);
  void Flush();

  const NetworkPlan plan_;
  Options options_;
  NodeObserver* const observer_;
  const bool manual_clock_;
  int port_ = 0;

  std::unique_ptr<Executor> executor_;
  Executor* submit_ = nullptr;               // the same; good while it is being destroyed
  std::unique_ptr<TierServer> tier_server_;  // outlives server_, which calls it
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<TierClient> client_;
  std::thread timer_;

  mutable std::mutex mu_;
  Node node_;
  std::deque<Task> queue_;
  bool carrying_ = false;            // a thread is carrying out the queue
  std::condition_variable settled_;  // nothing queued, nothing carried out
  std::condition_variable timer_changed_;
  absl::Time timer_armed_ = absl::InfiniteFuture();
  absl::Time flush_at_ = absl::InfiniteFuture();  // what waits in the streams' outboxes
  bool timer_stopping_ = false;
  bool draining_ = false;
  bool stopped_ = false;
  bool parent_up_ = false;
  bool tree_ready_ = false;
  std::vector<bool> child_here_, child_ready_;
  ChildClocks clocks_;
  bool skew_told_ = false;  // that it is too large, since it last was not
  uint64_t shed_here_ = 0;  // before the policy saw them
  std::map<std::string, uint32_t> shed_reason_;
};

template <typename F>
void NodeHost::Impl::Event(F&& event) {
  std::unique_lock<std::mutex> lock(mu_);
  std::vector<Action> actions;
  event(options_.now(), &actions);
  QueueLocked(std::move(actions));
  if (node_.NextDeadline() < timer_armed_) timer_changed_.notify_all();
  CarryOut(&lock);
}

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_NODE_HOST_IMPL_H_

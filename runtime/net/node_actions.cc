#include <grpcpp/health_check_service_interface.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "runtime/net/node_host_impl.h"
#include "runtime/net/protocol.h"
#include "runtime/net/tier_router.h"

namespace ddnn {
namespace {

template <typename... F>
struct Overload : F... {
  using F::operator()...;
};
template <typename... F>
Overload(F...) -> Overload<F...>;

v1::UpSample Message(SampleKey key) {
  v1::UpSample sample;
  sample.set_sequence(key.sequence);
  sample.set_stream(key.stream);
  return sample;
}

uint32_t Milliseconds(absl::Duration duration) {
  // 0 would say "unknown".
  return static_cast<uint32_t>(
      std::clamp<int64_t>(absl::ToInt64Milliseconds(duration), 1, 1 << 30));
}

}  // namespace

// ---- What is to be done, without the lock ----

void NodeHost::Impl::Do(Task task) {
  std::visit(Overload{[&](Action& action) { Do(std::move(action)); },
                      [&](TellReady&) { client_->SendReady(); },
                      [&](TellStart& start) { tier_server_->SendStart(start.child); },
                      [&](TellTreeReady&) { observer_->OnTreeReady(); },
                      [&](TellParent& parent) { observer_->OnParent(parent.up); },
                      [&](TellRefused& refused) { observer_->OnRefused(refused.why); },
                      [&](TellWorking& working) { working.done(); },
                      [&](TellKept& kept) { observer_->OnKept(kept.kept); },
                      [&](TellKeptAck& ack) { observer_->OnKeptAck(ack.ack); }},
             task);
}

void NodeHost::Impl::Do(Action action) {
  const bool device = options_.node.tier == 0;
  auto up = [&](auto& send, v1::UpSample sample) {
    // A device has one view: its presence goes without saying.
    if (!device) sample.set_presence(send.presence);
    sample.set_time_left_ms(Milliseconds(send.time_left));
    FlushAt(client_->Send(std::move(sample)));
  };
  std::visit(
      Overload{[&](SendScores& send) {
                 v1::UpSample sample = Message(send.sample);
                 sample.set_scores(std::move(send.scores));
                 up(send, std::move(sample));
               },
               [&](SendFeatures& send) {
                 v1::UpSample sample = Message(send.sample);
                 sample.set_features(std::move(send.features));
                 up(send, std::move(sample));
               },
               [&](SendAbsent& send) {
                 v1::UpSample sample = Message(send.sample);
                 sample.set_absent(true);
                 FlushAt(client_->Send(std::move(sample)));
               },
               [&](SendPixels& send) {
                 v1::UpSample sample = Message(send.sample);
                 for (auto& [view, pixels] : send.pixels) {
                   v1::ViewPixels* out = sample.add_pixels();
                   out->set_view(view);
                   out->set_pixels(std::move(pixels));
                 }
                 FlushAt(client_->Send(std::move(sample)));
               },
               [&](RequestFeatures& request) {
                 FlushAt(
                     tier_server_->SendWanted(request.child, request.sample, request.time_left));
               },
               [&](RunSection& run) { Run(std::move(run)); },
               [&](RunScores& run) { Run(std::move(run)); }, [&](GiveAnswer& give) { Give(give); },
               [&](KeepHard& hard) { observer_->OnHard(hard); },
               [&](KeepPixels& pixels) { observer_->OnPixels(pixels); },
               [&](KeepAlone& alone) { observer_->OnAlone(alone); }},
      action);
}

void NodeHost::Impl::Give(const GiveAnswer& give) {
  for (int child : give.children) {
    if (tier_server_ == nullptr) break;
    FlushAt(tier_server_->SendAnswer(child, give.answer, give.time_left));
  }
  if (!give.repeated) observer_->OnAnswer(give.answer);
}

void NodeHost::Impl::Run(RunSection run) {
  const SampleKey key = run.sample;
  auto done = [this, key](absl::StatusOr<SectionOutput> output) {
    Event([&](absl::Time now, std::vector<Action>* actions) {
      if (output.ok()) return node_.SectionDone(key, *std::move(output), now, actions);
      node_.SectionFailed(key, output.status(), now, actions);
    });
  };
  const absl::Status queued = submit_->Submit(std::move(run.input), done);
  if (!queued.ok()) done(queued);
}

void NodeHost::Impl::Run(RunScores run) {
  const SampleKey key = run.sample;
  auto done = [this, key](absl::StatusOr<std::vector<float>> scores) {
    Event([&](absl::Time now, std::vector<Action>* actions) {
      if (scores.ok()) return node_.ScoresDone(key, *std::move(scores), now, actions);
      node_.SectionFailed(key, scores.status(), now, actions);
    });
  };
  const absl::Status queued = submit_->SubmitScores(std::move(run.joined), done);
  if (!queued.ok()) done(queued);
}

// ---- What waits for company ----

void NodeHost::Impl::FlushAt(absl::Time due) {
  if (due == absl::InfiniteFuture()) return;
  std::lock_guard<std::mutex> lock(mu_);
  flush_at_ = std::min(flush_at_, due);
  if (flush_at_ < timer_armed_) timer_changed_.notify_all();
}

void NodeHost::Impl::Flush() {
  if (client_ != nullptr) FlushAt(client_->Flush());
  if (tier_server_ != nullptr) FlushAt(tier_server_->Flush());
}

// ---- The end ----

void NodeHost::Impl::Drain(absl::Duration limit) {
  std::unique_lock<std::mutex> lock(mu_);
  draining_ = true;
  lock.unlock();
  if (server_ != nullptr) server_->GetHealthCheckService()->SetServingStatus(false);
  lock.lock();
  settled_.wait_for(lock, absl::ToChronoMilliseconds(limit),
                    [this] { return node_.under_way() == 0 && queue_.empty() && !carrying_; });
}

void NodeHost::Impl::Stop() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (std::exchange(stopped_, true)) return;
    draining_ = true;
    timer_stopping_ = true;
    timer_changed_.notify_all();
  }
  if (timer_.joinable()) timer_.join();
  // What is still under way ends here, with the best answer there is.
  Event([this](absl::Time now, std::vector<Action>* actions) {
    node_.OnTime(now + absl::Hours(24), actions);
  });
  {
    std::unique_lock<std::mutex> lock(mu_);
    settled_.wait(lock, [this] { return queue_.empty() && !carrying_; });
  }
  if (client_ != nullptr) client_->Stop(absl::Seconds(1));
  if (options_.router != nullptr && tier_server_ != nullptr) {
    options_.router->Remove(tier_server_.get());
  }
  if (tier_server_ != nullptr) tier_server_->Shutdown(absl::Seconds(1));
  if (server_ != nullptr) {
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
    server_->Wait();
  }
  executor_.reset();  // finishes what it was given, which ends no sample any more
}

void NodeHost::Impl::WhenWorking(std::function<void()> done) {
  auto event = [this, done = std::move(done)] {
    Event([&](absl::Time, std::vector<Action>*) { queue_.emplace_back(TellWorking{done}); });
  };
  // It fails only while the host ends.
  submit_->SubmitProbe(std::move(event)).IgnoreError();
}

v1::NodeStats NodeHost::Impl::Stats() const {
  v1::NodeStats stats;
  stats.set_node(NodeName(plan_, options_.node.tier, options_.node.index));
  if (client_ != nullptr) {
    const WireCounters wire = client_->wire();
    stats.set_wire_bytes_sent(static_cast<double>(wire.bytes_sent));
    stats.set_wire_bytes_received(static_cast<double>(wire.bytes_received));
    stats.set_wire_segments_sent(static_cast<uint32_t>(wire.segments_sent));
    stats.set_wire_segments_received(static_cast<uint32_t>(wire.segments_received));
    stats.set_wire_data_segments_sent(static_cast<uint32_t>(wire.data_segments_sent));
    stats.set_wire_data_segments_received(static_cast<uint32_t>(wire.data_segments_received));
  }
  if (client_ != nullptr) {
    const MessageCounters messages = client_->messages();
    stats.set_messages_sent(static_cast<double>(messages.sent));
    stats.set_messages_received(static_cast<double>(messages.received));
    stats.set_message_bytes_sent(static_cast<double>(messages.bytes_sent));
    stats.set_message_bytes_received(static_cast<double>(messages.bytes_received));
  }
  std::lock_guard<std::mutex> lock(mu_);
  const NodeCounters& counters = node_.counters();
  stats.set_entered(static_cast<uint32_t>(counters.entered + shed_here_));
  stats.set_answered(static_cast<uint32_t>(counters.answered));
  stats.set_shed(static_cast<uint32_t>(counters.shed + shed_here_));
  stats.set_expired(static_cast<uint32_t>(counters.expired));
  stats.set_degraded(static_cast<uint32_t>(counters.degraded));
  stats.set_payload_bytes(static_cast<double>(counters.payload_bytes));
  stats.mutable_shed_reason()->insert(shed_reason_.begin(), shed_reason_.end());
  const std::vector<int>& children = plan_.node(options_.node.tier, options_.node.index).children;
  for (size_t child = 0; child < children.size(); ++child) {
    const std::optional<absl::Duration> offset = clocks_.Offset(static_cast<int>(child));
    if (!offset.has_value()) continue;
    v1::ChildClock* clock = stats.add_child_clock();
    clock->set_node(NodeName(plan_, options_.node.tier - 1, children[child]));
    clock->set_offset_ms(absl::ToDoubleMilliseconds(*offset));
  }
  if (const std::optional<ChildClocks::Skew> skew = clocks_.Largest()) {
    stats.set_clock_skew_ms(absl::ToDoubleMilliseconds(skew->apart));
  }
  if (counters.alone_evicted > 0) {
    (*stats.mutable_spool()->mutable_dropped())["not cached any more"] =
        static_cast<uint32_t>(counters.alone_evicted);
  }
  return stats;
}

}  // namespace ddnn

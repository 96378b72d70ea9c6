#include "runtime/net/node_host.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "runtime/net/listener.h"
#include "runtime/net/node_host_impl.h"
#include "runtime/net/protocol.h"
#include "runtime/net/tier_router.h"

namespace ddnn {
namespace {

absl::Status CheckOptions(const NetworkPlan& plan, const NodeHost::Options& options) {
  const int tier = options.node.tier;
  if (tier < 0 || tier > plan.root_tier()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tier ", tier, ": the network has ", plan.root_tier() + 1, " tiers"));
  }
  const int nodes = static_cast<int>(plan.tiers()[tier].nodes.size());
  if (options.node.index < 0 || options.node.index >= nodes) {
    return absl::InvalidArgumentError(absl::StrCat("node ", options.node.index, " of tier \"",
                                                   plan.tiers()[tier].name, "\": expected 0 to ",
                                                   nodes - 1));
  }
  if (tier == plan.root_tier() && !options.parent.empty()) {
    return absl::InvalidArgumentError("parent: the root has none");
  }
  if (tier < plan.root_tier() && options.parent.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("parent: ", NodeName(plan, tier, options.node.index), " needs one"));
  }
  if (options.router != nullptr && (tier == 0 || !options.listen.empty())) {
    return absl::InvalidArgumentError("router: for nodes with children, and without listen");
  }
  if (tier > 0 && options.listen.empty() && options.router == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen: ", NodeName(plan, tier, options.node.index),
                     " needs an address for its children"));
  }
  if (tier == 0 && !options.listen.empty()) {
    return absl::InvalidArgumentError("listen: a device has no children");
  }
  if (options.max_batch < 1 || options.max_queue < 1) {
    return absl::InvalidArgumentError(absl::StrCat("max_batch ", options.max_batch, ", max_queue ",
                                                   options.max_queue, ": expected at least 1"));
  }
  if (options.max_batching_delay < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat("max_batching_delay ",
                                                   absl::FormatDuration(options.max_batching_delay),
                                                   ": expected at least 0"));
  }
  if (tier > 0 && 2 * options.max_batching_delay > options.node.gather_deadline) {
    return absl::InvalidArgumentError(absl::StrCat(
        "max_batching_delay ", absl::FormatDuration(options.max_batching_delay),
        ": expected at most half of the gather deadline, which is ",
        absl::FormatDuration(options.node.gather_deadline), ": requests and replies wait, both"));
  }
  return absl::OkStatus();
}

}  // namespace

NodeHost::Impl::Impl(const Bundle& bundle, Options options, NodeObserver* observer)
    : plan_(bundle.plan),
      options_(std::move(options)),
      observer_(observer),
      manual_clock_(options_.now != nullptr),
      node_(plan_, options_.node),
      clocks_(plan_.node(options_.node.tier, options_.node.index).children.size()) {
  if (!manual_clock_) options_.now = SteadyClock();
  const size_t children = plan_.node(options_.node.tier, options_.node.index).children.size();
  child_here_.assign(children, false);
  child_ready_.assign(children, false);
}

absl::Status NodeHost::Impl::Start(const Bundle& bundle, EngineFactory factory,
                                   std::vector<grpc::Service*> extra_services) {
  const int tier = options_.node.tier, index = options_.node.index;
  const auto section = bundle.sections.find({tier, index});
  if (section == bundle.sections.end()) {
    return absl::NotFoundError(absl::StrCat("the bundle was loaded without the section of ",
                                            NodeName(plan_, tier, index)));
  }
  absl::StatusOr<std::unique_ptr<Engine>> engine = factory(plan_, section->second);
  if (!engine.ok()) return engine.status();
  Executor::Options executor_options;
  executor_options.max_batch = options_.max_batch;
  executor_options.max_queue = options_.max_queue;
  executor_ = std::make_unique<Executor>(*std::move(engine), executor_options);
  submit_ = executor_.get();

  if (!root()) {
    TierClient::Options client;
    client.target = options_.parent;
    client.tier = tier;
    client.index = index;
    client.bundle_sha256 = bundle.sha256;
    client.wait_for_bundle = options_.wait_for_bundle;
    client.min_backoff = options_.min_backoff;
    client.max_backoff = options_.max_backoff;
    client.max_batching_delay = options_.max_batching_delay;
    client.now = options_.now;
    client.seed = options_.seed != 0 ? options_.seed : 1 + tier * 1000 + index;
    client.wall_clock = options_.wall_clock;
    client_ = std::make_unique<TierClient>(plan_, client, this);
    if (options_.tell_clock) client_->TellClock();
  }
  if (tier > 0) {
    TierServer::Options server;
    server.tier = tier;
    server.index = index;
    server.bundle_sha256 = bundle.sha256;
    server.max_batching_delay = options_.max_batching_delay;
    server.now = options_.now;
    tier_server_ = std::make_unique<TierServer>(plan_, server, this);
  }
  if (options_.router != nullptr) {
    options_.router->Add(bundle.sha256, tier_server_.get());
  } else if (tier > 0) {
    const size_t limit = MaxReceiveBytes(plan_, tier, index, !extra_services.empty());
    std::vector<grpc::Service*> services = std::move(extra_services);
    services.push_back(tier_server_->service());
    absl::StatusOr<Listener> listener = Listen(options_.listen, limit, services);
    if (!listener.ok()) return listener.status();
    server_ = std::move(listener->server);
    port_ = listener->port;
  } else if (root()) {
    tree_ready_ = true;
  } else {
    client_->SendReady();
  }
  if (client_ != nullptr) client_->Start();
  if (!manual_clock_) timer_ = std::thread([this] { TimerLoop(); });
  return absl::OkStatus();
}

// ---- Events, one at a time ----

void NodeHost::Impl::QueueLocked(std::vector<Action> actions) {
  for (Action& action : actions) {
    const auto* give = std::get_if<GiveAnswer>(&action);
    if (give != nullptr && !give->repeated) {
      if (give->answer.outcome == Outcome::kShed) ++shed_reason_[give->answer.reason];
    }
    queue_.emplace_back(std::move(action));
  }
}

// Whoever finds the queue unattended works it off, others' tasks too; so the order is kept and no
// lock is held while something is sent.
void NodeHost::Impl::CarryOut(std::unique_lock<std::mutex>* lock) {
  if (carrying_) return;
  carrying_ = true;
  while (!queue_.empty()) {
    std::deque<Task> tasks;
    tasks.swap(queue_);
    lock->unlock();
    for (Task& task : tasks) Do(std::move(task));
    lock->lock();
  }
  carrying_ = false;
  settled_.notify_all();
}

void NodeHost::Impl::TimerLoop() {
  std::unique_lock<std::mutex> lock(mu_);
  while (!timer_stopping_) {
    const absl::Time now = options_.now();
    if (flush_at_ <= now) {
      flush_at_ = absl::InfiniteFuture();
      lock.unlock();
      Flush();
      lock.lock();
      continue;
    }
    timer_armed_ = std::min(node_.NextDeadline(), flush_at_);
    if (timer_armed_ > now) {
      if (timer_armed_ == absl::InfiniteFuture()) {
        timer_changed_.wait(lock);
      } else {
        // Not finer than a millisecond: what is due about the same time is done together.
        const absl::Duration wait = std::max(timer_armed_ - now, absl::Milliseconds(1));
        timer_changed_.wait_for(lock, absl::ToChronoNanoseconds(wait));
      }
      continue;
    }
    std::vector<Action> actions;
    node_.OnTime(now, &actions);
    QueueLocked(std::move(actions));
    CarryOut(&lock);
  }
}

void NodeHost::Impl::Poke() {
  Event([this](absl::Time now, std::vector<Action>* actions) { node_.OnTime(now, actions); });
  Flush();
}

// ---- From the camera ----

absl::Status NodeHost::Impl::NotADevice() const {
  if (options_.node.tier == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(NodeName(plan_, options_.node.tier, options_.node.index), " has no camera"));
}

absl::Status NodeHost::Impl::Offer(SampleKey sample, std::string pixels) {
  absl::Status status = NotADevice();
  if (!status.ok()) return status;
  Event([&](absl::Time now, std::vector<Action>* actions) {
    if (draining_) return ShedLocked(sample, "draining", {});
    const uint64_t view = plan_.node(0, options_.node.index).views;
    status = node_.OnChildFeatures(0, sample, std::move(pixels), view, now, actions);
  });
  return status;
}

absl::Status NodeHost::Impl::OfferAbsent(SampleKey sample) {
  absl::Status status = NotADevice();
  if (!status.ok()) return status;
  Event([&](absl::Time now, std::vector<Action>* actions) {
    if (draining_) return ShedLocked(sample, "draining", {});
    status = node_.OnChildAbsent(0, sample, now, actions);
  });
  return status;
}

void NodeHost::Impl::OfferShed(SampleKey sample, const std::string& reason) {
  Event([&](absl::Time, std::vector<Action>* actions) {
    ShedLocked(sample, reason, {});
    if (parent_up_) actions->push_back(SendAbsent{sample});
  });
}

// Ends a sample that the policy does not get to see.
void NodeHost::Impl::ShedLocked(SampleKey sample, const std::string& reason,
                                std::vector<int> children) {
  GiveAnswer give;
  give.answer.sample = sample;
  give.answer.outcome = Outcome::kShed;
  give.answer.reason = reason;
  give.children = std::move(children);
  ++shed_here_;
  std::vector<Action> actions;
  actions.push_back(std::move(give));
  QueueLocked(std::move(actions));
}

// ---- From the children ----

void NodeHost::Impl::OnChildJoined(int child) {
  Event([&](absl::Time now, std::vector<Action>*) {
    child_here_[child] = true;
    clocks_.Forget(child);
    node_.OnChildJoined(child, now);
    if (tree_ready_) queue_.emplace_back(TellStart{child});
  });
}

void NodeHost::Impl::OnChildGone(int child) {
  Event([&](absl::Time now, std::vector<Action>* actions) {
    child_here_[child] = child_ready_[child] = false;
    node_.OnChildGone(child, now, actions);
  });
}

void NodeHost::Impl::OnChildReady(int child) {
  Event([&](absl::Time, std::vector<Action>*) {
    child_ready_[child] = child_here_[child];
    const bool all =
        std::find(child_ready_.begin(), child_ready_.end(), false) == child_ready_.end();
    if (!all) return;
    if (root()) {
      TreeReadyLocked();
    } else {
      queue_.emplace_back(TellReady{});
    }
  });
}

void NodeHost::Impl::OnChildClock(int child, absl::Time said) {
  if (client_ != nullptr) client_->TellClock();
  Event([&](absl::Time now, std::vector<Action>*) {
    clocks_.Add(child, said, now);
    CheckSkewLocked();
  });
}

// Says once when clocks are too far apart, and once when they are not any more.
void NodeHost::Impl::CheckSkewLocked() {
  const std::optional<ChildClocks::Skew> skew = clocks_.Largest();
  if (!skew.has_value()) return;
  const bool large = skew->apart > options_.skew_warned;
  if (large == skew_told_) return;
  skew_told_ = large;
  const int tier = options_.node.tier;
  const std::vector<int>& children = plan_.node(tier, options_.node.index).children;
  const std::string text = absl::StrFormat("the clock of %s is %.1f ms ahead of that of %s",
                                           NodeName(plan_, tier - 1, children[skew->ahead]),
                                           absl::ToDoubleMilliseconds(skew->apart),
                                           NodeName(plan_, tier - 1, children[skew->behind]));
  if (large) {
    spdlog::warn("{}; pictures of one moment meet only below half a period (1 / --rate)", text);
  } else {
    spdlog::info("{}, which is little enough again", text);
  }
}

void NodeHost::Impl::TreeReadyLocked() {
  if (std::exchange(tree_ready_, true)) return;
  for (size_t child = 0; child < child_here_.size(); ++child) {
    if (child_here_[child]) queue_.emplace_back(TellStart{static_cast<int>(child)});
  }
  queue_.emplace_back(TellTreeReady{});
}

absl::Status NodeHost::Impl::OnSample(int child, v1::UpSample sample) {
  absl::Status status;
  Event([&](absl::Time now, std::vector<Action>* actions) {
    const SampleKey key{sample.stream(), sample.sequence()};
    const bool only_pixels =
        !sample.absent() && sample.scores().empty() && sample.features().empty();
    if (draining_ && !only_pixels && !node_.Knows(key)) {
      return ShedLocked(key, "draining", {child});
    }
    status = DispatchLocked(child, std::move(sample), now, actions);
  });
  return status;
}

absl::Status NodeHost::Impl::DispatchLocked(int child, v1::UpSample sample, absl::Time now,
                                            std::vector<Action>* actions) {
  const SampleKey key{sample.stream(), sample.sequence()};
  const absl::Duration left = sample.time_left_ms() == 0
                                  ? absl::InfiniteDuration()
                                  : absl::Milliseconds(sample.time_left_ms());
  absl::Status status;
  if (sample.absent()) status = node_.OnChildAbsent(child, key, now, actions, left);
  if (status.ok() && !sample.scores().empty()) {
    status =
        node_.OnChildScores(child, key, sample.scores(), sample.presence(), now, actions, left);
  }
  if (status.ok() && !sample.features().empty()) {
    status = node_.OnChildFeatures(child, key, std::move(*sample.mutable_features()),
                                   sample.presence(), now, actions, left);
  }
  if (status.ok() && !sample.pixels().empty()) {
    std::vector<std::pair<int, std::string>> pixels;
    for (v1::ViewPixels& view : *sample.mutable_pixels()) {
      pixels.emplace_back(view.view(), std::move(*view.mutable_pixels()));
    }
    status = node_.OnChildPixels(child, key, std::move(pixels), now, actions);
  }
  return status;
}

// ---- From the parent ----

void NodeHost::Impl::OnParentUp() {
  Event([&](absl::Time now, std::vector<Action>*) {
    parent_up_ = true;
    node_.OnParentUp(now);
    queue_.emplace_back(TellParent{true});
  });
}

void NodeHost::Impl::OnParentGone() {
  Event([&](absl::Time now, std::vector<Action>* actions) {
    parent_up_ = false;
    node_.OnParentGone(now, actions);
    queue_.emplace_back(TellParent{false});
  });
}

void NodeHost::Impl::OnFeaturesWanted(SampleKey sample) {
  Event([&](absl::Time now, std::vector<Action>* actions) {
    node_.OnFeaturesWanted(sample, now, actions);
  });
}

void NodeHost::Impl::OnParentAnswer(const Answer& answer) {
  Event(
      [&](absl::Time now, std::vector<Action>* actions) { node_.OnAnswer(answer, now, actions); });
}

// ---- What devices kept while they were alone: past the policy, up and down again ----

void NodeHost::Impl::SendKept(v1::KeptSample kept) {
  if (client_ != nullptr) client_->SendKept(std::move(kept));
}

void NodeHost::Impl::OnKept(int, v1::KeptSample kept) {
  if (!root()) return SendKept(std::move(kept));
  Event([&](absl::Time, std::vector<Action>*) {
    if (!draining_) queue_.emplace_back(TellKept{std::move(kept)});
  });
}

void NodeHost::Impl::AckKept(const v1::KeptAck& ack) {
  const int tier = options_.node.tier;
  const std::vector<int>& children = plan_.node(tier, options_.node.index).children;
  for (size_t slot = 0; slot < children.size(); ++slot) {
    const bool its = (plan_.node(tier - 1, children[slot]).views >> ack.view() & 1) != 0;
    if (its) tier_server_->SendKeptAck(static_cast<int>(slot), ack);
  }
}

void NodeHost::Impl::OnKeptAck(const v1::KeptAck& ack) {
  if (options_.node.tier > 0) return AckKept(ack);
  Event([&](absl::Time, std::vector<Action>*) { queue_.emplace_back(TellKeptAck{ack}); });
}

void NodeHost::Impl::OnRefused(const absl::Status& why) {
  Event([&](absl::Time, std::vector<Action>*) { queue_.emplace_back(TellRefused{why}); });
}

void NodeHost::Impl::OnStart() {
  Event([&](absl::Time, std::vector<Action>*) { TreeReadyLocked(); });
}

// ---- The host ----

absl::StatusOr<std::unique_ptr<NodeHost>> NodeHost::Start(
    const Bundle& bundle, EngineFactory factory, Options options, NodeObserver* observer,
    std::vector<grpc::Service*> extra_services) {
  absl::Status status = CheckOptions(bundle.plan, options);
  if (!status.ok()) return status;
  if (options.node.thresholds.empty()) options.node.thresholds = bundle.thresholds;
  auto impl = std::make_unique<Impl>(bundle, std::move(options), observer);
  status = impl->Start(bundle, factory, std::move(extra_services));
  if (!status.ok()) return status;
  return std::unique_ptr<NodeHost>(new NodeHost(std::move(impl)));
}

NodeHost::NodeHost(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NodeHost::~NodeHost() { Stop(); }

int NodeHost::port() const { return impl_->port_; }
absl::Status NodeHost::Offer(SampleKey sample, std::string pixels) {
  return impl_->Offer(sample, std::move(pixels));
}
absl::Status NodeHost::OfferAbsent(SampleKey sample) { return impl_->OfferAbsent(sample); }
void NodeHost::OfferShed(SampleKey sample, const std::string& reason) {
  impl_->OfferShed(sample, reason);
}
void NodeHost::SendKept(v1::KeptSample kept) { impl_->SendKept(std::move(kept)); }
void NodeHost::AckKept(const v1::KeptAck& ack) { impl_->AckKept(ack); }
int NodeHost::under_way() const {
  return impl_->Locked([this] { return impl_->node_.under_way(); });
}
std::vector<bool> NodeHost::children() const {
  return impl_->Locked([this] { return impl_->child_here_; });
}
bool NodeHost::tree_ready() const {
  return impl_->Locked([this] { return impl_->tree_ready_; });
}
bool NodeHost::parent_up() const {
  return impl_->Locked([this] { return impl_->parent_up_; });
}
void NodeHost::Poke() { impl_->Poke(); }
void NodeHost::Drain(absl::Duration limit) { impl_->Drain(limit); }
void NodeHost::Stop() { impl_->Stop(); }
void NodeHost::WhenWorking(std::function<void()> done) { impl_->WhenWorking(std::move(done)); }
v1::NodeStats NodeHost::Stats() const { return impl_->Stats(); }
Executor* NodeHost::executor() { return impl_->executor_.get(); }

}  // namespace ddnn

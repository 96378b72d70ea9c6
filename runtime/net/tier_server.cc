#include "runtime/net/tier_server.h"

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ddnn/v1/tier.grpc.pb.h"
#include "runtime/net/outbox.h"
#include "runtime/net/protocol.h"
#include "runtime/net/shorten.h"
#include "runtime/net/status.h"

namespace ddnn {

// What the streams share. Streams end (OnDone) before it does: Shutdown waits for them.
struct TierServer::State {
  State(const NetworkPlan& plan, Options options, Handler* handler)
      : plan(plan),
        options(std::move(options)),
        handler(handler),
        max_message(MaxUpBytes(plan, this->options.tier, this->options.index)),
        place(plan.node(this->options.tier, this->options.index).children.size()) {
    if (this->options.now == nullptr) this->options.now = SteadyClock();
  }

  std::string ChildName(int child) const {
    return NodeName(plan, options.tier - 1, plan.node(options.tier, options.index).children[child]);
  }

  const NetworkPlan& plan;
  Options options;  // not changed once made
  Handler* const handler;
  const size_t max_message;
  std::unique_ptr<Service> service;
  std::atomic<uint64_t> refused{0}, malformed{0}, cut_off{0};

  std::mutex mu;
  std::condition_variable changed;
  std::vector<std::shared_ptr<Stream>> place;  // by child slot
  std::set<Stream*> live;                      // until OnDone
  bool closed = false;
};

// One child's stream. Nothing of gRPC is called with `mu_` held: it may run the next reaction
// inside StartWrite, on the same thread.
class TierServer::Stream : public grpc::ServerBidiReactor<v1::Up, v1::Down>,
                           public std::enable_shared_from_this<Stream> {
 public:
  Stream(State* state, grpc::CallbackServerContext* context)
      : state_(state),
        context_(context),
        peer_(context->peer()),
        outbox_(state->options.max_pending) {}

  void Begin() {
    self_ = shared_from_this();
    std::weak_ptr<Stream> weak = self_;
    hello_alarm_.Set(
        std::chrono::system_clock::now() + absl::ToChronoMilliseconds(state_->options.hello_limit),
        [weak](bool due) {
          auto stream = weak.lock();
          if (due && stream != nullptr) stream->HelloOverdue();
        });
    StartRead(&in_);
  }

  const std::string& peer() const { return peer_; }

  template <typename Item>
  absl::Time Send(Item&& item, absl::Duration time_left) {
    const absl::Time now = state_->options.now();
    const absl::Time leave_by = now + MayWait(state_->options.max_batching_delay, time_left);
    bool full;
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (closing_) return absl::InfiniteFuture();
      full = !outbox_.Add(std::forward<Item>(item), leave_by);
      // Nothing to do where it leaves with what waits already.
      if (!full && outbox_.due() > now) return outbox_.due();
    }
    if (full) {
      CutOff();
      return absl::InfiniteFuture();
    }
    return Pump();
  }

  absl::Time Flush() { return Pump(); }

  void SendStart() {
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (closing_) return;
      outbox_.SetStart();
    }
    Pump();
  }

  /// Ends the stream; with `flush`, when all that waits has been written.
  void Close(const absl::Status& status, bool flush = false) {
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (closing_) return;
      closing_ = true;
      flush_ = flush;
      status_ = status;
      if (!flush) outbox_.Clear();
    }
    hello_alarm_.Cancel();
    Leave();
    Pump();
  }

  /// Ends the stream without waiting for the peer to read.
  void Cancel() {
    if (!Pin()) return;
    context_->TryCancel();
    Unpin();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Close(absl::CancelledError("the child hung up"));
    const absl::Status status = Handle();
    if (!status.ok()) {
      spdlog::warn("{}: {}", Who(), status.ToString());
      return Close(status);
    }
    StartRead(&in_);
  }

  void OnWriteDone(bool ok) override {
    {
      std::lock_guard<std::mutex> lock(mu_);
      writing_ = false;
      if (!ok) outbox_.Clear();
    }
    if (!ok) Close(absl::CancelledError("the child hung up"));
    Pump();
  }

  void OnCancel() override { Close(absl::CancelledError("the child hung up")); }

  void OnDone() override {
    State* state = state_;
    std::shared_ptr<Stream> self = std::move(self_);
    std::lock_guard<std::mutex> lock(state->mu);
    state->live.erase(this);
    state->changed.notify_all();
  }

 private:
  std::string Who() const { return child_ < 0 ? peer_ : state_->ChildName(child_); }

  absl::Status Handle() {
    const size_t bytes = in_.ByteSizeLong();
    absl::Status status;
    if (bytes > state_->max_message) {
      status = absl::InvalidArgumentError(
          absl::StrCat("message of ", bytes, " bytes, the spec allows ", state_->max_message));
    } else if (child_ < 0) {
      return HandleHello();
    } else if (in_.has_hello()) {
      status = absl::InvalidArgumentError("a second hello");
    } else if (in_.sample_size() > kMaxPerMessage) {
      status = absl::InvalidArgumentError(
          absl::StrCat("message with ", in_.sample_size(), " samples, at most ", kMaxPerMessage));
    } else if (in_.clock_us() < 0 || in_.clock_us() > kMaxClockUs) {
      status = absl::InvalidArgumentError(
          absl::StrCat("clock_us ", in_.clock_us(), ", expected 0 to ", kMaxClockUs));
    } else if (in_.kept_size() > kMaxPerMessage) {
      status = absl::InvalidArgumentError(absl::StrCat("message with ", in_.kept_size(),
                                                       " kept samples, at most ", kMaxPerMessage));
    } else {
      status = HandleSamples();
    }
    if (!status.ok()) ++state_->malformed;
    return status;
  }

  absl::Status HandleSamples() {
    Restore(&in_);
    const NodePlan& parent = state_->plan.node(state_->options.tier, state_->options.index);
    // All are checked before the first is acted on: a message counts whole or not at all.
    for (v1::UpSample& sample : *in_.mutable_sample()) {
      absl::Status status =
          CheckUpSample(state_->plan, parent.tier - 1, parent.children[child_], &sample);
      if (!status.ok()) return status;
    }
    for (const v1::KeptSample& kept : in_.kept()) {
      absl::Status status = CheckKept(state_->plan, parent.tier - 1, parent.children[child_], kept);
      if (!status.ok()) return status;
    }
    if (in_.ready()) state_->handler->OnChildReady(child_);
    if (in_.clock_us() != 0) {
      state_->handler->OnChildClock(child_, absl::FromUnixMicros(in_.clock_us()));
    }
    for (v1::UpSample& sample : *in_.mutable_sample()) {
      absl::Status status = state_->handler->OnSample(child_, std::move(sample));
      if (!status.ok()) return status;
    }
    for (v1::KeptSample& kept : *in_.mutable_kept()) {
      state_->handler->OnKept(child_, std::move(kept));
    }
    return absl::OkStatus();
  }

  absl::Status HandleHello() {
    absl::StatusOr<int> child = TakePlace();
    if (!child.ok()) {
      ++state_->refused;
      return child.status();
    }
    hello_alarm_.Cancel();
    spdlog::info("{} joined from {}", Who(), peer_);
    state_->handler->OnChildJoined(child_);
    {
      std::lock_guard<std::mutex> lock(state_->mu);
      joined_ = true;
    }
    bool closing;
    {
      std::lock_guard<std::mutex> lock(mu_);
      closing = closing_;
    }
    // It may have ended while it joined, when there was nothing to leave yet.
    if (closing) {
      Leave();
      return absl::OkStatus();
    }
    Pump();
    if (in_.ready()) state_->handler->OnChildReady(child_);
    return absl::OkStatus();
  }

  absl::StatusOr<int> TakePlace() {
    if (!in_.has_hello() || in_.sample_size() > 0 || in_.kept_size() > 0) {
      return absl::InvalidArgumentError("the first message must be a hello, and only that");
    }
    const Options& options = state_->options;
    absl::StatusOr<int> child =
        CheckHello(state_->plan, options.tier, options.index, options.bundle_sha256, in_.hello());
    if (!child.ok()) return child;
    std::lock_guard<std::mutex> lock(state_->mu);
    if (state_->closed) return absl::UnavailableError("the parent is shutting down");
    std::shared_ptr<Stream>& place = state_->place[*child];
    if (place != nullptr) {
      return absl::AlreadyExistsError(
          absl::StrCat("the place of ", state_->ChildName(*child), " is taken by ", place->peer()));
    }
    {
      // Before anyone can find this stream: nothing may be written before the welcome.
      std::lock_guard<std::mutex> own_lock(mu_);
      outbox_.SetWelcome();
    }
    place = shared_from_this();
    child_ = *child;
    return child;
  }

  // Gives the place free, once; the handler hears it before anyone else can take it.
  void Leave() {
    {
      std::lock_guard<std::mutex> lock(state_->mu);
      if (!joined_ || left_) return;
      left_ = true;
    }
    spdlog::info("{} is gone", Who());
    state_->handler->OnChildGone(child_);
    std::lock_guard<std::mutex> lock(state_->mu);
    state_->place[child_].reset();
  }

  // From the alarm, for which nobody waits: the stream may be over and State gone.
  void HelloOverdue() {
    if (!Pin()) return;
    bool came;
    {
      std::lock_guard<std::mutex> lock(state_->mu);
      came = child_ >= 0;
    }
    if (!came) Close(absl::DeadlineExceededError("no hello"));
    Unpin();
  }

  // gRPC's context and State live until OnDone, which comes after Finish, which waits for the pins.
  // Reactions need none: OnDone waits for them. False if it is too late.
  bool Pin() {
    std::lock_guard<std::mutex> lock(mu_);
    if (finished_) return false;
    ++pins_;
    return true;
  }

  void Unpin() {
    {
      std::lock_guard<std::mutex> lock(mu_);
      --pins_;
    }
    Pump();
  }

  void CutOff() {
    ++state_->cut_off;
    spdlog::warn("{} does not read; cut off", Who());
    // A status alone would wait behind the unread bytes.
    Cancel();
    Close(absl::ResourceExhaustedError(absl::StrCat(
        "the child does not read: ", state_->options.max_pending, " messages wait for it")));
  }

  // Starts the next write, or the end. Only one thread is in here at a time; others' news are seen
  // by the one that is. Returns when to come back for what is not due yet.
  absl::Time Pump() {
    std::unique_lock<std::mutex> lock(mu_);
    if (pumping_) return LaterLocked();
    pumping_ = true;
    while (true) {
      const bool flushed = !flush_ || (outbox_.empty() && !writing_);
      if (closing_ && flushed && pins_ > 0) break;
      if (closing_ && flushed) {
        finished_ = true;
        const grpc::Status status = ToGrpc(status_);
        lock.unlock();
        Finish(status);
        return absl::InfiniteFuture();  // `pumping_` stays: nothing may start any more
      }
      if (writing_ || outbox_.empty()) break;
      if (!closing_ && outbox_.due() > state_->options.now()) break;
      outbox_.Take(&out_);
      writing_ = true;
      lock.unlock();
      StartWrite(&out_);
      lock.lock();
    }
    pumping_ = false;
    return LaterLocked();
  }

  // When what waits is to be flushed. What is due while a write is in flight needs no flush: it
  // leaves when that has ended.
  absl::Time LaterLocked() const {
    const absl::Time due = outbox_.due();
    if (finished_ || due == absl::InfiniteFuture()) return absl::InfiniteFuture();
    const bool comes_back = writing_ || pumping_;
    return comes_back && due <= state_->options.now() ? absl::InfiniteFuture() : due;
  }

  State* const state_;
  grpc::CallbackServerContext* const context_;
  const std::string peer_;
  std::shared_ptr<Stream> self_;  // gRPC's reference, until OnDone
  grpc::Alarm hello_alarm_;
  v1::Up in_;
  v1::Down out_;
  int child_ = -1;       // written once, with State::mu held, by the reading thread
  bool joined_ = false;  // these two guarded by State::mu
  bool left_ = false;

  std::mutex mu_;
  DownOutbox outbox_;
  bool writing_ = false;
  bool pumping_ = false;
  bool closing_ = false;
  bool flush_ = false;
  bool finished_ = false;  // Finish is or was called
  int pins_ = 0;           // users of context_ and State outside of reactions
  absl::Status status_;
};

class TierServer::Service : public v1::TierService::CallbackService {
 public:
  explicit Service(TierServer* server) : server_(server) {}

  grpc::ServerBidiReactor<v1::Up, v1::Down>* Join(grpc::CallbackServerContext* context) override {
    return server_->Join(context);
  }

 private:
  TierServer* const server_;
};

TierServer::TierServer(const NetworkPlan& plan, Options options, Handler* handler)
    : state_(std::make_unique<State>(plan, std::move(options), handler)) {
  state_->service = std::make_unique<Service>(this);
}

TierServer::~TierServer() { Shutdown(absl::ZeroDuration()); }

grpc::Service* TierServer::service() { return state_->service.get(); }

grpc::ServerBidiReactor<v1::Up, v1::Down>* TierServer::Join(grpc::CallbackServerContext* context) {
  auto stream = std::make_shared<Stream>(state_.get(), context);
  stream->Begin();  // before Shutdown finds it. No reaction comes before this returns
  bool closed;
  {
    std::lock_guard<std::mutex> lock(state_->mu);
    closed = state_->closed;
    state_->live.insert(stream.get());
  }
  if (closed) stream->Close(absl::UnavailableError("the parent is shutting down"));
  return stream.get();
}

namespace {

template <typename State>
auto Find(State* state, int child) {
  std::lock_guard<std::mutex> lock(state->mu);
  return state->place[child];
}

}  // namespace

absl::Time TierServer::SendWanted(int child, SampleKey sample, absl::Duration time_left) {
  auto stream = Find(state_.get(), child);
  if (stream == nullptr) return absl::InfiniteFuture();
  v1::SampleRef wanted;
  wanted.set_sequence(sample.sequence);
  wanted.set_stream(sample.stream);
  return stream->Send(wanted, time_left);
}

absl::Time TierServer::SendAnswer(int child, const Answer& answer, absl::Duration time_left) {
  auto stream = Find(state_.get(), child);
  return stream == nullptr ? absl::InfiniteFuture() : stream->Send(ToProto(answer), time_left);
}

absl::Time TierServer::Flush() {
  absl::Time next = absl::InfiniteFuture();
  const int children = static_cast<int>(state_->place.size());
  for (int child = 0; child < children; ++child) {
    auto stream = Find(state_.get(), child);
    if (stream != nullptr) next = std::min(next, stream->Flush());
  }
  return next;
}

void TierServer::SendStart(int child) {
  auto stream = Find(state_.get(), child);
  if (stream != nullptr) stream->SendStart();
}

void TierServer::SendKeptAck(int child, const v1::KeptAck& ack) {
  auto stream = Find(state_.get(), child);
  if (stream != nullptr) stream->Send(ack, absl::ZeroDuration());
}

void TierServer::Shutdown(absl::Duration limit) {
  std::vector<std::shared_ptr<Stream>> streams;
  {
    std::lock_guard<std::mutex> lock(state_->mu);
    state_->closed = true;
    for (Stream* stream : state_->live) {
      if (auto shared = stream->weak_from_this().lock()) streams.push_back(std::move(shared));
    }
  }
  for (const auto& stream : streams) {
    stream->Close(absl::UnavailableError("the parent is shutting down"), /*flush=*/true);
  }
  auto none_left = [this] { return state_->live.empty(); };
  std::unique_lock<std::mutex> lock(state_->mu);
  if (state_->changed.wait_for(lock, absl::ToChronoMilliseconds(limit), none_left)) return;
  lock.unlock();
  for (const auto& stream : streams) stream->Cancel();
  streams.clear();
  lock.lock();
  state_->changed.wait(lock, none_left);
}

TierServer::Counters TierServer::counters() const {
  return {state_->refused, state_->malformed, state_->cut_off};
}

}  // namespace ddnn

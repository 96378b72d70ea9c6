#include "runtime/net/tier_client.h"

#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ddnn/v1/tier.grpc.pb.h"
#include "runtime/net/backoff.h"
#include "runtime/net/outbox.h"
#include "runtime/net/protocol.h"
#include "runtime/net/shorten.h"
#include "runtime/net/status.h"
#include "runtime/net/tier_router.h"

namespace ddnn {
namespace {

bool IsPermanent(absl::StatusCode code, bool was_welcome, bool wait_for_bundle) {
  switch (code) {
    case absl::StatusCode::kFailedPrecondition:
      return !wait_for_bundle;
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kUnimplemented:
      return true;
    case absl::StatusCode::kAlreadyExists:
      return !was_welcome;
    default:
      return false;
  }
}

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

std::shared_ptr<grpc::Channel> MakeChannel(const TierClient::Options& options) {
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(static_cast<int>(MaxDownBytes()));
  // The connection is this client's alone, so its counters are too.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options.keepalive_time));
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(options.keepalive_timeout));
  args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // No measuring of the link with pings: a window of 64 KiB is enough for what a tree says.
  args.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // Streams wait with a backoff of their own; the channel's stays below it.
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);  // also the limit of one attempt
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(options.target, grpc::InsecureChannelCredentials(), args);
}

}  // namespace

class TierClient::Impl {
 public:
  Impl(const NetworkPlan& plan, Options options, Handler* handler)
      : plan(plan), options(std::move(options)), handler(handler) {
    if (this->options.now == nullptr) this->options.now = SteadyClock();
  }

  void Loop();
  void Stop(absl::Duration limit);

  // From the stream.
  void Welcomed(Stream* stream, const std::string& peer);
  void Done(const grpc::Status& status);

  std::shared_ptr<Stream> current() {
    std::lock_guard<std::mutex> lock(mu);
    return stream;
  }

  const NetworkPlan& plan;
  Options options;  // not changed once made
  Handler* const handler;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::TierService::Stub> stub;
  TcpCounters counters;
  std::atomic<uint64_t> sent{0}, received{0}, bytes_sent{0}, bytes_received{0};
  std::thread thread;

  std::mutex mu;
  std::condition_variable changed;
  std::shared_ptr<Stream> stream;
  bool stopping = false;
  bool ready = false;
  bool tell_clock = false;
  bool welcome = false;      // this stream
  bool was_welcome = false;  // any stream
  bool done = false;
  absl::Time welcome_at;  // of this stream
  absl::Status status;    // of the stream that is done

 private:
  absl::Status RunStream();
};

// Nothing of gRPC is called with `mu_` held: it may run the next reaction inside StartWrite.
class TierClient::Stream : public grpc::ClientBidiReactor<v1::Up, v1::Down> {
 public:
  explicit Stream(Impl* client)
      : client_(client), outbox_(client->options.max_pending, client->options.max_pending_bytes) {}

  void Begin(std::shared_ptr<Stream> self) {
    self_ = std::move(self);
    // A parent that runs two bundles side by side knows by this whose stream it is.
    context_.AddMetadata(TierRouter::kBundleKey, client_->options.bundle_sha256);
    client_->stub->async()->Join(&context_, this);
    v1::Hello* hello = out_.mutable_hello();
    const Options& options = client_->options;
    hello->set_protocol_version(kProtocolVersion);
    hello->set_bundle_sha256(options.bundle_sha256);
    hello->set_tier(client_->plan.tiers()[options.tier].name);
    hello->set_node(options.index);
    CountSent();
    AddHold();  // for writes, which start outside of reactions
    StartWrite(&out_);
    StartRead(&in_);
    StartCall();
  }

  absl::Time Send(v1::UpSample sample) {
    const absl::Time now = client_->options.now();
    const absl::Duration left = sample.time_left_ms() == 0
                                    ? absl::InfiniteDuration()
                                    : absl::Milliseconds(sample.time_left_ms());
    const absl::Time leave_by = now + MayWait(client_->options.max_batching_delay, left);
    bool full;
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (!welcome_ || closing_) return absl::InfiniteFuture();
      full = !outbox_.Add(std::move(sample), now, leave_by);
      // Nothing to do where it leaves with what waits already.
      if (!full && outbox_.due() > now) return outbox_.due();
    }
    if (full) {
      spdlog::warn("{} does not read; stream broken off", client_->options.target);
      Cancel();
      return absl::InfiniteFuture();
    }
    return Pump();
  }

  absl::Time Flush() { return Pump(); }

  void SendKept(v1::KeptSample kept) {
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (!welcome_ || closing_ || !outbox_.AddKept(std::move(kept))) return;
    }
    Pump();
  }

  void SendReady() {
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (!welcome_ || closing_) return;
      outbox_.SetReady();
    }
    Pump();
  }

  void TellClock() {
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (!welcome_ || closing_ || tell_clock_) return;
      tell_clock_ = clock_due_ = true;
    }
    Pump();
  }

  /// No more sends; with `flush`, what waits is written first.
  void Close(bool flush) {
    {
      std::lock_guard<std::mutex> lock(mu_);
      closing_ = true;
      if (!flush) outbox_.Clear();
      clock_due_ = false;
    }
    Pump();
  }

  void Cancel() {
    Close(/*flush=*/false);
    context_.TryCancel();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Close(/*flush=*/false);
    ++client_->received;
    client_->bytes_received += in_.ByteSizeLong();
    Restore(&in_);
    const absl::Status status = Handle();
    if (!status.ok()) {
      spdlog::warn("{}: {}", client_->options.target, status.ToString());
      return Cancel();
    }
    StartRead(&in_);
  }

  void OnWriteDone(bool ok) override {
    {
      std::lock_guard<std::mutex> lock(mu_);
      writing_ = false;
      if (!ok) closing_ = true;
      if (!ok) outbox_.Clear();
      if (!ok) clock_due_ = false;
    }
    Pump();
  }

  /// The client's loop holds the stream until it hears of the end, and must be the one that lets go
  /// of it last: the context holds the channel. The process's last channel ends gRPC's callback
  /// threads and waits for them, which none of them can do itself (grpc/grpc#37858).
  void OnDone(const grpc::Status& status) override {
    Impl* const client = client_;
    self_.reset();
    client->Done(status);
  }

 private:
  absl::Status Handle() {
    Handler* handler = client_->handler;
    if (!welcome_) {
      if (!in_.has_welcome()) return absl::InternalError("the first message is no welcome");
      if (in_.welcome().protocol_version() != kProtocolVersion) {
        return absl::InternalError(absl::StrCat("welcomed by protocol version ",
                                                in_.welcome().protocol_version(), ", expected ",
                                                kProtocolVersion));
      }
      {
        std::lock_guard<std::mutex> lock(mu_);
        welcome_ = true;
      }
      client_->Welcomed(this, context_.peer());
    } else if (in_.has_welcome()) {
      return absl::InternalError("a second welcome");
    }
    if (in_.start()) handler->OnStart();
    for (const v1::SampleRef& wanted : in_.want_features()) {
      handler->OnFeaturesWanted({wanted.stream(), wanted.sequence()});
    }
    for (const v1::DownAnswer& answer : in_.answer()) {
      absl::StatusOr<Answer> decoded = FromProto(client_->plan, answer);
      if (!decoded.ok()) return decoded.status();
      handler->OnParentAnswer(*decoded);
    }
    for (const v1::KeptAck& ack : in_.kept()) {
      const Options& own = client_->options;
      const absl::Status valid = CheckKeptAck(client_->plan, own.tier, own.index, ack);
      if (!valid.ok()) return valid;
      handler->OnKeptAck(ack);
    }
    return absl::OkStatus();
  }

  void SayClockLocked() {
    const auto now = std::chrono::steady_clock::now();
    const Options& options = client_->options;
    if (tell_clock_ && now - clock_said_ >= absl::ToChronoNanoseconds(options.clock_period)) {
      clock_due_ = true;
    }
    if (!std::exchange(clock_due_, false)) return;
    out_.set_clock_us(absl::ToUnixMicros(options.wall_clock ? options.wall_clock() : absl::Now()));
    clock_said_ = now;
  }

  // Starts the next write, or the end. Only one thread is in here at a time; others' news are seen
  // by the one that is. Returns when to come back for what is not due yet.
  absl::Time Pump() {
    std::unique_lock<std::mutex> lock(mu_);
    if (pumping_) return LaterLocked();
    pumping_ = true;
    while (!writing_) {
      if (outbox_.empty() && !clock_due_) {
        if (!closing_) break;
        lock.unlock();
        StartWritesDone();
        RemoveHold();
        return absl::InfiniteFuture();  // `pumping_` stays: nothing may start any more
      }
      const absl::Time now = client_->options.now();
      if (!closing_ && !clock_due_ && outbox_.due() > now) break;
      outbox_.Take(now, &out_);
      SayClockLocked();
      CountSent();
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
    const bool comes_back = writing_ || pumping_;
    return comes_back && outbox_.due() <= client_->options.now() ? absl::InfiniteFuture()
                                                                 : outbox_.due();
  }

  void CountSent() {
    ++client_->sent;
    client_->bytes_sent += out_.ByteSizeLong();
  }

  Impl* const client_;
  grpc::ClientContext context_;
  std::shared_ptr<Stream> self_;  // gRPC's reference, until OnDone; never the last one
  v1::Up out_;
  v1::Down in_;

  std::mutex mu_;
  UpOutbox outbox_;
  bool welcome_ = false;  // written by the reading thread only
  bool writing_ = true;   // the hello
  bool pumping_ = false;
  bool closing_ = false;
  bool tell_clock_ = false;
  bool clock_due_ = false;
  std::chrono::steady_clock::time_point clock_said_;
};

void TierClient::Impl::Welcomed(Stream* stream, const std::string& peer) {
  counters.Attach(peer);
  bool say_ready, tell;
  {
    std::lock_guard<std::mutex> lock(mu);
    welcome = was_welcome = true;
    welcome_at = options.now();
    changed.notify_all();
  }
  spdlog::info("joined {}", options.target);
  handler->OnParentUp();
  {
    std::lock_guard<std::mutex> lock(mu);
    say_ready = ready;
    tell = tell_clock;
  }
  if (tell) stream->TellClock();
  if (say_ready) stream->SendReady();
}

void TierClient::Impl::Done(const grpc::Status& grpc_status) {
  std::lock_guard<std::mutex> lock(mu);
  done = true;
  status = FromGrpc(grpc_status);
  changed.notify_all();
}

// One stream from its hello to its end.
absl::Status TierClient::Impl::RunStream() {
  auto next = std::make_shared<Stream>(this);
  std::unique_lock<std::mutex> lock(mu);
  if (stopping) return absl::CancelledError("stopping");
  welcome = done = false;
  stream = next;
  lock.unlock();
  next->Begin(next);
  lock.lock();
  changed.wait_for(lock, absl::ToChronoMilliseconds(options.welcome_limit),
                   [this] { return welcome || done; });
  if (!welcome && !done) {
    lock.unlock();
    next->Cancel();
    lock.lock();
  }
  changed.wait(lock, [this] { return done; });
  stream.reset();
  const bool was_up = welcome;
  const absl::Status ended = status;
  lock.unlock();
  counters.Release();
  if (was_up) handler->OnParentGone();
  return ended;
}

void TierClient::Impl::Loop() {
  Backoff backoff(options.min_backoff, options.max_backoff, options.seed);
  bool told = false;  // that it cannot join, since it last could
  while (true) {
    const absl::Status ended = RunStream();
    std::unique_lock<std::mutex> lock(mu);
    if (stopping) return;
    if (IsPermanent(ended.code(), was_welcome, options.wait_for_bundle)) {
      lock.unlock();
      handler->OnRefused(absl::Status(
          ended.code(), absl::StrCat("refused by ", options.target, ": ", ended.message())));
      return;
    }
    absl::Duration stood;
    if (welcome) {
      spdlog::warn("lost {}: {}", options.target, ended.ToString());
      stood = options.now() - welcome_at;
      told = false;
    } else {
      spdlog::log(told ? spdlog::level::debug : spdlog::level::warn,
                  "cannot join {} yet, trying on: {}", options.target, ended.ToString());
      told = true;
    }
    changed.wait_for(lock, absl::ToChronoMicroseconds(backoff.Next(stood)),
                     [this] { return stopping; });
    if (stopping) return;
  }
}

void TierClient::Impl::Stop(absl::Duration limit) {
  std::shared_ptr<Stream> last;
  {
    std::lock_guard<std::mutex> lock(mu);
    stopping = true;
    last = stream;
    changed.notify_all();
  }
  if (last != nullptr) {
    last->Close(/*flush=*/true);
    std::unique_lock<std::mutex> lock(mu);
    const bool in_time = changed.wait_for(lock, absl::ToChronoMilliseconds(limit),
                                          [this, &last] { return done || stream != last; });
    lock.unlock();
    if (!in_time) last->Cancel();
  }
  if (thread.joinable()) thread.join();
}

TierClient::TierClient(const NetworkPlan& plan, Options options, Handler* handler)
    : impl_(std::make_unique<Impl>(plan, std::move(options), handler)) {}

TierClient::~TierClient() { Stop(absl::ZeroDuration()); }

void TierClient::Start() {
  impl_->channel = MakeChannel(impl_->options);
  impl_->stub = v1::TierService::NewStub(impl_->channel);
  impl_->thread = std::thread([this] { impl_->Loop(); });
}

absl::Time TierClient::Send(v1::UpSample sample) {
  auto stream = impl_->current();
  return stream == nullptr ? absl::InfiniteFuture() : stream->Send(std::move(sample));
}

absl::Time TierClient::Flush() {
  auto stream = impl_->current();
  return stream == nullptr ? absl::InfiniteFuture() : stream->Flush();
}

void TierClient::SendKept(v1::KeptSample kept) {
  auto stream = impl_->current();
  if (stream != nullptr) stream->SendKept(std::move(kept));
}

void TierClient::SendReady() {
  {
    std::lock_guard<std::mutex> lock(impl_->mu);
    impl_->ready = true;
  }
  auto stream = impl_->current();
  if (stream != nullptr) stream->SendReady();
}

void TierClient::TellClock() {
  {
    std::lock_guard<std::mutex> lock(impl_->mu);
    impl_->tell_clock = true;
  }
  auto stream = impl_->current();
  if (stream != nullptr) stream->TellClock();
}

void TierClient::Stop(absl::Duration limit) { impl_->Stop(limit); }

WireCounters TierClient::wire() const { return impl_->counters.Read(); }

MessageCounters TierClient::messages() const {
  return {impl_->sent, impl_->received, impl_->bytes_sent, impl_->bytes_received};
}

}  // namespace ddnn

#include "runtime/update/generations.h"

#include <google/protobuf/util/message_differencer.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/net/clock.h"
#include "runtime/net/protocol.h"

namespace ddnn {
namespace {

void AddTo(v1::NodeStats* sum, const v1::NodeStats& more) {
  sum->set_node(more.node());
  sum->set_entered(sum->entered() + more.entered());
  sum->set_answered(sum->answered() + more.answered());
  sum->set_shed(sum->shed() + more.shed());
  sum->set_expired(sum->expired() + more.expired());
  sum->set_degraded(sum->degraded() + more.degraded());
  sum->set_payload_bytes(sum->payload_bytes() + more.payload_bytes());
  sum->set_wire_bytes_sent(sum->wire_bytes_sent() + more.wire_bytes_sent());
  sum->set_wire_bytes_received(sum->wire_bytes_received() + more.wire_bytes_received());
  sum->set_wire_segments_sent(sum->wire_segments_sent() + more.wire_segments_sent());
  sum->set_wire_segments_received(sum->wire_segments_received() + more.wire_segments_received());
  sum->set_wire_data_segments_sent(sum->wire_data_segments_sent() + more.wire_data_segments_sent());
  sum->set_wire_data_segments_received(sum->wire_data_segments_received() +
                                       more.wire_data_segments_received());
  sum->set_messages_sent(sum->messages_sent() + more.messages_sent());
  sum->set_messages_received(sum->messages_received() + more.messages_received());
  sum->set_message_bytes_sent(sum->message_bytes_sent() + more.message_bytes_sent());
  sum->set_message_bytes_received(sum->message_bytes_received() + more.message_bytes_received());
  for (const auto& [reason, count] : more.spool().dropped()) {
    (*sum->mutable_spool()->mutable_dropped())[reason] += count;
  }
  for (const auto& [reason, count] : more.shed_reason()) {
    (*sum->mutable_shed_reason())[reason] += count;
  }
  if (more.child_clock_size() > 0) {
    *sum->mutable_child_clock() = more.child_clock();
    sum->set_clock_skew_ms(more.clock_skew_ms());
  }
}

}  // namespace

absl::Status CheckSameNetwork(const Bundle& running, const Bundle& next) {
  v1::NetworkSpec before = running.manifest.network(), after = next.manifest.network();
  before.clear_training();  // how it was trained is nobody's concern who runs it
  after.clear_training();
  google::protobuf::util::MessageDifferencer differencer;
  std::string differences;
  differencer.ReportDifferencesToString(&differences);
  if (differencer.Compare(before, after)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "bundle ", next.sha256_hex().substr(0, 12), " has another network than the one that runs (",
      differences.substr(0, differences.find('\n')),
      "): a running tree takes other weights and thresholds only; end it and start it again"));
}

// Passes on what one version has to say, one at a time among all versions.
class Generations::Observer : public NodeObserver {
 public:
  Observer(Generations* owner, std::unique_ptr<NodeObserver> inner)
      : owner_(owner), mu_(&owner->observer_mu_), inner_(std::move(inner)) {}
  void OnAnswer(const Answer& answer) override { Tell(&NodeObserver::OnAnswer, answer); }
  void OnHard(const KeepHard& hard) override { Tell(&NodeObserver::OnHard, hard); }
  void OnPixels(const KeepPixels& pixels) override { Tell(&NodeObserver::OnPixels, pixels); }
  void OnAlone(const KeepAlone& alone) override { Tell(&NodeObserver::OnAlone, alone); }
  void OnKeptAck(const v1::KeptAck& ack) override { Tell(&NodeObserver::OnKeptAck, ack); }
  void OnKept(const v1::KeptSample& kept) override { Tell(&NodeObserver::OnKept, kept); }
  void OnRefused(const absl::Status& why) override { Tell(&NodeObserver::OnRefused, why); }
  void OnParent(bool up) override {
    std::lock_guard<std::mutex> lock(*mu_);
    owner_->parents_up_ += up ? 1 : -1;
    if (up || owner_->parents_up_ == 0) inner_->OnParent(up);
  }
  void OnTreeReady() override {
    std::lock_guard<std::mutex> lock(*mu_);
    inner_->OnTreeReady();
  }

 private:
  template <typename Event, typename What>
  void Tell(Event event, const What& what) {
    std::lock_guard<std::mutex> lock(*mu_);
    (inner_.get()->*event)(what);
  }

  Generations* const owner_;
  std::mutex* const mu_;
  const std::unique_ptr<NodeObserver> inner_;
};

struct Generations::One {
  SharedFiles files;
  std::unique_ptr<Observer> observer;  // outlives the host
  std::unique_ptr<NodeHost> host;
  int offering = 0;  // calls that hold it, guarded by mu_
};

Generations::Generations(Options options) : options_(std::move(options)) {}
Generations::~Generations() { Stop(); }

absl::StatusOr<std::unique_ptr<Generations>> Generations::Start(Options options,
                                                                SharedFiles first) {
  auto generations = std::unique_ptr<Generations>(new Generations(std::move(options)));
  if (absl::Status status = generations->AddFirst(std::move(first)); !status.ok()) return status;
  return generations;
}

absl::Status Generations::AddFirst(SharedFiles first) {
  absl::StatusOr<NodeHost::Options> host = options_.host(first);
  if (!host.ok()) return host.status();
  absl::Status status;
  OnePtr one = StartOne(first, &status);
  if (one == nullptr) return status;
  {
    std::lock_guard<std::mutex> lock(mu_);
    ones_.push_back(one);
    preferred_ = one;
  }
  if (host->listen.empty()) return absl::OkStatus();
  std::vector<grpc::Service*> services = options_.services;
  services.push_back(router_.service());
  const size_t limit =
      MaxReceiveBytes(first->bundle.plan, first->tier, first->node, !options_.services.empty());
  absl::StatusOr<Listener> listener = Listen(host->listen, limit, services);
  if (!listener.ok()) return listener.status();
  listener_ = *std::move(listener);
  return absl::OkStatus();
}

Generations::OnePtr Generations::StartOne(SharedFiles files, absl::Status* status) {
  absl::StatusOr<NodeHost::Options> options = options_.host(files);
  if (!options.ok()) {
    *status = options.status();
    return nullptr;
  }
  if (!options->listen.empty()) {
    options->listen.clear();
    options->router = &router_;
  }
  auto one = std::make_shared<One>();
  one->files = files;
  one->observer = std::make_unique<Observer>(this, options_.observer(files));
  absl::StatusOr<std::unique_ptr<NodeHost>> host =
      NodeHost::Start(files->bundle, options_.factory, *options, one->observer.get());
  *status = host.status();
  if (!host.ok()) return nullptr;
  one->host = *std::move(host);
  return one;
}

int Generations::port() const { return listener_.port; }

absl::Status Generations::Add(SharedFiles files) {
  SharedFiles running;
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (stopped_) return absl::CancelledError("ending");
    if (FindLocked(files->bundle.sha256) != nullptr) return absl::OkStatus();
    if (ones_.size() >= kMost) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "bundle ", files->bundle.sha256_hex().substr(0, 12), " waits: two run side by side"));
    }
    running = preferred_->files;
  }
  absl::Status status = CheckSameNetwork(running->bundle, files->bundle);
  if (!status.ok()) return status;
  OnePtr one = StartOne(std::move(files), &status);
  if (one == nullptr) return status;
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (!stopped_) {
      ones_.push_back(one);
      return absl::OkStatus();
    }
  }
  one->host->Stop();
  return absl::CancelledError("ending");
}

void Generations::Prefer(const std::string& sha256, std::map<uint32_t, uint64_t> from) {
  std::lock_guard<std::mutex> lock(mu_);
  OnePtr one = FindLocked(sha256);
  if (one == nullptr || one == preferred_) return;
  preferred_ = one;
  from_.clear();
  // A stream that has never come here has nothing to finish.
  for (const auto& [stream, sequence] : from) {
    if (next_.count(stream) != 0) from_[stream] = sequence;
  }
}

SharedFiles Generations::preferred() const {
  std::lock_guard<std::mutex> lock(mu_);
  return preferred_->files;
}

bool Generations::End(const std::string& sha256, bool now) {
  OnePtr one;
  {
    std::lock_guard<std::mutex> lock(mu_);
    one = FindLocked(sha256);
    if (one == nullptr) return true;
    if (one == preferred_) return false;
    if (now) from_.clear();
    if (!from_.empty() || one->offering > 0) return false;
    const std::vector<bool> children = one->host->children();
    const bool alone = std::find(children.begin(), children.end(), true) == children.end();
    if (!now && (!alone || one->host->under_way() > 0)) return false;
    ones_.erase(std::find(ones_.begin(), ones_.end(), one));
    ending_.push_back(one);
  }
  StopOne(one);
  return true;
}

void Generations::StopOne(const OnePtr& one) {
  one->host->Stop();
  std::lock_guard<std::mutex> lock(mu_);
  AddTo(&ended_, one->host->Stats());
  ending_.erase(std::find(ending_.begin(), ending_.end(), one));
}

Generations::OnePtr Generations::FindLocked(const std::string& sha256) const {
  for (const OnePtr& one : ones_) {
    if (one->files->bundle.sha256 == sha256) return one;
  }
  return nullptr;
}

std::vector<Generations::OnePtr> Generations::all() const {
  std::lock_guard<std::mutex> lock(mu_);
  return ones_;
}

std::vector<Generations::Version> Generations::versions() const {
  std::vector<Version> versions;
  for (const OnePtr& one : all()) {
    versions.push_back(
        {one->files, one->host->parent_up(), one->host->children(), one->host->under_way()});
  }
  return versions;
}

std::map<uint32_t, uint64_t> Generations::next_sequences() const {
  std::lock_guard<std::mutex> lock(mu_);
  return next_;
}

Generations::OnePtr Generations::Take(SampleKey sample) {
  std::lock_guard<std::mutex> lock(mu_);
  uint64_t& next = next_[sample.stream];
  next = std::max(next, sample.sequence + 1);
  OnePtr one = preferred_;
  const auto from = from_.find(sample.stream);
  if (from != from_.end() && sample.sequence >= from->second) {
    from_.erase(from);
  } else if (from != from_.end()) {
    // The one from before: with two at most, the other.
    for (const OnePtr& each : ones_) {
      if (each != preferred_) one = each;
    }
  }
  ++one->offering;
  return one;
}

void Generations::Offered(const OnePtr& one) {
  std::lock_guard<std::mutex> lock(mu_);
  --one->offering;
}

absl::Status Generations::Offer(SampleKey sample, std::string pixels) {
  const OnePtr one = Take(sample);
  const absl::Status status = one->host->Offer(sample, std::move(pixels));
  Offered(one);
  return status;
}

absl::Status Generations::OfferAbsent(SampleKey sample) {
  const OnePtr one = Take(sample);
  const absl::Status status = one->host->OfferAbsent(sample);
  Offered(one);
  return status;
}

void Generations::OfferShed(SampleKey sample, const std::string& reason) {
  const OnePtr one = Take(sample);
  one->host->OfferShed(sample, reason);
  Offered(one);
}

int Generations::under_way() const {
  int sum = 0;
  for (const OnePtr& one : all()) sum += one->host->under_way();
  return sum;
}

void Generations::SendKept(const std::string& sha256, v1::KeptSample kept) {
  OnePtr one;
  {
    std::lock_guard<std::mutex> lock(mu_);
    one = FindLocked(sha256);
  }
  if (one != nullptr) one->host->SendKept(std::move(kept));
}

void Generations::AckKept(const v1::KeptAck& ack) {
  for (const OnePtr& one : all()) one->host->AckKept(ack);
}

void Generations::Drain(absl::Duration limit) {
  if (listener_.server != nullptr) {
    listener_.server->GetHealthCheckService()->SetServingStatus(false);
  }
  const Clock clock = SteadyClock();
  const absl::Time end = clock() + limit;
  // None takes new samples before the first has been waited for.
  for (const OnePtr& one : all()) one->host->Drain(absl::ZeroDuration());
  for (const OnePtr& one : all()) {
    one->host->Drain(std::max(end - clock(), absl::ZeroDuration()));
  }
}

void Generations::Stop() {
  std::vector<OnePtr> ones;
  {
    std::lock_guard<std::mutex> lock(mu_);
    stopped_ = true;
    ones.swap(ones_);
    ending_.insert(ending_.end(), ones.begin(), ones.end());
  }
  for (const OnePtr& one : ones) StopOne(one);
  if (listener_.server == nullptr) return;
  listener_.server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  listener_.server->Wait();
}

void Generations::WhenWorking(std::function<void()> done) {
  std::lock_guard<std::mutex> lock(mu_);  // or it could end meanwhile
  if (!ones_.empty()) ones_.back()->host->WhenWorking(std::move(done));
}

v1::NodeStats Generations::Stats() const {
  v1::NodeStats sum;
  std::vector<OnePtr> ones;
  {
    std::lock_guard<std::mutex> lock(mu_);
    sum = ended_;
    ones = ending_;
    ones.insert(ones.end(), ones_.begin(), ones_.end());
  }
  for (const OnePtr& one : ones) AddTo(&sum, one->host->Stats());
  return sum;
}

Executor* Generations::executor() {
  std::lock_guard<std::mutex> lock(mu_);
  return preferred_->host->executor();
}

}  // namespace ddnn

#include "device/forwarder.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "runtime/core/feature_code.h"
#include "runtime/core/score_codec.h"
#include "runtime/net/protocol.h"
#include "runtime/net/status.h"

namespace ddnn {
namespace {

constexpr size_t kMaxAcks = 1024;

// Never set back, as the wall clock may be.
absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

v1::KeptSample ToProto(const NetworkPlan& plan, int view, const KeepAlone& alone,
                       absl::Time captured) {
  const Answer& answer = alone.answer;
  v1::KeptSample kept;
  kept.set_view(view);
  kept.set_stream(answer.sample.stream);
  kept.set_sequence(answer.sample.sequence);
  kept.set_time_us(absl::ToUnixMicros(captured));
  kept.set_in_doubt(alone.in_doubt);
  kept.set_pixels(alone.pixels);
  if (!alone.features.empty()) {
    kept.set_features(CodeFeatures(plan.node(0, view).features, alone.features));
  }
  kept.set_expired(answer.outcome != Outcome::kAnswered);
  if (kept.expired()) return kept;
  kept.set_class_index(answer.class_index);
  kept.set_exit(answer.exit);
  // Should they be sent under another bundle.
  kept.set_class_name(CutText(plan.spec().class_name(answer.class_index), kMaxKeptName));
  kept.set_exit_name(CutText(plan.exits()[answer.exit].name, kMaxKeptName));
  kept.set_entropy(answer.entropy);
  if (!answer.scores.empty()) {
    kept.set_scores(PackScores(answer.scores, plan.exits()[answer.exit].score_code));
  }
  return kept;
}

// As it goes up under `bundle`. FAILED_PRECONDITION: there is nothing left of it.
absl::Status Translate(const std::string& its_bundle, const std::string& bundle,
                       v1::KeptSample* kept) {
  if (its_bundle == bundle) {
    kept->clear_class_name();
    kept->clear_exit_name();
    return absl::OkStatus();
  }
  if (kept->pixels().empty()) return absl::FailedPreconditionError("features of another bundle");
  kept->set_bundle_sha256(its_bundle);
  kept->clear_class_index();
  kept->clear_exit();
  kept->clear_scores();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Forwarder>> Forwarder::Open(const NetworkPlan& plan,
                                                           Options options) {
  SpoolOptions spool_options;
  spool_options.directory = options.directory;
  spool_options.view = static_cast<uint32_t>(options.view);
  spool_options.max_bytes = options.max_bytes;
  spool_options.max_record = MaxKeptBytes(plan, options.view);
  auto spool = Spool::Open(std::move(spool_options));
  if (!spool.ok()) return spool.status();
  const SpoolCounters& counters = (*spool)->counters();
  spdlog::info("{}: {} samples wait for the root ({} bytes)", options.directory, counters.waiting,
               counters.bytes);
  return std::unique_ptr<Forwarder>(new Forwarder(plan, std::move(options), *std::move(spool)));
}

Forwarder::Forwarder(const NetworkPlan& plan, Options options, std::unique_ptr<Spool> spool)
    : plan_(plan),
      options_(std::move(options)),
      spool_(std::move(spool)),
      window_(options_.window) {
  Handle({});  // for the numbers
  thread_ = std::thread([this] { Loop(); });
}

Forwarder::~Forwarder() { Stop(); }

void Forwarder::SendTo(Parent parent) { SetParent(std::move(parent)); }

void Forwarder::SendNowhere() { SetParent(std::nullopt); }

void Forwarder::SetParent(std::optional<Parent> parent) {
  const bool has_parent = parent.has_value();
  {
    std::lock_guard<std::mutex> lock(send_mu_);
    parent_ = std::move(parent);
  }
  std::lock_guard<std::mutex> lock(mu_);
  has_parent_ = has_parent;
  LinkChangedLocked();
}

// ---- From others' threads ----

void Forwarder::OnAlone(const std::string& bundle, const KeepAlone& alone) {
  v1::KeptSample kept =
      ToProto(plan_, options_.view, alone, options_.wall_clock() - alone.answer.latency);
  std::lock_guard<std::mutex> lock(mu_);
  if (stopping_ || events_.samples.size() >= options_.max_queued) {
    ++too_slow_;
    return;
  }
  events_.samples.push_back({bundle, std::move(kept)});
  changed_.notify_all();
}

void Forwarder::OnAck(const v1::KeptAck& ack) {
  std::lock_guard<std::mutex> lock(mu_);
  if (events_.acks.size() >= kMaxAcks) return;  // as if it had been lost on the way
  events_.acks.push_back(ack);
  changed_.notify_all();
}

void Forwarder::OnParent(bool up) {
  std::lock_guard<std::mutex> lock(mu_);
  parent_up_ = up;
  LinkChangedLocked();
}

void Forwarder::LinkChangedLocked() {
  events_.link_changed = true;
  events_.link_up = parent_up_ && has_parent_;
  changed_.notify_all();
}

void Forwarder::Flush() {
  std::unique_lock<std::mutex> lock(mu_);
  const uint64_t mine = ++flushes_wanted_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return flushes_done_ >= mine || ended_; });
}

void Forwarder::Stop() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  SendNowhere();
}

v1::SpoolStats Forwarder::stats() const {
  std::lock_guard<std::mutex> lock(mu_);
  v1::SpoolStats stats = stats_;
  if (too_slow_ > 0) (*stats.mutable_dropped())["disk too slow"] = static_cast<uint32_t>(too_slow_);
  return stats;
}

// ---- The thread ----

void Forwarder::Loop() {
  std::unique_lock<std::mutex> lock(mu_);
  for (;;) {
    const absl::Time due = NextDue();
    const auto woken = [this] {
      return stopping_ || flushes_done_ < flushes_wanted_ || !events_.empty();
    };
    if (due == absl::InfiniteFuture()) {
      changed_.wait(lock, woken);
    } else {
      changed_.wait_for(lock, absl::ToChronoNanoseconds(due - SteadyNow()), woken);
    }
    Events events = std::move(events_);
    events_ = Events();
    const bool stop = stopping_;
    const uint64_t flushes = flushes_wanted_, before = flushes_done_;
    lock.unlock();
    Handle(std::move(events));
    SyncIfDue(stop || flushes > before);
    lock.lock();
    flushes_done_ = flushes;
    ended_ = stop && events_.empty();
    changed_.notify_all();
    if (ended_) return;
  }
}

void Forwarder::Handle(Events events) {
  Write(events.samples);
  for (const v1::KeptAck& ack : events.acks) Hear(ack);
  const absl::Time now = SteadyNow();
  if (events.link_changed && !events.link_up) window_.ParentGone();
  const bool back = events.link_changed && events.link_up;
  if (back) window_.ParentUp(now);
  if (back || window_.GiveUp(now)) {
    spool_->Rewind();
    more_ = true;
  }
  if (back && spool_->counters().waiting > 0) {
    spdlog::info("sending {} samples kept while alone", spool_->counters().waiting);
    forwarding_ = true;
  }
  SendWhatMayGo();

  const SpoolCounters& counters = spool_->counters();
  if (forwarding_ && counters.waiting == 0) {
    spdlog::info("the root has all samples kept while alone");
    forwarding_ = false;
  }
  std::lock_guard<std::mutex> lock(mu_);
  stats_.set_spooled(static_cast<uint32_t>(counters.spooled));
  stats_.set_stored(static_cast<uint32_t>(counters.stored));
  stats_.set_sent(static_cast<uint32_t>(sent_));
  stats_.set_waiting(static_cast<uint32_t>(counters.waiting));
  stats_.set_bytes(static_cast<double>(counters.bytes));
  stats_.set_damaged_bytes(static_cast<double>(counters.damaged));
  for (const auto& [reason, count] : counters.dropped) {
    (*stats_.mutable_dropped())[reason] = static_cast<uint32_t>(count);
  }
}

void Forwarder::Write(const std::deque<Sample>& samples) {
  for (const Sample& sample : samples) {
    const absl::Status status = spool_->Append(sample.bundle, sample.kept.SerializeAsString());
    if (!status.ok() && !std::exchange(told_error_, true)) {
      spdlog::error("samples cannot be kept: {}", std::string(status.message()));
    }
    if (!status.ok()) continue;
    told_error_ = false;
    more_ = true;
    sync_due_ = std::min(sync_due_, SteadyNow() + options_.sync_every);
  }
}

void Forwarder::Hear(const v1::KeptAck& ack) {
  if (!ack.no_store()) {
    told_no_store_ = false;
    return window_.Stored(spool_->Stored(ack.log(), ack.number()), SteadyNow());
  }
  if (!std::exchange(told_no_store_, true)) {
    spdlog::warn("the root keeps no hard samples (ddnn-cloud without --store): {} wait here",
                 spool_->counters().waiting);
  }
  window_.NoStore(SteadyNow());
  spool_->Rewind();
  more_ = true;
}

void Forwarder::SendWhatMayGo() {
  while (more_ && window_.MaySend(SteadyNow())) {
    const std::optional<Spool::Item> item = spool_->Next();
    more_ = item.has_value();
    if (!more_) return;
    const absl::Status status = Send(*item);
    if (status.ok()) {
      window_.Sent(SteadyNow());
    } else {
      spdlog::log(std::exchange(told_dropped_, true) ? spdlog::level::debug : spdlog::level::warn,
                  "a kept sample is dropped: {}", std::string(status.message()));
      spool_->Discard(
          item->log, item->number,
          absl::IsFailedPrecondition(status) ? "another bundle" : "not of this network");
    }
  }
}

// Fails for what the parent would refuse this device for: another version of this program wrote it.
absl::Status Forwarder::Send(const Spool::Item& item) {
  v1::KeptSample kept;
  if (!kept.ParseFromString(item.payload)) return absl::DataLossError("it does not parse");
  kept.set_log(item.log);
  kept.set_number(item.number);
  kept.set_after(item.after);
  std::lock_guard<std::mutex> lock(send_mu_);
  if (!parent_.has_value()) return absl::OkStatus();  // lost on the way, so to speak
  const std::string bundle = parent_->bundle();
  const absl::Status same = Translate(item.bundle, bundle, &kept);
  if (!same.ok()) return same;
  const absl::Status fits = CheckKept(plan_, 0, options_.view, kept);
  if (!fits.ok()) return fits;
  ++sent_;
  parent_->send(bundle, std::move(kept));
  return absl::OkStatus();
}

void Forwarder::SyncIfDue(bool now) {
  if (sync_due_ == absl::InfiniteFuture() || (!now && SteadyNow() < sync_due_)) return;
  sync_due_ = absl::InfiniteFuture();
  const absl::Status status = spool_->Sync();
  if (!status.ok()) spdlog::error("{}", std::string(status.message()));
}

absl::Time Forwarder::NextDue() const { return std::min(sync_due_, window_.NextDue(more_)); }

std::string ToLine(const v1::SpoolStats& spool) {
  std::string text =
      absl::StrFormat("%d samples spooled, %d stored by the root, %d wait (%.0f bytes)",
                      spool.spooled(), spool.stored(), spool.waiting(), spool.bytes());
  const std::map<std::string, uint32_t> dropped(spool.dropped().begin(), spool.dropped().end());
  for (const auto& [reason, count] : dropped) {
    absl::StrAppendFormat(&text, " [dropped, %s: %d]", reason, count);
  }
  if (spool.damaged_bytes() > 0) {
    absl::StrAppendFormat(&text, " [%.0f bytes unreadable]", spool.damaged_bytes());
  }
  return text;
}

}  // namespace ddnn

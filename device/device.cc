#include "device/device.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace ddnn {

Device::Device(const NetworkPlan& plan, Options options)
    : plan_(plan), options_(std::move(options)) {
  summary_.by_exit.assign(plan.exits().size(), 0);
}

absl::Status Device::Run(FrameSink* host, FrameSource* source) {
  {
    std::lock_guard<std::mutex> lock(mu_);
    source_ = source;
    if (over()) source->Stop();
  }
  const absl::Status fed = Feed(host, source);
  source->Stop();
  host->Drain(options_.drain_limit);
  std::lock_guard<std::mutex> lock(mu_);
  source_ = nullptr;
  summary_.frames = source->counts();
  return refused_.ok() ? fed : refused_;
}

absl::Status Device::Feed(FrameSink* host, FrameSource* source) {
  if (!WaitForStart()) return absl::OkStatus();
  started_ = now_();
  for (int64_t offered = 0; options_.samples == 0 || offered < options_.samples; ++offered) {
    // A live source keeps its own time.
    const bool go = source->live() || (WaitForTurn(offered) && WaitForPlace(host));
    if (!go) return absl::OkStatus();
    absl::StatusOr<Frame> frame = source->Next();
    if (absl::IsOutOfRange(frame.status()) || absl::IsCancelled(frame.status())) {
      return absl::OkStatus();
    }
    if (!frame.ok()) return frame.status();
    absl::Status status = OfferFrame(host, *std::move(frame), source->live());
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Device::OfferFrame(FrameSink* host, Frame frame, bool live) {
  const SampleKey key{options_.stream, frame.sequence};
  if (live && !frame.absent && host->under_way() >= options_.max_in_flight) {
    host->OfferShed(key, "device busy");
    return absl::OkStatus();
  }
  if (frame.absent) return host->OfferAbsent(key);
  return host->Offer(key, std::move(frame.pixels));
}

// False when there is nothing to start any more.
bool Device::WaitForStart() {
  std::unique_lock<std::mutex> lock(mu_);
  if (options_.wait_for_tree) {
    changed_.wait(lock, [this] { return tree_ready_ || over(); });
  } else {
    // Frames offered before would only be answered alone, or not at all.
    changed_.wait_for(lock, absl::ToChronoMilliseconds(options_.connect_limit),
                      [this] { return parent_up_ || tree_ready_ || over(); });
  }
  return !over();
}

bool Device::WaitForTurn(int64_t offered) {
  std::unique_lock<std::mutex> lock(mu_);
  if (options_.rate > 0) {
    const absl::Time due = started_ + absl::Seconds(static_cast<double>(offered) / options_.rate);
    changed_.wait_for(lock, absl::ToChronoNanoseconds(due - now_()), [this] { return over(); });
  }
  return !over();
}

bool Device::WaitForPlace(FrameSink* host) {
  std::unique_lock<std::mutex> lock(mu_);
  changed_.wait(lock, [&] { return over() || host->under_way() < options_.max_in_flight; });
  return !over();
}

void Device::Stop() {
  std::lock_guard<std::mutex> lock(mu_);
  stopping_ = true;
  WakeLocked();
}

// Whoever waits for something that will not be wanted any more.
void Device::WakeLocked() {
  changed_.notify_all();
  if (source_ != nullptr) source_->Stop();
}

DeviceSummary Device::summary() const {
  std::lock_guard<std::mutex> lock(mu_);
  DeviceSummary summary = summary_;
  if (latencies_.empty()) return summary;
  std::vector<absl::Duration> sorted = latencies_;
  std::sort(sorted.begin(), sorted.end());
  summary.latency_p50 = sorted[(sorted.size() - 1) / 2];
  summary.latency_p99 = sorted[(sorted.size() - 1) * 99 / 100];
  return summary;
}

void Device::OnAnswer(const Answer& answer) {
  if (options_.on_answer) options_.on_answer(answer);
  std::lock_guard<std::mutex> lock(mu_);
  const uint64_t nth = summary_.samples++;
  summary_.payload_bytes += answer.payload_bytes;
  switch (answer.outcome) {
    case Outcome::kAnswered:
      ++summary_.answered;
      ++summary_.by_exit[answer.exit];
      summary_.degraded += answer.degraded;
      if (latencies_.size() < kLatencies) {
        latencies_.push_back(answer.latency);
      } else {
        latencies_[nth % kLatencies] = answer.latency;
      }
      break;
    case Outcome::kShed:
      ++summary_.shed;
      ++summary_.reason[answer.reason];
      break;
    case Outcome::kExpired:
      ++summary_.expired;
      ++summary_.reason[answer.reason];
      break;
  }
  changed_.notify_all();
}

void Device::OnRefused(const absl::Status& why) {
  std::lock_guard<std::mutex> lock(mu_);
  refused_ = why;
  WakeLocked();
}

void Device::OnTreeReady() {
  spdlog::info("the whole tree is connected");
  std::lock_guard<std::mutex> lock(mu_);
  tree_ready_ = true;
  changed_.notify_all();
}

void Device::OnParent(bool up) {
  if (options_.on_parent) options_.on_parent(up);
  std::lock_guard<std::mutex> lock(mu_);
  parent_up_ = up;
  changed_.notify_all();
}

}  // namespace ddnn

#include "runtime/net/outbox.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "runtime/net/protocol.h"
#include "runtime/net/shorten.h"

namespace ddnn {
namespace {

// Tag and length in front of an embedded message.
constexpr size_t kEmbedBytes = 6;
// Kept samples that may wait: those who send them have few under way at a time.
constexpr size_t kMaxKept = 1024;

void TakeFromTimeLeft(absl::Duration waited, v1::UpSample* sample) {
  if (sample->time_left_ms() == 0) return;
  const int64_t left = sample->time_left_ms() - absl::ToInt64Milliseconds(waited);
  // 0 would say "unknown".
  sample->set_time_left_ms(static_cast<uint32_t>(std::max<int64_t>(left, 1)));
}

}  // namespace

absl::Duration MayWait(absl::Duration delay, absl::Duration time_left) {
  return std::clamp(time_left / 8, absl::ZeroDuration(), delay);
}

void UpOutbox::SetReady() {
  ready_ = true;
  departure_.LeaveBy(absl::InfinitePast());
}

bool UpOutbox::Add(v1::UpSample sample, absl::Time now, absl::Time leave_by) {
  const size_t bytes = sample.ByteSizeLong() + kEmbedBytes;
  if (samples_.size() >= max_items_ || bytes_ + bytes > max_bytes_) return false;
  bytes_ += bytes;
  samples_.push_back({std::move(sample), now});
  const bool full = samples_.size() >= kMaxPerMessage || bytes_ >= kMergeBytes;
  departure_.LeaveBy(full ? absl::InfinitePast() : leave_by);
  return true;
}

bool UpOutbox::AddKept(v1::KeptSample kept) {
  const size_t bytes = kept.ByteSizeLong() + kEmbedBytes;
  if (kept_.size() >= kMaxKept || bytes_ + bytes > max_bytes_ / 2) return false;
  bytes_ += bytes;
  kept_.push_back(std::move(kept));
  // It makes no sample leave that may still wait for company.
  if (samples_.empty()) departure_.LeaveBy(absl::InfinitePast());
  return true;
}

void UpOutbox::Take(absl::Time now, v1::Up* message) {
  message->Clear();
  if (std::exchange(ready_, false)) message->set_ready(true);
  size_t total = 0;
  while (!samples_.empty() && message->sample_size() < kMaxPerMessage) {
    Waiting& next = samples_.front();
    const size_t bytes = next.sample.ByteSizeLong() + kEmbedBytes;
    if (message->sample_size() > 0 && total + bytes > kMergeBytes) break;
    total += bytes;
    bytes_ -= bytes;
    TakeFromTimeLeft(now - next.since, &next.sample);
    *message->add_sample() = std::move(next.sample);
    samples_.pop_front();
  }
  // Alone, so that what comes meanwhile waits for one of them at most.
  if (message->sample_size() == 0 && !kept_.empty()) {
    bytes_ -= kept_.front().ByteSizeLong() + kEmbedBytes;
    *message->add_kept() = std::move(kept_.front());
    kept_.pop_front();
  }
  Shorten(message);
  // What did not fit has waited for long enough.
  departure_.Gone();
  if (!empty()) departure_.LeaveBy(absl::InfinitePast());
}

void UpOutbox::Clear() {
  samples_.clear();
  kept_.clear();
  bytes_ = 0;
  ready_ = false;
  departure_.Gone();
}

void DownOutbox::SetWelcome() {
  welcome_ = true;
  departure_.LeaveBy(absl::InfinitePast());
}

void DownOutbox::SetStart() {
  start_ = true;
  departure_.LeaveBy(absl::InfinitePast());
}

bool DownOutbox::Add(const v1::SampleRef& wanted, absl::Time leave_by) {
  if (full()) return false;
  wanted_.push_back(wanted);
  LeaveBy(leave_by);
  return true;
}

bool DownOutbox::Add(v1::DownAnswer answer, absl::Time leave_by) {
  if (full()) return false;
  answers_.push_back(std::move(answer));
  LeaveBy(leave_by);
  return true;
}

bool DownOutbox::Add(v1::KeptAck kept, absl::Time leave_by) {
  if (full()) return false;
  kept_.push_back(std::move(kept));
  LeaveBy(leave_by);
  return true;
}

void DownOutbox::LeaveBy(absl::Time leave_by) {
  const bool full = wanted_.size() >= kMaxPerMessage || answers_.size() >= kMaxPerMessage;
  departure_.LeaveBy(full ? absl::InfinitePast() : leave_by);
}

void DownOutbox::Take(v1::Down* message) {
  message->Clear();
  if (std::exchange(welcome_, false)) {
    message->mutable_welcome()->set_protocol_version(kProtocolVersion);
  }
  if (std::exchange(start_, false)) message->set_start(true);
  // kMaxPerMessage of each stay far below kMergeBytes: reasons are cut at kMaxReason.
  while (!wanted_.empty() && message->want_features_size() < kMaxPerMessage) {
    *message->add_want_features() = wanted_.front();
    wanted_.pop_front();
  }
  while (!answers_.empty() && message->answer_size() < kMaxPerMessage) {
    *message->add_answer() = std::move(answers_.front());
    answers_.pop_front();
  }
  while (!kept_.empty() && message->kept_size() < kMaxPerMessage) {
    *message->add_kept() = std::move(kept_.front());
    kept_.pop_front();
  }
  Shorten(message);
  departure_.Gone();
  if (!empty()) departure_.LeaveBy(absl::InfinitePast());
}

void DownOutbox::Clear() {
  wanted_.clear();
  answers_.clear();
  kept_.clear();
  welcome_ = start_ = false;
  departure_.Gone();
}

}  // namespace ddnn

#include "runtime/net/outbox.h"

#include <utility>

#include "runtime/net/protocol.h"

namespace ddnn {
namespace {

// Tag and length in front of an embedded message.
constexpr size_t kEmbedBytes = 6;

}  // namespace

bool UpOutbox::Add(v1::UpSample sample) {
  const size_t bytes = sample.ByteSizeLong() + kEmbedBytes;
  if (samples_.size() >= max_items_ || bytes_ + bytes > max_bytes_) return false;
  bytes_ += bytes;
  samples_.push_back(std::move(sample));
  return true;
}

void UpOutbox::Take(v1::Up* message) {
  message->Clear();
  if (std::exchange(ready_, false)) message->set_ready(true);
  size_t total = 0;
  while (!samples_.empty() && message->sample_size() < kMaxPerMessage) {
    const size_t bytes = samples_.front().ByteSizeLong() + kEmbedBytes;
    if (message->sample_size() > 0 && total + bytes > kMergeBytes) break;
    total += bytes;
    bytes_ -= bytes;
    *message->add_sample() = std::move(samples_.front());
    samples_.pop_front();
  }
}

void UpOutbox::Clear() {
  samples_.clear();
  bytes_ = 0;
  ready_ = false;
}

bool DownOutbox::Add(const v1::SampleRef& wanted) {
  if (full()) return false;
  wanted_.push_back(wanted);
  return true;
}

bool DownOutbox::Add(v1::DownAnswer answer) {
  if (full()) return false;
  answers_.push_back(std::move(answer));
  return true;
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
}

void DownOutbox::Clear() {
  wanted_.clear();
  answers_.clear();
  welcome_ = start_ = false;
}

}  // namespace ddnn

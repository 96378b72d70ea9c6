#include "runtime/net/shorten.h"

#include <cstdint>

namespace ddnn {
namespace {

// The name before the first: one step on from it is sequence 0 of stream 0.
struct Name {
  uint32_t stream = 0;
  uint64_t sequence = ~uint64_t{0};
};

// The first keeps its name, as a person who reads a single message expects.
template <typename Items>
void ShortenNames(Items* items) {
  Name before;
  bool first = true;
  for (auto& item : *items) {
    const Name name{item.stream(), item.sequence()};
    if (!first) {
      item.set_stream_step(static_cast<int32_t>(name.stream - before.stream));
      item.set_step(static_cast<int64_t>(name.sequence - before.sequence - 1));
      item.clear_stream();
      item.clear_sequence();
    }
    first = false;
    before = name;
  }
}

template <typename Items>
void RestoreNames(Items* items) {
  Name before;
  for (auto& item : *items) {
    if (item.stream() == 0) {
      item.set_stream(before.stream + static_cast<uint32_t>(item.stream_step()));
    }
    if (item.sequence() == 0) {
      item.set_sequence(before.sequence + 1 + static_cast<uint64_t>(item.step()));
    }
    item.clear_stream_step();
    item.clear_step();
    before = {item.stream(), item.sequence()};
  }
}

// Only what a parent works on has a deadline.
bool HasDeadline(const v1::UpSample& sample) {
  return !sample.scores().empty() || !sample.features().empty();
}

}  // namespace

void Shorten(v1::Up* message) {
  ShortenNames(message->mutable_sample());
  uint32_t said = 0;
  for (v1::UpSample& sample : *message->mutable_sample()) {
    const uint32_t left = sample.time_left_ms();
    if (!HasDeadline(sample)) continue;
    if (said <= left && left - said <= said / 4) {
      sample.clear_time_left_ms();
    } else {
      said = left;
    }
  }
}

void Restore(v1::Up* message) {
  RestoreNames(message->mutable_sample());
  uint32_t said = 0;
  for (v1::UpSample& sample : *message->mutable_sample()) {
    if (!HasDeadline(sample)) continue;
    if (sample.time_left_ms() == 0) {
      sample.set_time_left_ms(said);
    } else {
      said = sample.time_left_ms();
    }
  }
}

void Shorten(v1::Down* message) {
  ShortenNames(message->mutable_want_features());
  ShortenNames(message->mutable_answer());
}

void Restore(v1::Down* message) {
  RestoreNames(message->mutable_want_features());
  RestoreNames(message->mutable_answer());
}

}  // namespace ddnn

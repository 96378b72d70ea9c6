#ifndef DDNN_RUNTIME_NODE_RECENT_ANSWERS_H_
#define DDNN_RUNTIME_NODE_RECENT_ANSWERS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>

#include "runtime/core/answer.h"

namespace ddnn {

/// How the last samples ended, so that those who come late can be told. Bounded in number: the
/// oldest are forgotten first. Not safe to call from several threads at once.
class RecentAnswers {
 public:
  struct Record {
    Answer answer;
    uint64_t told = 0;         ///< children (by slot) that have the answer
    uint64_t pixel_views = 0;  ///< views whose pixels have come
    bool from_above = false;   ///< the parent's answer, not this node's own
  };

  explicit RecentAnswers(size_t max_records) : max_records_(max_records) {}

  /// Replaces what was recorded for the sample.
  void Add(Record record) {
    const SampleKey sample = record.answer.sample;
    const bool known = records_.count(sample) > 0;
    records_[sample] = std::move(record);
    if (known) return;
    order_.push_back(sample);
    if (order_.size() <= max_records_) return;
    records_.erase(order_.front());
    order_.pop_front();
  }

  /// Nobody is told a second time, but a child that leaves may come back as a new process, which
  /// knows no answers.
  void ForgetTold(int child) {
    for (auto& [sample, record] : records_) record.told &= ~(uint64_t{1} << child);
  }

  /// Null when the sample is not known (any more). Valid until the next Add.
  Record* Find(SampleKey sample) {
    const auto found = records_.find(sample);
    return found == records_.end() ? nullptr : &found->second;
  }

 private:
  const size_t max_records_;
  std::deque<SampleKey> order_;
  std::map<SampleKey, Record> records_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NODE_RECENT_ANSWERS_H_

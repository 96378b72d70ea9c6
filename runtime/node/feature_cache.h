#ifndef DDNN_RUNTIME_NODE_FEATURE_CACHE_H_
#define DDNN_RUNTIME_NODE_FEATURE_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "runtime/core/answer.h"

namespace ddnn {

/// Features and pixels kept for a later request, bounded in bytes and time: the oldest go first.
/// Not safe to call from several threads at once.
class FeatureCache {
 public:
  struct Entry {
    std::string features;
    std::string pixels;
  };

  FeatureCache(size_t max_bytes, absl::Duration max_age)
      : max_bytes_(max_bytes), max_age_(max_age) {}

  /// Replaces what was kept for the sample. An entry larger than the whole cache is not kept.
  void Put(SampleKey sample, Entry entry, absl::Time now);
  /// Hands the features out and forgets them; empty when they are not here (any more).
  std::string TakeFeatures(SampleKey sample);
  std::string TakePixels(SampleKey sample);
  /// Keeps them; empty when they are not here.
  std::string CopyFeatures(SampleKey sample) const;
  void Drop(SampleKey sample);
  /// Drops what is older than the age allowed.
  void Expire(absl::Time now);

  /// When the oldest entry expires; absl::InfiniteFuture() when empty.
  absl::Time NextExpiry() const;
  size_t bytes() const { return bytes_; }
  /// Features that were dropped for lack of space or time.
  uint64_t evicted() const { return evicted_; }

 private:
  struct Kept {
    SampleKey sample;
    Entry entry;
    absl::Time expires;
  };
  using Order = std::list<Kept>;  // oldest first

  static size_t SizeOf(const Entry& entry) { return entry.features.size() + entry.pixels.size(); }
  std::string Take(SampleKey sample, std::string Entry::*part);
  void Evict(Order::iterator oldest);
  void Remove(Order::iterator kept);

  const size_t max_bytes_;
  const absl::Duration max_age_;
  Order order_;
  std::map<SampleKey, Order::iterator> by_sample_;
  size_t bytes_ = 0;
  uint64_t evicted_ = 0;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NODE_FEATURE_CACHE_H_

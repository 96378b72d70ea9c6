#include "runtime/node/feature_cache.h"

#include <utility>

namespace ddnn {

void FeatureCache::Put(SampleKey sample, Entry entry, absl::Time now) {
  Drop(sample);
  Expire(now);
  const size_t size = SizeOf(entry);
  if (size == 0) return;
  if (size > max_bytes_) {
    if (!entry.features.empty()) ++evicted_;
    return;
  }
  while (bytes_ + size > max_bytes_) Evict(order_.begin());
  order_.push_back(Kept{sample, std::move(entry), now + max_age_});
  by_sample_[sample] = std::prev(order_.end());
  bytes_ += size;
}

std::string FeatureCache::TakeFeatures(SampleKey sample) { return Take(sample, &Entry::features); }

std::string FeatureCache::TakePixels(SampleKey sample) { return Take(sample, &Entry::pixels); }

std::string FeatureCache::CopyFeatures(SampleKey sample) const {
  const auto found = by_sample_.find(sample);
  return found == by_sample_.end() ? "" : found->second->entry.features;
}

std::string FeatureCache::Take(SampleKey sample, std::string Entry::*part) {
  const auto found = by_sample_.find(sample);
  if (found == by_sample_.end()) return "";
  Entry& entry = found->second->entry;
  std::string taken = std::move(entry.*part);
  (entry.*part).clear();
  bytes_ -= taken.size();
  if (SizeOf(entry) == 0) Remove(found->second);
  return taken;
}

void FeatureCache::Drop(SampleKey sample) {
  const auto found = by_sample_.find(sample);
  if (found != by_sample_.end()) Remove(found->second);
}

void FeatureCache::Expire(absl::Time now) {
  while (!order_.empty() && order_.front().expires <= now) Evict(order_.begin());
}

absl::Time FeatureCache::NextExpiry() const {
  return order_.empty() ? absl::InfiniteFuture() : order_.front().expires;
}

void FeatureCache::Evict(Order::iterator oldest) {
  if (!oldest->entry.features.empty()) ++evicted_;
  Remove(oldest);
}

void FeatureCache::Remove(Order::iterator kept) {
  bytes_ -= SizeOf(kept->entry);
  by_sample_.erase(kept->sample);
  order_.erase(kept);
}

}  // namespace ddnn

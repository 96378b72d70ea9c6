#ifndef DDNN_TRAIN_BATCH_H_
#define DDNN_TRAIN_BATCH_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "models/network_plan.h"
#include "train/sample_store.h"

namespace ddnn::train {

/// The first `count` of `size` samples, shuffled; depends on the arguments alone.
std::vector<int64_t> EpochOrder(uint64_t seed, int epoch, int64_t size, int64_t count);

/// Hides each present view with this probability, but never all of them; depends on the arguments
/// alone.
uint64_t HideViews(uint64_t seed, int epoch, int64_t sample, uint64_t presence, double probability);

/// Seeds LibTorch's generators (dropout) for one step, from 0 over the whole run. Each rank draws
/// for samples of its own.
void SeedStep(uint64_t seed, int64_t step, int rank = 0);

struct Batch {
  at::Tensor pixels;       ///< uint8 [B, V, C, H, W]
  at::Tensor presence;     ///< bool [B, V]
  at::Tensor labels;       ///< int64 [B]
  at::Tensor view_labels;  ///< int64 [B, V]
  int64_t of = 0;          ///< samples of the joint batch that this is a part of; 0: it is whole
};

/// What a rank has that gets no sample of a joint batch: one that nobody sees and that counts
/// nowhere.
Batch NoSample(int views, const Shape& view, int classes);

/// Samples of a store, each seen by the views in `presence`, pictures as they are.
Batch Gather(const SampleStore& store, const Shape& view, absl::Span<const int64_t> indices,
             absl::Span<const uint64_t> presence, const c10::Device& device);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_BATCH_H_

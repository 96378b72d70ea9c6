#include "train/batch.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "datasets/counter_rng.h"
#include "train/draw.h"

namespace ddnn::train {

std::vector<int64_t> EpochOrder(uint64_t seed, int epoch, int64_t size, int64_t count) {
  const CounterRng random(
      {seed, static_cast<uint64_t>(Draw::kOrder), static_cast<uint64_t>(epoch)});
  std::vector<int64_t> order(size);
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = 0; i < count; ++i) {
    std::swap(order[i], order[i + static_cast<int64_t>(random.Uniform(i) * (size - i))]);
  }
  order.resize(count);
  return order;
}

uint64_t HideViews(uint64_t seed, int epoch, int64_t sample, uint64_t presence,
                   double probability) {
  if (probability <= 0) return presence;
  const CounterRng random({seed, static_cast<uint64_t>(Draw::kHiddenViews),
                           static_cast<uint64_t>(epoch), static_cast<uint64_t>(sample)});
  uint64_t kept = 0;
  for (int v = 0; v < 64; ++v) {
    if ((presence >> v & 1) && random.Uniform(v) >= probability) kept |= uint64_t{1} << v;
  }
  return kept == 0 ? presence : kept;
}

void SeedStep(uint64_t seed, int64_t step, int rank) {
  const uint64_t word =
      CounterRng({seed, static_cast<uint64_t>(Draw::kStep)}).Word(static_cast<uint64_t>(step));
  at::manual_seed(rank == 0 ? word : CounterRng({word}).Word(static_cast<uint64_t>(rank)));
}

Batch NoSample(int views, const Shape& view, int classes) {
  Batch batch;
  batch.pixels = at::zeros({1, views, view.channels, view.height, view.width}, at::kByte);
  batch.presence = at::zeros({1, views}, at::kBool);
  batch.labels = at::full({1}, classes, at::kLong);
  batch.view_labels = at::full({1, views}, classes, at::kLong);
  return batch;
}

Batch Gather(const SampleStore& store, const Shape& view, absl::Span<const int64_t> indices,
             absl::Span<const uint64_t> presence, const c10::Device& device) {
  const int64_t count = static_cast<int64_t>(indices.size()), views = store.views;
  Batch batch;
  batch.pixels = at::empty({count, views, view.channels, view.height, view.width}, at::kByte);
  batch.presence = at::empty({count, views}, at::kBool);
  batch.labels = at::empty({count}, at::kLong);
  batch.view_labels = at::empty({count, views}, at::kLong);
  uint8_t* pixels = batch.pixels.data_ptr<uint8_t>();
  bool* present = batch.presence.data_ptr<bool>();
  int64_t* labels = batch.labels.data_ptr<int64_t>();
  int64_t* view_labels = batch.view_labels.data_ptr<int64_t>();
  const size_t bytes = store.sample_bytes();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t from = indices[i];
    std::copy_n(store.pixels.data() + from * bytes, bytes, pixels + i * bytes);
    labels[i] = store.labels[from];
    for (int64_t v = 0; v < views; ++v) {
      present[i * views + v] = presence[i] >> v & 1;
      view_labels[i * views + v] = store.view_labels[from * views + v];
    }
  }
  for (at::Tensor* t : {&batch.pixels, &batch.presence, &batch.labels, &batch.view_labels}) {
    *t = t->to(device);
  }
  return batch;
}

}  // namespace ddnn::train

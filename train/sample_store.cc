#include "train/sample_store.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace ddnn::train {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{16} << 30;

absl::Status CheckSample(const SampleStore& store, const DatasetSample& sample, int64_t index,
                         const DatasetInfo& info) {
  const auto wrong = [&](const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat(info.spec, ", sample ", index, ": ", what));
  };
  if (sample.pixels.size() != store.sample_bytes()) {
    return wrong(
        absl::StrCat(sample.pixels.size(), " bytes of pixels, expected ", store.sample_bytes()));
  }
  if (sample.label < 0 || sample.label >= store.classes) {
    return wrong(absl::StrCat("label ", sample.label, " of ", store.classes, " classes"));
  }
  if (static_cast<int>(sample.view_labels.size()) != store.views) {
    return wrong(
        absl::StrCat(sample.view_labels.size(), " view labels for ", store.views, " views"));
  }
  for (int label : sample.view_labels) {
    if (label < 0 || label > store.classes) {
      return wrong(absl::StrCat("view label ", label, " of ", store.classes, " classes"));
    }
  }
  if (sample.presence == 0 || (store.views < 64 && sample.presence >> store.views != 0)) {
    return wrong(absl::StrCat("presence mask ", sample.presence, " for ", store.views, " views"));
  }
  return absl::OkStatus();
}

}  // namespace

WholeInput SampleStore::Input(int64_t index, uint64_t presence) const {
  WholeInput input;
  const size_t bytes = sample_bytes();
  input.pixels.assign(reinterpret_cast<const char*>(pixels.data()) + index * bytes, bytes);
  input.presence = presence;
  return input;
}

absl::StatusOr<SampleStore> LoadSamples(const Dataset& dataset, Split split,
                                        absl::Span<const int64_t> indices, int threads,
                                        const std::atomic<bool>* stop) {
  const DatasetInfo& info = dataset.info();
  SampleStore store;
  store.views = info.views;
  store.classes = static_cast<int>(info.class_names.size());
  store.view_bytes = static_cast<size_t>(info.channels) * info.height * info.width;
  const uint64_t bytes = store.sample_bytes() * static_cast<uint64_t>(indices.size());
  if (bytes > kMaxBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(info.spec, ": ", indices.size(), " samples of the ", ToString(split),
                     " split take ", bytes >> 20, " MiB of memory, at most ", kMaxBytes >> 20,
                     " are used; limit them with --samples"));
  }
  store.pixels.resize(bytes);
  store.presence.resize(indices.size());
  store.labels.resize(indices.size());
  store.view_labels.resize(indices.size() * store.views);

  std::mutex mutex;
  absl::Status status;
  std::atomic<bool> failed{false};
  const auto read = [&](size_t begin, size_t end) {
    DatasetSample sample;
    for (size_t i = begin; i < end && !failed; ++i) {
      absl::Status result = stop != nullptr && *stop ? absl::CancelledError("interrupted")
                                                     : dataset.Read(split, indices[i], &sample);
      if (result.ok()) result = CheckSample(store, sample, indices[i], info);
      if (!result.ok()) {
        const std::lock_guard<std::mutex> lock(mutex);
        status.Update(result);
        failed = true;
        return;
      }
      std::memcpy(store.pixels.data() + i * store.sample_bytes(), sample.pixels.data(),
                  store.sample_bytes());
      store.presence[i] = sample.presence;
      store.labels[i] = sample.label;
      std::copy(sample.view_labels.begin(), sample.view_labels.end(),
                store.view_labels.begin() + i * store.views);
    }
  };
  const size_t parts = std::clamp<size_t>(threads, 1, 64);
  std::vector<std::thread> workers;
  for (size_t k = 0; k < parts; ++k) {
    workers.emplace_back(read, indices.size() * k / parts, indices.size() * (k + 1) / parts);
  }
  for (std::thread& worker : workers) worker.join();
  if (!status.ok()) return status;
  return store;
}

absl::StatusOr<SampleStore> LoadSplit(const Dataset& dataset, Split split, int threads,
                                      const std::atomic<bool>* stop) {
  std::vector<int64_t> indices(dataset.size(split));
  std::iota(indices.begin(), indices.end(), 0);
  return LoadSamples(dataset, split, indices, threads, stop);
}

std::vector<std::string> NotShown(const NetworkPlan& plan, const SampleStore& samples) {
  const uint64_t seen = samples.views_seen();
  std::vector<bool> known(plan.classes());
  for (int label : samples.labels) known[label] = true;
  std::vector<std::string> views, classes, lines;
  for (int v = 0; v < plan.views(); ++v) {
    if ((seen >> v & 1) == 0) views.push_back(absl::StrCat(v));
  }
  for (int c = 0; c < plan.classes(); ++c) {
    if (!known[c]) classes.push_back(plan.spec().class_name(c));
  }
  if (!views.empty()) lines.push_back("no sample has view " + absl::StrJoin(views, ", "));
  if (!classes.empty()) lines.push_back("no sample is of class " + absl::StrJoin(classes, ", "));
  return lines;
}

uint64_t Fingerprint(const SampleStore& samples) {
  uint64_t hash = 0;
  const auto add = [&hash](const void* data, size_t bytes) {
    const char* from = static_cast<const char*>(data);
    for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
      uint64_t word = 0;
      std::memcpy(&word, from + i, std::min(sizeof word, bytes - i));
      hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
      hash ^= hash >> 32;
    }
    hash = (hash ^ bytes) * 0x9e3779b97f4a7c15u;
  };
  add(samples.pixels.data(), samples.pixels.size());
  add(samples.presence.data(), samples.presence.size() * sizeof samples.presence[0]);
  add(samples.labels.data(), samples.labels.size() * sizeof samples.labels[0]);
  add(samples.view_labels.data(), samples.view_labels.size() * sizeof samples.view_labels[0]);
  return hash;
}

}  // namespace ddnn::train

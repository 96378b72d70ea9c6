#include "datasets/render.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

constexpr int64_t kBlock = 256;

// Blocks of samples handed to whoever is free; each writes to its own place.
class Renderer {
 public:
  Renderer(const Dataset& dataset, Split split, RenderedSplit* out)
      : dataset_(dataset), split_(split), out_(out) {}

  /// False when there is nothing more to do.
  bool RenderBlock() {
    const int64_t begin = next_.fetch_add(kBlock);
    if (begin >= out_->samples || failed_.load()) return false;
    const int64_t end = std::min(out_->samples, begin + kBlock);
    DatasetSample sample;
    for (int64_t i = begin; i < end; ++i) {
      absl::Status status = dataset_.Read(split_, i, &sample);
      if (status.ok()) status = Store(i, sample);
      if (!status.ok()) {
        Fail(i, status);
        return false;
      }
    }
    done_ += end - begin;
    return true;
  }
  int64_t done() const { return std::min(done_.load(), out_->samples); }
  absl::Status status() const { return status_; }

 private:
  absl::Status Store(int64_t i, const DatasetSample& sample) {
    const int views = out_->info.views;
    const int64_t size = out_->view_size() * views;
    if (static_cast<int64_t>(sample.pixels.size()) != size ||
        static_cast<int>(sample.view_labels.size()) != views) {
      return absl::InternalError(absl::StrCat(out_->info.spec, ": sample ", i, " has ",
                                              sample.pixels.size(), " pixels, expected ", size));
    }
    std::copy(sample.pixels.begin(), sample.pixels.end(), out_->pixels.begin() + i * size);
    out_->presence[i] = sample.presence;
    out_->labels[i] = sample.label;
    std::copy(sample.view_labels.begin(), sample.view_labels.end(),
              out_->view_labels.begin() + i * views);
    return absl::OkStatus();
  }
  // The first sample's error wins, whichever thread was faster.
  void Fail(int64_t i, const absl::Status& status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    failed_ = true;
    if (status_.ok() || i < failed_sample_) {
      status_ = status;
      failed_sample_ = i;
    }
  }

  const Dataset& dataset_;
  const Split split_;
  RenderedSplit* const out_;
  std::atomic<int64_t> next_{0}, done_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  absl::Status status_;
  int64_t failed_sample_ = 0;
};

}  // namespace

absl::StatusOr<RenderedSplit> RenderSplit(const Dataset& dataset, Split split,
                                          const RenderOptions& options) {
  RenderedSplit out;
  out.info = dataset.info();
  out.samples = dataset.size(split);
  if (options.max_samples > 0) out.samples = std::min(out.samples, options.max_samples);
  const int64_t sample_size = out.view_size() * out.info.views;
  if (sample_size > 0 && out.samples > options.max_bytes / sample_size) {
    return absl::ResourceExhaustedError(absl::StrCat(
        out.info.spec, ": ", out.samples, " samples of the ", ToString(split), " split need ",
        sample_size, " bytes each, more than the limit of ", options.max_bytes, " in all"));
  }
  out.pixels.resize(out.samples * sample_size);
  out.presence.resize(out.samples);
  out.labels.resize(out.samples);
  out.view_labels.resize(out.samples * out.info.views);

  Renderer renderer(dataset, split, &out);
  std::vector<std::thread> helpers;
  for (int t = 1; t < options.threads; ++t) {
    helpers.emplace_back([&renderer] {
      while (renderer.RenderBlock()) continue;
    });
  }
  while (renderer.RenderBlock()) {
    if (options.progress) options.progress(renderer.done(), out.samples);
  }
  for (std::thread& helper : helpers) helper.join();
  if (absl::Status status = renderer.status(); !status.ok()) return status;
  if (options.progress) options.progress(out.samples, out.samples);
  return out;
}

}  // namespace ddnn

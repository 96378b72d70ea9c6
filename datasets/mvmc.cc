// The layout of the paper's multi-view multi-camera data: X [N, V, C, H, W] and y [N, V].
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "datasets/counter_rng.h"
#include "datasets/loaders.h"
#include "datasets/npz_samples.h"

namespace ddnn {
namespace {

constexpr int kMaxClasses = NpzSamples::kMaxLabel;
constexpr uint64_t kSplitSeed = 0x5eed5712u;

absl::Status Bad(const std::string& origin, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(origin, ": ", what));
}

bool IsBlank(const uint8_t* view, int64_t size) {
  return std::all_of(view, view + size, [](uint8_t p) { return p == 0; });
}

// The largest label means "absent" if nothing but blank views carry it; without such a label every
// view is present.
absl::StatusOr<int> GuessClasses(std::vector<NpzSamples>& files) {
  int largest = 0;
  for (const NpzSamples& file : files) largest = std::max(largest, file.largest_label());
  std::vector<uint8_t> pixels;
  for (NpzSamples& file : files) {
    for (int64_t i = 0; i < file.samples(); ++i) {
      pixels.clear();
      for (int v = 0; v < file.views; ++v) {
        if (file.label(i, v) != largest) continue;
        absl::Status read = pixels.empty() ? file.Read(i, &pixels) : absl::OkStatus();
        if (!read.ok()) return read;
        if (!IsBlank(&pixels[v * file.view_size()], file.view_size())) return largest + 1;
      }
    }
  }
  return largest;
}

absl::Status CheckLabels(const NpzSamples& file, int classes) {
  for (int64_t i = 0; i < file.samples(); ++i) {
    int label = classes;
    for (int v = 0; v < file.views; ++v) {
      const int found = file.label(i, v);
      if (found > classes) {
        return Bad(file.path(), absl::StrCat("sample ", i, ", view ", v, " has label ", found,
                                             ", expected 0 to ", classes, " (absent)"));
      }
      if (found == classes) continue;
      if (label != classes && found != label) {
        return Bad(file.path(), absl::StrCat("sample ", i, ": its views disagree: labels ", label,
                                             " and ", found));
      }
      label = found;
    }
    if (label == classes) {
      return Bad(file.path(), absl::StrCat("sample ", i, " has no view that is present"));
    }
  }
  return absl::OkStatus();
}

class Mvmc final : public Dataset {
 public:
  Mvmc(const std::string& spec, std::vector<NpzSamples> files, int classes)
      : files_(std::move(files)) {
    const NpzSamples& first = files_[0];
    info_.spec = spec;
    info_.views = first.views;
    info_.channels = first.channels;
    info_.height = first.height;
    info_.width = first.width;
    for (int c = 0; c < classes; ++c) info_.class_names.push_back(absl::StrCat(c));
    MakeSplits();
  }

  const DatasetInfo& info() const override { return info_; }
  int64_t size(Split split) const override {
    return static_cast<int64_t>(members_[static_cast<int>(split)].size());
  }

  absl::Status Read(Split split, int64_t index, DatasetSample* sample) const override {
    if (absl::Status inside = CheckIndex(*this, split, index); !inside.ok()) return inside;
    NpzSamples& file = files_[split == Split::kTest ? files_.size() - 1 : 0];
    const int64_t at = members_[static_cast<int>(split)][index];
    const int classes = static_cast<int>(info_.class_names.size());
    const size_t size = file.view_size();
    std::vector<uint8_t> pixels;
    {
      std::lock_guard<std::mutex> lock(reading_);
      if (absl::Status read = file.Read(at, &pixels); !read.ok()) return read;
    }
    sample->pixels.assign(size * file.views, '\0');
    sample->presence = 0;
    sample->view_labels.assign(file.views, classes);
    for (int v = 0; v < file.views; ++v) {
      const int label = file.label(at, v);
      if (label == classes) continue;
      sample->label = sample->view_labels[v] = label;
      sample->presence |= uint64_t{1} << v;
      std::copy_n(&pixels[v * size], size, &sample->pixels[v * size]);
    }
    return absl::OkStatus();
  }

 private:
  // By a hash of the index: 70/10/20 of one file, or 90/10 of the first and all of the second.
  void MakeSplits() {
    const bool own_test = files_.size() > 1;
    const int64_t samples = files_[0].samples();
    std::vector<std::pair<uint64_t, int64_t>> order;
    for (int64_t i = 0; i < samples; ++i) {
      order.emplace_back(CounterRng({kSplitSeed, static_cast<uint64_t>(i)}).Word(0), i);
    }
    std::sort(order.begin(), order.end());
    const int64_t tests = own_test ? 0 : (samples + 4) / 5;
    const int64_t calibrations = (samples + 9) / 10;
    for (int64_t i = 0; i < samples; ++i) {
      const Split split = i < tests                  ? Split::kTest
                          : i < tests + calibrations ? Split::kCalibration
                                                     : Split::kTrain;
      members_[static_cast<int>(split)].push_back(order[i].second);
    }
    std::vector<int64_t>& test = members_[static_cast<int>(Split::kTest)];
    for (int64_t i = 0; own_test && i < files_[1].samples(); ++i) test.push_back(i);
    for (std::vector<int64_t>& members : members_) std::sort(members.begin(), members.end());
  }

  mutable std::mutex reading_;
  mutable std::vector<NpzSamples> files_;
  DatasetInfo info_;
  std::array<std::vector<int64_t>, 3> members_;  // by Split
};

}  // namespace

absl::StatusOr<std::unique_ptr<Dataset>> OpenMvmc(const DataSpec& spec, bool only_test) {
  if (absl::Status known = CheckOptions(spec, {"classes"}); !known.ok()) return known;
  const std::vector<std::string> paths = absl::StrSplit(spec.argument, ',');
  if (paths.size() > 2 || paths[0].empty() || paths.back().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("data spec '", spec.text, "': expected mvmc:TRAIN.npz[,TEST.npz]"));
  }
  std::vector<NpzSamples> files;
  for (const std::string& path : paths) {
    absl::StatusOr<NpzSamples> file = NpzSamples::Open(path, /*hold=*/!only_test);
    if (!file.ok()) return file.status();
    files.push_back(*std::move(file));
    const NpzSamples &a = files[0], &b = files.back();
    if (b.views != a.views || b.channels != a.channels || b.height != a.height ||
        b.width != a.width) {
      return Bad(path, absl::StrCat("samples are ", b.views, "x", b.channels, "x", b.height, "x",
                                    b.width, ", expected ", a.views, "x", a.channels, "x", a.height,
                                    "x", a.width, " as in ", a.path()));
    }
  }
  int classes = 0;
  if (const auto given = spec.options.find("classes"); given != spec.options.end()) {
    if (!absl::SimpleAtoi(given->second, &classes) || classes > kMaxClasses) classes = 0;
  } else {
    const absl::StatusOr<int> guessed = GuessClasses(files);
    if (!guessed.ok()) return guessed.status();
    classes = *guessed;
  }
  if (classes < 2) {
    return absl::InvalidArgumentError(absl::StrCat("data spec '", spec.text, "': ", classes,
                                                   " classes, expected 2 to ", kMaxClasses));
  }
  for (const NpzSamples& file : files) {
    if (absl::Status checked = CheckLabels(file, classes); !checked.ok()) return checked;
  }
  if (files[0].samples() < (files.size() > 1 ? 2 : 3)) {
    return Bad(files[0].path(), absl::StrCat("has ", files[0].samples(),
                                             " samples, too few for every split to have one"));
  }
  return std::unique_ptr<Dataset>(new Mvmc(spec.text, std::move(files), classes));
}

}  // namespace ddnn

// The layout of the paper's multi-view multi-camera data: X [N, V, C, H, W] and y [N, V].
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "datasets/counter_rng.h"
#include "datasets/loaders.h"
#include "datasets/npy.h"

namespace ddnn {
namespace {

constexpr int64_t kMaxPixels = int64_t{1} << 32;
constexpr int kMaxSide = 4096, kMaxChannels = 64, kMaxViews = 64, kMaxClasses = 1 << 16;
constexpr uint64_t kSplitSeed = 0x5eed5712u;
constexpr size_t kChunk = 1 << 14;

absl::Status Bad(const std::string& origin, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(origin, ": ", what));
}

// One .npz in memory, pixels as bytes.
struct Samples {
  std::string path;
  int64_t samples = 0;
  int views = 0, channels = 0, height = 0, width = 0;
  std::vector<uint8_t> pixels;
  std::vector<int64_t> labels;  // [N, V]

  int64_t view_size() const { return int64_t{1} * channels * height * width; }
  const uint8_t* view(int64_t sample, int view) const {
    return pixels.data() + (sample * views + view) * view_size();
  }
  bool IsBlank(int64_t sample, int v) const {
    const uint8_t* at = view(sample, v);
    return std::all_of(at, at + view_size(), [](uint8_t p) { return p == 0; });
  }
};

absl::Status ReadPixels(NpzArray& array, Samples* out) {
  const std::vector<int64_t>& shape = array.header().shape;
  const std::string& type = array.header().type;
  const bool bytes = array.element_bytes() == 1;
  if (!bytes && type != "<f4") {
    return Bad(array.origin(), absl::StrCat("has type '", type, "', expected float32 or uint8"));
  }
  if (shape.size() != 5 || shape[0] < 1 || shape[1] < 1 || shape[1] > kMaxViews || shape[2] < 1 ||
      shape[2] > kMaxChannels || shape[3] < 1 || shape[3] > kMaxSide || shape[4] < 1 ||
      shape[4] > kMaxSide || array.elements() > kMaxPixels) {
    return Bad(array.origin(), absl::StrCat("has shape (", absl::StrJoin(shape, ", "),
                                            "), expected (samples, up to ", kMaxViews,
                                            " views, channels, height, width)"));
  }
  out->samples = shape[0];
  out->views = static_cast<int>(shape[1]);
  out->channels = static_cast<int>(shape[2]);
  out->height = static_cast<int>(shape[3]);
  out->width = static_cast<int>(shape[4]);
  // Grows with what the file really holds, not with what it claims.
  std::vector<float> floats(kChunk);
  std::vector<uint8_t> chunk(kChunk);
  for (int64_t at = 0; at < array.elements();) {
    const size_t count = std::min<int64_t>(kChunk, array.elements() - at);
    absl::Status read =
        bytes ? array.Read(chunk.data(), count) : array.Read(floats.data(), count * sizeof(float));
    if (!read.ok()) return read;
    for (size_t i = 0; !bytes && i < count; ++i) {
      if (!(floats[i] >= 0 && floats[i] <= 1)) {
        return Bad(array.origin(),
                   absl::StrCat("sample ", (at + int64_t(i)) / (array.elements() / out->samples),
                                " has a pixel of ", floats[i], ", expected 0 to 1"));
      }
      chunk[i] = static_cast<uint8_t>(floats[i] * 255.0f + 0.5f);
    }
    out->pixels.insert(out->pixels.end(), chunk.begin(), chunk.begin() + count);
    at += count;
  }
  return array.Finish();
}

absl::Status ReadLabels(NpzArray& array, Samples* out) {
  const std::vector<int64_t>& shape = array.header().shape;
  const std::string& type = array.header().type;
  if (type != "<i4" && type != "<i8") {
    return Bad(array.origin(), absl::StrCat("has type '", type, "', expected int32 or int64"));
  }
  if (shape != std::vector<int64_t>{out->samples, out->views}) {
    return Bad(array.origin(),
               absl::StrCat("has shape (", absl::StrJoin(shape, ", "), "), expected (",
                            out->samples, ", ", out->views, ") as X has it"));
  }
  for (int64_t i = 0; i < array.elements(); ++i) {
    int64_t wide = 0;
    int32_t narrow = 0;
    absl::Status read =
        type == "<i4" ? array.Read(&narrow, sizeof(narrow)) : array.Read(&wide, sizeof(wide));
    if (!read.ok()) return read;
    const int64_t label = type == "<i4" ? narrow : wide;
    if (label < 0 || label > kMaxClasses) {
      return Bad(array.origin(),
                 absl::StrCat("sample ", i / out->views, ", view ", i % out->views, " has label ",
                              label, ", expected 0 to ", kMaxClasses));
    }
    out->labels.push_back(label);
  }
  return array.Finish();
}

absl::StatusOr<Samples> ReadNpz(const std::string& path) {
  Samples out;
  out.path = path;
  absl::StatusOr<NpzFile> file = NpzFile::Open(path);
  if (!file.ok()) return file.status();
  absl::StatusOr<NpzArray> pixels = file->OpenArray("X");
  if (!pixels.ok()) return pixels.status();
  if (absl::Status read = ReadPixels(*pixels, &out); !read.ok()) return read;
  absl::StatusOr<NpzArray> labels = file->OpenArray("y");
  if (!labels.ok()) return labels.status();
  if (absl::Status read = ReadLabels(*labels, &out); !read.ok()) return read;
  return out;
}

// The largest label means "absent" if nothing but blank views carry it; without such a label every
// view is present.
int64_t GuessClasses(const std::vector<Samples>& files) {
  int64_t largest = 0;
  for (const Samples& file : files) {
    largest = std::max(largest, *std::max_element(file.labels.begin(), file.labels.end()));
  }
  for (const Samples& file : files) {
    for (size_t i = 0; i < file.labels.size(); ++i) {
      if (file.labels[i] == largest && !file.IsBlank(i / file.views, i % file.views)) {
        return largest + 1;
      }
    }
  }
  return largest;
}

absl::Status CheckLabels(const Samples& file, int64_t classes) {
  for (int64_t i = 0; i < file.samples; ++i) {
    int64_t label = classes;
    for (int v = 0; v < file.views; ++v) {
      const int64_t found = file.labels[i * file.views + v];
      if (found > classes) {
        return Bad(file.path, absl::StrCat("sample ", i, ", view ", v, " has label ", found,
                                           ", expected 0 to ", classes, " (absent)"));
      }
      if (found == classes) continue;
      if (label != classes && found != label) {
        return Bad(file.path, absl::StrCat("sample ", i, ": its views disagree: labels ", label,
                                           " and ", found));
      }
      label = found;
    }
    if (label == classes) {
      return Bad(file.path, absl::StrCat("sample ", i, " has no view that is present"));
    }
  }
  return absl::OkStatus();
}

class Mvmc final : public Dataset {
 public:
  Mvmc(const std::string& spec, std::vector<Samples> files, int classes)
      : files_(std::move(files)) {
    const Samples& first = files_[0];
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
    const Samples& file = files_[split == Split::kTest ? files_.size() - 1 : 0];
    const int64_t at = members_[static_cast<int>(split)][index];
    const int classes = static_cast<int>(info_.class_names.size());
    const size_t size = file.view_size();
    sample->pixels.assign(size * file.views, '\0');
    sample->presence = 0;
    sample->view_labels.assign(file.views, classes);
    for (int v = 0; v < file.views; ++v) {
      const int label = static_cast<int>(file.labels[at * file.views + v]);
      if (label == classes) continue;
      sample->label = sample->view_labels[v] = label;
      sample->presence |= uint64_t{1} << v;
      std::copy_n(file.view(at, v), size, &sample->pixels[v * size]);
    }
    return absl::OkStatus();
  }

 private:
  // By a hash of the index: 70/10/20 of one file, or 90/10 of the first and all of the second.
  void MakeSplits() {
    const bool own_test = files_.size() > 1;
    const int64_t samples = files_[0].samples;
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
    for (int64_t i = 0; own_test && i < files_[1].samples; ++i) test.push_back(i);
    for (std::vector<int64_t>& members : members_) std::sort(members.begin(), members.end());
  }

  std::vector<Samples> files_;
  DatasetInfo info_;
  std::array<std::vector<int64_t>, 3> members_;  // by Split
};

}  // namespace

absl::StatusOr<std::unique_ptr<Dataset>> OpenMvmc(const DataSpec& spec, bool /*only_test*/) {
  if (absl::Status known = CheckOptions(spec, {"classes"}); !known.ok()) return known;
  const std::vector<std::string> paths = absl::StrSplit(spec.argument, ',');
  if (paths.size() > 2 || paths[0].empty() || paths.back().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("data spec '", spec.text, "': expected mvmc:TRAIN.npz[,TEST.npz]"));
  }
  std::vector<Samples> files;
  for (const std::string& path : paths) {
    absl::StatusOr<Samples> file = ReadNpz(path);
    if (!file.ok()) return file.status();
    files.push_back(*std::move(file));
    const Samples &a = files[0], &b = files.back();
    if (b.views != a.views || b.channels != a.channels || b.height != a.height ||
        b.width != a.width) {
      return Bad(path, absl::StrCat("samples are ", b.views, "x", b.channels, "x", b.height, "x",
                                    b.width, ", expected ", a.views, "x", a.channels, "x", a.height,
                                    "x", a.width, " as in ", a.path));
    }
  }
  int64_t classes = GuessClasses(files);
  if (const auto given = spec.options.find("classes"); given != spec.options.end()) {
    if (!absl::SimpleAtoi(given->second, &classes) || classes > kMaxClasses) classes = 0;
  }
  if (classes < 2) {
    return absl::InvalidArgumentError(absl::StrCat("data spec '", spec.text, "': ", classes,
                                                   " classes, expected 2 to ", kMaxClasses));
  }
  for (const Samples& file : files) {
    if (absl::Status checked = CheckLabels(file, classes); !checked.ok()) return checked;
  }
  if (files[0].samples < (files.size() > 1 ? 2 : 3)) {
    return Bad(files[0].path, absl::StrCat("has ", files[0].samples,
                                           " samples, too few for every split to have one"));
  }
  return std::unique_ptr<Dataset>(new Mvmc(spec.text, std::move(files), static_cast<int>(classes)));
}

}  // namespace ddnn

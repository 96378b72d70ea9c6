// DIR/<split>/<class>/<sample>/<view>.png|jpg, or DIR/<split>/<class>/<sample>.png|jpg for one
// view.
#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "datasets/counter_rng.h"
#include "datasets/loaders.h"
#include "datasets/pictures.h"

namespace ddnn {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxViews = 64;
constexpr int kMaxSide = 4096;
constexpr uint64_t kSplitSeed = 0x5eed5713u;

absl::Status Bad(const std::string& path, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

struct FolderSample {
  std::string name;  // "<class>/<sample>"
  int label = 0;
  std::map<int, std::string> views;  // by number
};

// What is in a folder, by name; hidden files are not.
absl::StatusOr<std::vector<fs::directory_entry>> List(const std::string& path) {
  std::error_code error;
  std::vector<fs::directory_entry> entries;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    if (at->path().filename().string()[0] != '.') entries.push_back(*at);
  }
  if (error) {
    return absl::NotFoundError(absl::StrCat(path, ": is not a readable folder: ", error.message()));
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

absl::Status ReadViews(const std::string& path, FolderSample* sample) {
  const absl::StatusOr<std::vector<fs::directory_entry>> files = List(path);
  if (!files.ok()) return files.status();
  for (const fs::directory_entry& file : *files) {
    const std::string name = file.path().string();
    if (!file.is_regular_file() || !IsPictureName(name)) {
      return Bad(name, "is not a .png or .jpg picture");
    }
    int view = -1;
    if (!absl::SimpleAtoi(file.path().stem().string(), &view) || view < 0 || view >= kMaxViews) {
      return Bad(name, absl::StrCat("is not named by a view number, 0 to ", kMaxViews - 1));
    }
    const auto [place, added] = sample->views.emplace(view, name);
    if (!added) return Bad(name, absl::StrCat("is view ", view, " again, as ", place->second));
  }
  if (sample->views.empty()) return Bad(path, "has no picture in it");
  return absl::OkStatus();
}

class FolderReader {
 public:
  /// Empty `classes`: those of the train split.
  FolderReader(std::string dir, std::vector<std::string> classes)
      : dir_(std::move(dir)), classes_(std::move(classes)), given_(!classes_.empty()) {}

  absl::Status Read() {
    const absl::StatusOr<std::vector<fs::directory_entry>> entries = List(dir_);
    if (!entries.ok()) return entries.status();
    for (const fs::directory_entry& entry : *entries) {
      if (!entry.is_directory()) continue;
      const std::string name = entry.path().filename().string();
      if (!ParseSplit(name).ok()) {
        return Bad(entry.path().string(), "is no split: expected train, calibration or test");
      }
      has_[static_cast<int>(*ParseSplit(name))] = true;
    }
    if (!has_[0]) {
      return Bad(dir_, entries->empty() ? "is empty, expected a folder 'train' in it"
                                        : "has no folder 'train'");
    }
    for (Split split : {Split::kTrain, Split::kCalibration, Split::kTest}) {
      if (!has_[static_cast<int>(split)]) continue;
      if (absl::Status read = ReadSplit(split); !read.ok()) return read;
    }
    return Carve();
  }

  std::vector<std::string> classes() const { return classes_; }
  std::array<std::vector<FolderSample>, 3> TakeSamples() { return std::move(samples_); }

 private:
  absl::Status ReadSplit(Split split) {
    const std::string path = absl::StrCat(dir_, "/", ToString(split));
    const absl::StatusOr<std::vector<fs::directory_entry>> entries = List(path);
    if (!entries.ok()) return entries.status();
    if (entries->empty()) return Bad(path, "is empty, expected one folder per class in it");
    for (const fs::directory_entry& entry : *entries) {
      const std::string name = entry.path().filename().string();
      if (!entry.is_directory()) return Bad(entry.path().string(), "is not the folder of a class");
      auto known = std::find(classes_.begin(), classes_.end(), name);
      if (known == classes_.end()) {
        if (given_ || split != Split::kTrain) {
          return Bad(entry.path().string(),
                     absl::StrCat(given_ ? "is none of the classes " : "is not a class of train: ",
                                  absl::StrJoin(classes_, ", ")));
        }
        known = classes_.insert(classes_.end(), name);
      }
      absl::Status read =
          ReadClass(split, static_cast<int>(known - classes_.begin()), entry.path().string(), name);
      if (!read.ok()) return read;
    }
    return absl::OkStatus();
  }

  absl::Status ReadClass(Split split, int label, const std::string& path,
                         const std::string& class_name) {
    const absl::StatusOr<std::vector<fs::directory_entry>> entries = List(path);
    if (!entries.ok()) return entries.status();
    if (entries->empty()) return Bad(path, "is empty, expected samples in it");
    for (const fs::directory_entry& entry : *entries) {
      const std::string name = entry.path().string();
      const bool folder = entry.is_directory();
      FolderSample sample;
      sample.label = label;
      const fs::path last = folder ? entry.path().filename() : entry.path().stem();
      sample.name = absl::StrCat(class_name, "/", last.string());
      if (folder) {
        if (absl::Status read = ReadViews(name, &sample); !read.ok()) return read;
      } else if (IsPictureName(name)) {
        sample.views[0] = name;
      } else {
        return Bad(name, "is neither the folder of a sample nor a .png or .jpg picture");
      }
      if (any_ && folder != folders_) {
        return Bad(name, folder ? "is a folder, but samples before it are single pictures"
                                : "is a picture, but samples before it are folders of views");
      }
      any_ = true;
      folders_ = folder;
      samples_[static_cast<int>(split)].push_back(std::move(sample));
    }
    return absl::OkStatus();
  }

  // Takes what test (a fifth) and calibration (a tenth) lack out of train. By each sample's own
  // name, so that a sample stays in its split when others join; a class keeps at least one.
  absl::Status Carve() {
    std::vector<FolderSample>& train = samples_[0];
    std::map<int, int> left;
    for (const FolderSample& sample : train) ++left[sample.label];
    std::vector<std::pair<double, FolderSample*>> order;
    for (FolderSample& sample : train) order.emplace_back(Place(sample.name), &sample);
    std::sort(order.begin(), order.end());

    std::map<const FolderSample*, Split> moved;
    for (Split split : {Split::kTest, Split::kCalibration}) {
      if (has_[static_cast<int>(split)]) continue;
      const double low = split == Split::kTest ? 0 : 0.2, high = low == 0 ? 0.2 : 0.3;
      bool any = false;
      // The first pass takes those whose place is in this split; the second one at all.
      for (int pass = 0; pass < 2 && !any; ++pass) {
        for (const auto& [place, sample] : order) {
          if (pass == 0 ? place < low || place >= high : any) continue;
          if (moved.count(sample) != 0 || left[sample->label] < 2) continue;
          --left[sample->label];
          moved[sample] = split;
          any = true;
        }
      }
      if (!any) {
        return Bad(absl::StrCat(dir_, "/train"), absl::StrCat("has too few samples to take the ",
                                                              ToString(split), " split from it"));
      }
    }
    std::vector<FolderSample> kept;
    for (FolderSample& sample : train) {
      const auto to = moved.find(&sample);
      std::vector<FolderSample>& place =
          to == moved.end() ? kept : samples_[static_cast<int>(to->second)];
      place.push_back(std::move(sample));
    }
    train = std::move(kept);
    return absl::OkStatus();
  }

  static double Place(const std::string& name) {
    uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a, then mixed: names differ in their last bytes
    for (char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
    return CounterRng({kSplitSeed, hash}).Uniform(0);
  }

  const std::string dir_;
  std::vector<std::string> classes_;
  const bool given_;
  bool has_[3] = {};
  bool any_ = false, folders_ = false;
  std::array<std::vector<FolderSample>, 3> samples_;  // by Split
};

class Folder final : public Dataset {
 public:
  Folder(DatasetInfo info, std::array<std::vector<FolderSample>, 3> samples)
      : info_(std::move(info)), samples_(std::move(samples)) {}

  const DatasetInfo& info() const override { return info_; }
  int64_t size(Split split) const override {
    return static_cast<int64_t>(samples_[static_cast<int>(split)].size());
  }

  absl::Status Read(Split split, int64_t index, DatasetSample* out) const override {
    if (absl::Status inside = CheckIndex(*this, split, index); !inside.ok()) return inside;
    const FolderSample& sample = samples_[static_cast<int>(split)][index];
    const Shape shape = {info_.channels, info_.height, info_.width};
    out->pixels.assign(static_cast<size_t>(shape.size()) * info_.views, '\0');
    out->presence = 0;
    out->label = sample.label;
    out->view_labels.assign(info_.views, static_cast<int>(info_.class_names.size()));
    for (const auto& [view, path] : sample.views) {
      const absl::StatusOr<std::string> pixels = ReadPicture(path, shape);
      if (!pixels.ok()) return pixels.status();
      out->pixels.replace(static_cast<size_t>(view) * shape.size(), pixels->size(), *pixels);
      out->presence |= uint64_t{1} << view;
      out->view_labels[view] = sample.label;
    }
    return absl::OkStatus();
  }

 private:
  const DatasetInfo info_;
  const std::array<std::vector<FolderSample>, 3> samples_;  // by Split
};

absl::StatusOr<Shape> ParseSize(const DataSpec& spec, const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, 'x');
  int sizes[3] = {};
  bool good = parts.size() == 3;
  for (int i = 0; good && i < 3; ++i) {
    good = absl::SimpleAtoi(parts[i], &sizes[i]) && sizes[i] >= 1 && sizes[i] <= kMaxSide;
  }
  if (good && (sizes[0] == 1 || sizes[0] == 3)) return Shape{sizes[0], sizes[1], sizes[2]};
  return absl::InvalidArgumentError(
      absl::StrCat("data spec '", spec.text, "': size is '", text,
                   "', expected CxHxW with 1 or 3 channels and at most ", kMaxSide, " a side"));
}

absl::StatusOr<int> CountViews(const DataSpec& spec,
                               const std::array<std::vector<FolderSample>, 3>& samples) {
  int views = 0;
  std::string path;
  for (const std::vector<FolderSample>& split : samples) {
    for (const FolderSample& sample : split) {
      const auto& [view, file] = *sample.views.rbegin();
      if (view < views) continue;
      views = view + 1;
      path = file;
    }
  }
  const auto given = spec.options.find("views");
  if (given == spec.options.end()) return views;
  int wanted = 0;
  if (!absl::SimpleAtoi(given->second, &wanted) || wanted < 1 || wanted > kMaxViews) {
    return absl::InvalidArgumentError(absl::StrCat("data spec '", spec.text, "': views is '",
                                                   given->second, "', expected 1 to ", kMaxViews));
  }
  if (wanted < views) {
    return Bad(path, absl::StrCat("is view ", views - 1, ", expected 0 to ", wanted - 1));
  }
  return wanted;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Dataset>> OpenFolder(const DataSpec& spec, bool /*only_test*/) {
  absl::Status known = CheckOptions(spec, {"size", "views", "classes"});
  if (!known.ok()) return known;
  const auto option = [&spec](const char* key) {
    const auto found = spec.options.find(key);
    return found == spec.options.end() ? std::string() : found->second;
  };
  std::vector<std::string> classes;
  if (!option("classes").empty()) classes = absl::StrSplit(option("classes"), ',');
  FolderReader reader(spec.argument, std::move(classes));
  if (absl::Status read = reader.Read(); !read.ok()) return read;
  std::array<std::vector<FolderSample>, 3> samples = reader.TakeSamples();

  const absl::StatusOr<Shape> shape =
      option("size").empty() ? ReadPictureShape(samples[0].front().views.begin()->second)
                             : ParseSize(spec, option("size"));
  if (!shape.ok()) return shape.status();
  const absl::StatusOr<int> views = CountViews(spec, samples);
  if (!views.ok()) return views.status();
  DatasetInfo info;
  info.spec = spec.text;
  info.views = *views;
  info.channels = shape->channels;
  info.height = shape->height;
  info.width = shape->width;
  info.class_names = reader.classes();
  if (info.class_names.size() < 2) {
    return Bad(absl::StrCat(spec.argument, "/train"),
               absl::StrCat("has ", info.class_names.size(), " class, expected at least 2"));
  }
  return std::unique_ptr<Dataset>(new Folder(std::move(info), std::move(samples)));
}

}  // namespace ddnn

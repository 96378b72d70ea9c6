#include "datasets/item_set.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "datasets/split_pictures.h"

namespace ddnn {
namespace {

constexpr char kFashionFolder[] = "/usr/share/datasets/fashion-mnist";

absl::StatusOr<std::string> FindFile(const std::string& dir, const std::string& name,
                                     const std::string& hint) {
  for (const std::string& candidate :
       {absl::StrCat(dir, "/", name), absl::StrCat(dir, "/", name, ".gz")}) {
    std::error_code error;
    if (std::filesystem::exists(candidate, error)) return candidate;
  }
  std::error_code error;
  const char* found = "has no such files";
  if (!std::filesystem::is_directory(dir, error)) {
    found = "is not a folder";
  } else if (std::filesystem::is_empty(dir, error)) {
    found = "is empty";
  }
  return absl::NotFoundError(absl::StrCat(dir, ": ", found, ", expected ", name, " or ", name,
                                          ".gz in it", hint.empty() ? "" : "; ", hint));
}

std::string MnistFolder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] != '\0') return absl::StrCat(cache, "/ddnn/mnist");
  const char* home = std::getenv("HOME");
  return absl::StrCat(home == nullptr ? "" : home, "/.cache/ddnn/mnist");
}

}  // namespace

absl::StatusOr<ItemSet::File> ItemSet::ReadPair(const std::string& dir, const std::string& prefix,
                                                int classes, const std::string& hint, bool hold) {
  const absl::StatusOr<std::string> images =
      FindFile(dir, absl::StrCat(prefix, "-images-idx3-ubyte"), hint);
  if (!images.ok()) return images.status();
  const absl::StatusOr<std::string> labels =
      FindFile(dir, absl::StrCat(prefix, "-labels-idx1-ubyte"), hint);
  if (!labels.ok()) return labels.status();

  File file;
  int64_t pictures = 0;
  if (hold) {
    absl::StatusOr<IdxArray> array = ReadIdx(*images, {-1, kSide, kSide});
    if (!array.ok()) return array.status();
    file.images = *std::move(array);
    pictures = file.images.dims[0];
  } else {
    absl::StatusOr<std::unique_ptr<IdxRows>> rows = IdxRows::Open(*images, {kSide, kSide});
    if (!rows.ok()) return rows.status();
    file.rows = *std::move(rows);
    pictures = file.rows->count();
  }
  absl::StatusOr<IdxArray> array = ReadIdx(*labels, {-1});
  if (!array.ok()) return array.status();
  file.labels = *std::move(array);
  if (pictures != file.labels.dims[0]) {
    return absl::InvalidArgumentError(absl::StrCat(*labels, ": has ", file.labels.dims[0],
                                                   " labels, expected ", pictures,
                                                   " as there are pictures in ", *images));
  }
  for (size_t i = 0; i < file.labels.bytes.size(); ++i) {
    const int label = static_cast<uint8_t>(file.labels.bytes[i]);
    if (label >= classes) {
      return absl::InvalidArgumentError(absl::StrCat(*labels, ": label of item ", i, " is ", label,
                                                     ", expected 0 to ", classes - 1));
    }
  }
  return file;
}

absl::StatusOr<std::shared_ptr<const ItemSet>> ItemSet::Open(const std::string& dir,
                                                             std::vector<std::string> class_names,
                                                             const std::string& hint,
                                                             bool only_test) {
  auto set = std::make_shared<ItemSet>();
  set->class_names_ = std::move(class_names);
  const int classes = static_cast<int>(set->class_names_.size());
  absl::StatusOr<File> file = ReadPair(dir, "t10k", classes, hint, /*hold=*/!only_test);
  if (!file.ok()) return file.status();
  set->test_ = *std::move(file);
  if (!only_test) {
    file = ReadPair(dir, "train", classes, hint, /*hold=*/true);
    if (!file.ok()) return file.status();
    set->train_ = *std::move(file);
  }
  if (only_test) {
    std::vector<uint32_t>& all = set->members_[static_cast<int>(Split::kTest)];
    all.resize(set->test_.labels.bytes.size());
    std::iota(all.begin(), all.end(), 0);
    return set;
  }
  const auto rows = [](const File& from) {
    return PictureRows{reinterpret_cast<const uint8_t*>(from.images.bytes.data()), kSide * kSide,
                       kSide * kSide, static_cast<int64_t>(from.labels.bytes.size())};
  };
  set->members_ = SplitPictures(rows(set->train_), rows(set->test_));
  if (set->size(Split::kTrain) == 0 || set->size(Split::kCalibration) == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        dir, ": of ", set->train_.labels.bytes.size(), " training items too few differ from the ",
        "test items to make a train and a calibration split"));
  }
  return set;
}

absl::StatusOr<Item> ItemSet::Get(Split split, int64_t index) const {
  const bool test = split == Split::kTest;
  const File& file = test ? test_ : train_;
  const uint32_t at = Members(split)[index];
  Item item;
  if (file.rows == nullptr) {
    std::memcpy(item.pixels.data(), &file.images.bytes[size_t{at} * item.pixels.size()],
                item.pixels.size());
  } else {
    std::lock_guard<std::mutex> lock(reading_);
    if (absl::Status read = file.rows->Read(at, item.pixels.data()); !read.ok()) return read;
  }
  item.label = static_cast<uint8_t>(file.labels.bytes[at]);
  item.key = (test ? uint64_t{1} << 32 : 0) | at;
  return item;
}

absl::StatusOr<std::shared_ptr<const ItemSet>> OpenItems(const std::string& name,
                                                         const std::string& dir, bool only_test) {
  if (name == "fashion-mnist") {
    // Without slashes, so that the names can be folders.
    return ItemSet::Open(dir.empty() ? kFashionFolder : dir,
                         {"t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt",
                          "sneaker", "bag", "ankle-boot"},
                         dir.empty() ? "install Debian's package dataset-fashion-mnist" : "",
                         only_test);
  }
  if (name == "mnist") {
    return ItemSet::Open(dir.empty() ? MnistFolder() : dir,
                         {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
                         dir.empty() ? "run tools/fetch_mnist.sh" : "", only_test);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", name, "' is not a set of items: expected fashion-mnist or mnist"));
}

}  // namespace ddnn

// CIFAR-10 in its original binary files: records of one label byte and three planes (red, green,
// blue) of 32x32 bytes. https://www.cs.toronto.edu/~kriz/cifar.html
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "datasets/idx.h"
#include "datasets/loaders.h"
#include "datasets/split_pictures.h"

namespace ddnn {
namespace {

constexpr int kSide = 32, kChannels = 3, kClasses = 10, kBatches = 5;
constexpr int64_t kPictureBytes = kChannels * kSide * kSide;
constexpr int64_t kRecordBytes = 1 + kPictureBytes;
constexpr int64_t kMaxRecords = 10000;  // in the original, every file has so many
constexpr int64_t kMaxNamesBytes = 4096;
constexpr char kNamesFile[] = "batches.meta.txt";

absl::Status Bad(const std::string& path, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

absl::Status Missing(const std::string& dir, const std::string& name) {
  std::error_code error;
  return absl::NotFoundError(absl::StrCat(
      dir, ": ",
      std::filesystem::is_directory(dir, error) ? "has no file " : "is not a folder with ", name,
      "; expected CIFAR-10's data_batch_1.bin to data_batch_5.bin and test_batch.bin in it ",
      "(the folder cifar-10-batches-bin of cifar-10-binary.tar.gz, which is not downloaded for "
      "you)"));
}

absl::StatusOr<int64_t> CountRecords(const std::string& path) {
  std::error_code error;
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path, error));
  if (error) return absl::UnavailableError(absl::StrCat(path, ": ", error.message()));
  if (size == 0) return Bad(path, "is empty");
  if (size % kRecordBytes != 0 || size > kMaxRecords * kRecordBytes) {
    return Bad(path,
               absl::StrCat("has ", size, " bytes, expected 1 to ", kMaxRecords, " records of ",
                            kRecordBytes, size % kRecordBytes == 0 ? "" : "; is it truncated?"));
  }
  return size / kRecordBytes;
}

// Appends `records` records to `out` and checks their labels.
absl::Status ReadRecords(const std::string& path, int64_t records, std::string* out) {
  const size_t at = out->size(), size = static_cast<size_t>(records * kRecordBytes);
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                       &std::fclose);
  if (file == nullptr) {
    return absl::UnavailableError(absl::StrCat(path, ": ", std::strerror(errno)));
  }
  out->resize(at + size);
  const size_t got = std::fread(&(*out)[at], 1, size, file.get());
  if (got != size) {
    return absl::UnavailableError(
        absl::StrCat(path, ": only ", got, " of ", size, " bytes could be read"));
  }
  for (int64_t i = 0; i < records; ++i) {
    const int label = static_cast<uint8_t>((*out)[at + i * kRecordBytes]);
    if (label >= kClasses) {
      return Bad(path, absl::StrCat("label of record ", i, " (of ", records, ", from 0) is ", label,
                                    ", expected 0 to ", kClasses - 1));
    }
  }
  return absl::OkStatus();
}

// Several files, one behind the other. All have as many records as the first: in the original they
// do, and a download that broke off between two records would not be noticed otherwise.
absl::StatusOr<std::string> ReadFiles(const std::string& dir,
                                      const std::vector<std::string>& names) {
  std::vector<int64_t> counts;
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(dir, "/", name);
    std::error_code error;
    if (!std::filesystem::exists(path, error)) return Missing(dir, name);
    const absl::StatusOr<int64_t> count = CountRecords(path);
    if (!count.ok()) return count.status();
    if (!counts.empty() && *count != counts[0]) {
      return Bad(path, absl::StrCat("has ", *count, " records, expected ", counts[0], " as ",
                                    names[0], " has; is it truncated?"));
    }
    counts.push_back(*count);
  }
  std::string bytes;
  bytes.reserve(counts.size() * static_cast<size_t>(counts[0] * kRecordBytes));
  for (size_t i = 0; i < names.size(); ++i) {
    const absl::Status read = ReadRecords(absl::StrCat(dir, "/", names[i]), counts[i], &bytes);
    if (!read.ok()) return read;
  }
  return bytes;
}

absl::StatusOr<std::vector<std::string>> ReadClassNames(const std::string& dir) {
  const std::string path = absl::StrCat(dir, "/", kNamesFile);
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return std::vector<std::string>{"airplane", "automobile", "bird",  "cat",  "deer",
                                    "dog",      "frog",       "horse", "ship", "truck"};
  }
  const absl::StatusOr<std::string> text = ReadFileMaybeGzip(path, kMaxNamesBytes);
  if (!text.ok()) return text.status();
  std::vector<std::string> names;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    std::string name(absl::StripAsciiWhitespace(line));
    if (name.empty()) continue;
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      return Bad(path, absl::StrCat("names class '", name, "' twice"));
    }
    names.push_back(std::move(name));
  }
  if (names.size() != kClasses) {
    return Bad(path, absl::StrCat("names ", names.size(), " classes, expected ", kClasses,
                                  ", one a line"));
  }
  return names;
}

class Cifar10 final : public Dataset {
 public:
  Cifar10(DatasetInfo info, std::string train, std::string test)
      : info_(std::move(info)),
        train_(std::move(train)),
        test_(std::move(test)),
        members_(SplitPictures(Rows(train_), Rows(test_))) {}

  const DatasetInfo& info() const override { return info_; }
  int64_t size(Split split) const override {
    return static_cast<int64_t>(members_[static_cast<int>(split)].size());
  }

  absl::Status Read(Split split, int64_t index, DatasetSample* sample) const override {
    if (absl::Status inside = CheckIndex(*this, split, index); !inside.ok()) return inside;
    const std::string& file = split == Split::kTest ? test_ : train_;
    const size_t at = members_[static_cast<int>(split)][index] * size_t{kRecordBytes};
    sample->label = static_cast<uint8_t>(file[at]);
    sample->pixels.assign(file, at + 1, kPictureBytes);
    sample->presence = 1;
    sample->view_labels.assign(1, sample->label);
    return absl::OkStatus();
  }

 private:
  static PictureRows Rows(const std::string& file) {
    // Behind the label of the first record.
    return {reinterpret_cast<const uint8_t*>(file.data()) + 1, kPictureBytes, kRecordBytes,
            static_cast<int64_t>(file.size()) / kRecordBytes};
  }

  const DatasetInfo info_;
  const std::string train_, test_;  // records
  const std::array<std::vector<uint32_t>, 3> members_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Dataset>> OpenCifar10(const DataSpec& spec, bool only_test) {
  if (absl::Status known = CheckOptions(spec, {}); !known.ok()) return known;
  if (spec.argument.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("data spec '", spec.text, "': expected cifar10:DIR, the folder with ",
                     "CIFAR-10's data_batch_1.bin to data_batch_5.bin and test_batch.bin"));
  }
  absl::StatusOr<std::vector<std::string>> names = ReadClassNames(spec.argument);
  if (!names.ok()) return names.status();
  absl::StatusOr<std::string> test = ReadFiles(spec.argument, {"test_batch.bin"});
  if (!test.ok()) return test.status();
  absl::StatusOr<std::string> train = std::string();
  if (!only_test) {
    std::vector<std::string> files;
    for (int i = 1; i <= kBatches; ++i) files.push_back(absl::StrCat("data_batch_", i, ".bin"));
    train = ReadFiles(spec.argument, files);
    if (!train.ok()) return train.status();
  }
  DatasetInfo info;
  info.spec = spec.text;
  info.views = 1;
  info.channels = kChannels;
  info.height = kSide;
  info.width = kSide;
  info.class_names = *std::move(names);
  auto set = std::make_unique<Cifar10>(std::move(info), *std::move(train), *std::move(test));
  if (!only_test && (set->size(Split::kTrain) == 0 || set->size(Split::kCalibration) == 0)) {
    return Bad(spec.argument,
               "too few training pictures differ from the test pictures to make a "
               "train and a calibration split");
  }
  return std::unique_ptr<Dataset>(std::move(set));
}

}  // namespace ddnn

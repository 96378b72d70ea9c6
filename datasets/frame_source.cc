#include "datasets/frame_source.h"

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "datasets/data_spec.h"
#include "datasets/dataset.h"
#include "datasets/loaders.h"
#include "datasets/pictures.h"

namespace ddnn {
namespace {

class DatasetSource final : public FrameSource {
 public:
  DatasetSource(std::unique_ptr<Dataset> dataset, int view)
      : dataset_(std::move(dataset)), view_(view) {}

  absl::StatusOr<Frame> Next() override {
    DatasetSample sample;
    absl::Status read = dataset_->Read(Split::kTest, next_, &sample);
    if (absl::IsOutOfRange(read)) {
      return absl::OutOfRangeError(
          absl::StrCat(dataset_->info().spec, ": all ", next_, " test samples are through"));
    }
    Frame frame;
    frame.sequence = next_++;
    if (!read.ok()) return read;
    frame.absent = (sample.presence >> view_ & 1) == 0;
    const size_t size = sample.pixels.size() / dataset_->info().views;
    if (!frame.absent) frame.pixels = sample.pixels.substr(view_ * size, size);
    return frame;
  }
  bool live() const override { return false; }

 private:
  std::unique_ptr<Dataset> dataset_;
  const int view_;
  uint64_t next_ = 0;
};

class PictureSource final : public FrameSource {
 public:
  PictureSource(std::string dir, std::vector<std::string> paths, const Shape& shape)
      : dir_(std::move(dir)), paths_(std::move(paths)), shape_(shape) {}

  absl::StatusOr<Frame> Next() override {
    if (next_ >= paths_.size()) {
      return absl::OutOfRangeError(absl::StrCat(dir_, ": all ", next_, " pictures are through"));
    }
    Frame frame;
    frame.sequence = next_++;
    absl::StatusOr<std::string> pixels = ReadPicture(paths_[frame.sequence], shape_);
    if (!pixels.ok()) return pixels.status();
    frame.pixels = *std::move(pixels);
    return frame;
  }
  bool live() const override { return false; }

 private:
  const std::string dir_;
  const std::vector<std::string> paths_;
  const Shape shape_;
  uint64_t next_ = 0;
};

class VideoSource final : public FrameSource {
 public:
  VideoSource(std::unique_ptr<VideoReader> reader, bool live)
      : reader_(std::move(reader)), live_(live) {}

  absl::StatusOr<Frame> Next() override {
    absl::StatusOr<std::string> pixels = reader_->Next();
    if (!pixels.ok()) return pixels.status();
    Frame frame;
    frame.sequence = next_++;
    frame.pixels = *std::move(pixels);
    return frame;
  }
  bool live() const override { return live_; }

 private:
  std::unique_ptr<VideoReader> reader_;
  const bool live_;
  uint64_t next_ = 0;
};

absl::StatusOr<std::unique_ptr<FrameSource>> OpenDatasetSource(const DataSpec& spec, int view,
                                                               const Shape& shape) {
  absl::StatusOr<std::unique_ptr<Dataset>> dataset = OpenDatasetSplits(spec, /*only_test=*/true);
  if (!dataset.ok()) return dataset.status();
  const DatasetInfo& info = (*dataset)->info();
  const Shape found = {info.channels, info.height, info.width};
  if (!(found == shape) || view < 0 || view >= info.views) {
    return absl::InvalidArgumentError(
        absl::StrCat("source '", spec.text, "' has ", info.views, " views of ", ToString(found),
                     ", expected view ", view, " of ", ToString(shape)));
  }
  return std::unique_ptr<FrameSource>(new DatasetSource(*std::move(dataset), view));
}

absl::StatusOr<std::unique_ptr<FrameSource>> OpenPictures(const DataSpec& spec,
                                                          const Shape& shape) {
  std::error_code error;
  std::filesystem::directory_iterator entries(spec.argument, error);
  if (error) {
    return absl::NotFoundError(
        absl::StrCat(spec.argument, ": is not a readable folder: ", error.message()));
  }
  std::vector<std::string> paths;
  bool empty = true;
  for (const auto& entry : entries) {
    empty = false;
    if (IsPictureName(entry.path().string())) paths.push_back(entry.path().string());
  }
  if (paths.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(spec.argument,
                                                   empty ? ": is empty" : ": has no such files",
                                                   ", expected .png or .jpg pictures in it"));
  }
  std::sort(paths.begin(), paths.end());
  // A source that cannot start should say so now, not at its first frame.
  if (absl::StatusOr<std::string> first = ReadPicture(paths[0], shape); !first.ok()) {
    return first.status();
  }
  return std::unique_ptr<FrameSource>(new PictureSource(spec.argument, std::move(paths), shape));
}

}  // namespace

absl::StatusOr<std::unique_ptr<FrameSource>> OpenFrameSource(const std::string& text, int view,
                                                             const Shape& shape) {
  const absl::StatusOr<DataSpec> spec = ParseDataSpec(text);
  if (!spec.ok()) return spec.status();
  if (IsDatasetKind(spec->kind)) return OpenDatasetSource(*spec, view, shape);
  if (spec->kind != "images" && spec->kind != "video" && spec->kind != "camera") {
    return absl::InvalidArgumentError(
        absl::StrCat("source '", text, "' is of no known kind; expected ", DatasetForms(),
                     ", images:DIR, video:FILE, or camera:N"));
  }
  if (absl::Status known = CheckOptions(*spec, {}); !known.ok()) return known;
  if (spec->kind == "images") return OpenPictures(*spec, shape);
  const bool live = spec->kind == "camera";
  int number = 0;
  if (live && (!absl::SimpleAtoi(spec->argument, &number) || number < 0 || number > 1023)) {
    return absl::InvalidArgumentError(
        absl::StrCat("source '", text, "': expected camera:N with N from 0 to 1023"));
  }
  absl::StatusOr<std::unique_ptr<VideoReader>> reader =
      live ? VideoReader::OpenCamera(number, shape) : VideoReader::OpenFile(spec->argument, shape);
  if (!reader.ok()) return reader.status();
  return std::unique_ptr<FrameSource>(new VideoSource(*std::move(reader), live));
}

}  // namespace ddnn

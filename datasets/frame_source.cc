#include "datasets/frame_source.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "datasets/data_spec.h"
#include "datasets/dataset.h"
#include "datasets/live_source.h"
#include "datasets/loaders.h"
#include "datasets/picture_library.h"
#include "datasets/pictures.h"
#include "datasets/video_reader.h"
#include "datasets/watched_folder.h"

namespace ddnn {
namespace {

constexpr double kMaxLiveRate = 1000;

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
  PictureSource(std::string dir, std::vector<std::string> paths, const Shape& shape,
                const Framing& framing)
      : dir_(std::move(dir)), paths_(std::move(paths)), shape_(shape), framing_(framing) {}

  absl::StatusOr<Frame> Next() override {
    if (next_ >= paths_.size()) {
      return absl::OutOfRangeError(absl::StrCat(dir_, ": all ", next_, " pictures are through"));
    }
    Frame frame;
    frame.sequence = next_++;
    absl::StatusOr<std::string> pixels = ReadPicture(paths_[frame.sequence], shape_, framing_);
    if (!pixels.ok()) return pixels.status();
    frame.pixels = *std::move(pixels);
    return frame;
  }
  bool live() const override { return false; }

 private:
  const std::string dir_;
  const std::vector<std::string> paths_;
  const Shape shape_;
  const Framing framing_;
  uint64_t next_ = 0;
};

class VideoSource final : public FrameSource {
 public:
  explicit VideoSource(std::unique_ptr<VideoReader> reader) : reader_(std::move(reader)) {}

  absl::StatusOr<Frame> Next() override {
    if (absl::Status status = reader_->Grab(); !status.ok()) return status;
    absl::StatusOr<std::string> pixels = reader_->Retrieve();
    if (!pixels.ok()) return pixels.status();
    Frame frame;
    frame.sequence = next_++;
    frame.pixels = *std::move(pixels);
    return frame;
  }
  bool live() const override { return false; }

 private:
  std::unique_ptr<VideoReader> reader_;
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

absl::StatusOr<std::unique_ptr<FrameSource>> OpenPictures(const DataSpec& spec, const Shape& shape,
                                                          const Framing& framing) {
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
  if (absl::StatusOr<std::string> first = ReadPicture(paths[0], shape, framing); !first.ok()) {
    return first.status();
  }
  return std::unique_ptr<FrameSource>(
      new PictureSource(spec.argument, std::move(paths), shape, framing));
}

absl::Status BadSource(const std::string& text, const std::string& expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("source '", ShownUrl(text), "': expected ", expected));
}

bool IsUrl(const std::string& text) {
  for (const char* scheme : {"rtsp://", "rtsps://", "http://", "https://"}) {
    if (absl::StartsWith(text, scheme)) return true;
  }
  return false;
}

// "N" or a path, as camera:... has it.
absl::StatusOr<std::string> CameraPath(const DataSpec& spec) {
  if (absl::StartsWith(spec.argument, "/")) return spec.argument;
  int number = 0;
  if (!absl::SimpleAtoi(spec.argument, &number) || number < 0 || number > 1023) {
    return BadSource(spec.text, "camera:N with N from 0 to 1023, or camera:/dev/NAME");
  }
  return absl::StrCat("/dev/video", number);
}

absl::StatusOr<std::unique_ptr<FrameSource>> StartLive(LiveSource::Opener open, std::string name,
                                                       const SourceOptions& options, bool paced) {
  // Tried again would be what is not there yet; what is not installed never comes.
  const absl::StatusOr<PictureLibrary*> library = LoadPictureLibrary();
  if (!library.ok()) return library.status();
  const double rate = options.rate > 0 ? options.rate : kLiveRate;
  if (rate > kMaxLiveRate) {
    return absl::InvalidArgumentError(
        absl::StrCat("--rate ", rate, ": a live source has at most ", kMaxLiveRate));
  }
  LiveSource::Options live;
  live.seed = std::hash<std::string>()(name) + std::random_device()();
  live.name = std::move(name);
  live.period = absl::Seconds(1 / rate);
  live.paced = paced;
  live.say = options.say;
  return std::unique_ptr<FrameSource>(new LiveSource(std::move(open), std::move(live)));
}

absl::StatusOr<std::unique_ptr<FrameSource>> StartVideo(const VideoRequest& request,
                                                        const SourceOptions& options) {
  return StartLive([request] { return VideoReader::Open(request); }, ShownUrl(request.address),
                   options, /*paced=*/request.kind == VideoRequest::Kind::kFile);
}

absl::StatusOr<std::unique_ptr<FrameSource>> StartWatching(const DataSpec& spec, const Shape& shape,
                                                           const SourceOptions& options) {
  std::error_code error;
  if (!std::filesystem::is_directory(spec.argument, error)) {
    return absl::NotFoundError(absl::StrCat(spec.argument, ": is not a folder"));
  }
  auto open = [path = spec.argument, shape, framing = options.framing] {
    return WatchFolder(path, shape, framing);
  };
  return StartLive(std::move(open), spec.argument, options, /*paced=*/false);
}

absl::StatusOr<std::unique_ptr<FrameSource>> OpenVideo(const DataSpec& spec, VideoRequest request,
                                                       const SourceOptions& options) {
  if (absl::Status known = CheckOptions(spec, {"live"}); !known.ok()) return known;
  bool live = false;
  const auto found = spec.options.find("live");
  if (found != spec.options.end() && !absl::SimpleAtob(found->second, &live)) {
    return BadSource(spec.text, "live=true or live=false");
  }
  request.kind = VideoRequest::Kind::kFile;
  request.address = spec.argument;
  // A live one as well: a file that is missing or none at the start is a mistake.
  absl::StatusOr<std::unique_ptr<VideoReader>> reader = VideoReader::Open(request);
  if (!reader.ok()) return reader.status();
  if (live) return StartVideo(request, options);
  return std::unique_ptr<FrameSource>(new VideoSource(*std::move(reader)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<FrameSource>> OpenFrameSource(const std::string& text, int view,
                                                             const Shape& shape,
                                                             const SourceOptions& options) {
  VideoRequest request;
  request.shape = shape;
  request.framing = options.framing;
  if (IsUrl(text)) {
    request.kind = VideoRequest::Kind::kUrl;
    request.address = text;
    const std::string rest = text.substr(text.find("://") + 3);
    if (rest.empty() || rest[0] == '/') return BadSource(text, "a host behind ://");
    if (absl::Status status = CheckPictureShape(shape); !status.ok()) return status;
    return StartVideo(request, options);
  }
  const absl::StatusOr<DataSpec> spec = ParseDataSpec(text);
  if (!spec.ok()) return spec.status();
  if (IsDatasetKind(spec->kind)) {
    if (options.framing.is_default()) return OpenDatasetSource(*spec, view, shape);
    return absl::InvalidArgumentError(absl::StrCat("--roi and --resize do not apply to '", text,
                                                   "': a dataset has pictures of one size"));
  }
  if (spec->kind == "video") return OpenVideo(*spec, request, options);
  if (spec->kind != "images" && spec->kind != "camera" && spec->kind != "watch") {
    return absl::InvalidArgumentError(
        absl::StrCat("source '", ShownUrl(text), "' is of no known kind; expected ", DatasetForms(),
                     ", images:DIR, watch:DIR, video:FILE, camera:N, rtsp://..., or http://..."));
  }
  if (absl::Status known = CheckOptions(*spec, {}); !known.ok()) return known;
  if (absl::Status status = CheckPictureShape(shape); !status.ok()) return status;
  if (spec->kind == "images") return OpenPictures(*spec, shape, options.framing);
  if (spec->kind == "watch") return StartWatching(*spec, shape, options);
  absl::StatusOr<std::string> path = CameraPath(*spec);
  if (!path.ok()) return path.status();
  request.kind = VideoRequest::Kind::kCamera;
  request.address = *std::move(path);
  return StartVideo(request, options);
}

}  // namespace ddnn

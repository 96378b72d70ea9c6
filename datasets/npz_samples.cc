#include "datasets/npz_samples.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace ddnn {
namespace {

constexpr int64_t kMaxPixels = int64_t{1} << 32;
constexpr int kMaxSide = 4096, kMaxChannels = 64, kMaxViews = 64;
constexpr int64_t kChunk = 1 << 12;

absl::Status Bad(const std::string& origin, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(origin, ": ", what));
}

}  // namespace

absl::StatusOr<NpzSamples> NpzSamples::Open(const std::string& path, bool hold) {
  NpzSamples out(path);
  if (absl::Status opened = out.Restart(); !opened.ok()) return opened;
  if (absl::Status checked = out.CheckPixels(); !checked.ok()) return checked;
  const std::vector<int64_t>& shape = out.array_->header().shape;
  out.views = static_cast<int>(shape[1]);
  out.channels = static_cast<int>(shape[2]);
  out.height = static_cast<int>(shape[3]);
  out.width = static_cast<int>(shape[4]);
  for (int64_t i = 0; hold && i < shape[0]; ++i) {
    if (absl::Status read = out.ReadNext(&out.held_); !read.ok()) return read;
  }
  if (absl::Status read = out.ReadLabels(); !read.ok()) return read;
  if (hold) {
    out.array_.reset();
    out.file_.reset();
  }
  return out;
}

absl::Status NpzSamples::Restart() {
  array_.reset();
  absl::StatusOr<NpzFile> file = NpzFile::Open(path_);
  if (!file.ok()) return file.status();
  file_ = std::make_unique<NpzFile>(*std::move(file));
  absl::StatusOr<NpzArray> array = file_->OpenArray("X");
  if (!array.ok()) return array.status();
  array_ = std::make_unique<NpzArray>(*std::move(array));
  next_ = 0;
  return absl::OkStatus();
}

absl::Status NpzSamples::CheckPixels() const {
  const std::vector<int64_t>& shape = array_->header().shape;
  const std::string& type = array_->header().type;
  if (array_->element_bytes() != 1 && type != "<f4") {
    return Bad(array_->origin(), absl::StrCat("has type '", type, "', expected float32 or uint8"));
  }
  if (shape.size() != 5 || shape[0] < 1 || shape[1] < 1 || shape[1] > kMaxViews || shape[2] < 1 ||
      shape[2] > kMaxChannels || shape[3] < 1 || shape[3] > kMaxSide || shape[4] < 1 ||
      shape[4] > kMaxSide || array_->elements() > kMaxPixels) {
    return Bad(array_->origin(), absl::StrCat("has shape (", absl::StrJoin(shape, ", "),
                                              "), expected (samples, up to ", kMaxViews,
                                              " views, channels, height, width)"));
  }
  return absl::OkStatus();
}

absl::Status NpzSamples::ReadLabels() {
  absl::StatusOr<NpzArray> array = file_->OpenArray("y");
  if (!array.ok()) return array.status();
  const std::vector<int64_t>& shape = array->header().shape;
  const std::string& type = array->header().type;
  if (type != "<i4" && type != "<i8") {
    return Bad(array->origin(), absl::StrCat("has type '", type, "', expected int32 or int64"));
  }
  const int64_t samples = array_->header().shape[0];
  if (shape != std::vector<int64_t>{samples, views}) {
    return Bad(array->origin(),
               absl::StrCat("has shape (", absl::StrJoin(shape, ", "), "), expected (", samples,
                            ", ", views, ") as X has it"));
  }
  for (int64_t i = 0; i < array->elements(); ++i) {
    int64_t wide = 0;
    int32_t narrow = 0;
    absl::Status read =
        type == "<i4" ? array->Read(&narrow, sizeof(narrow)) : array->Read(&wide, sizeof(wide));
    if (!read.ok()) return read;
    const int64_t label = type == "<i4" ? narrow : wide;
    if (label < 0 || label > kMaxLabel) {
      return Bad(array->origin(),
                 absl::StrCat("sample ", i / views, ", view ", i % views, " has label ", label,
                              ", expected 0 to ", kMaxLabel));
    }
    labels_.push_back(static_cast<int32_t>(label));
  }
  return array->Finish();
}

int NpzSamples::largest_label() const { return *std::max_element(labels_.begin(), labels_.end()); }

// Appends the next sample.
absl::Status NpzSamples::ReadNext(std::vector<uint8_t>* pixels) {
  const bool bytes = array_->element_bytes() == 1;
  uint8_t chunk[kChunk];
  float floats[kChunk];
  for (int64_t left = views * view_size(); left > 0;) {
    const int64_t count = std::min(kChunk, left);
    absl::Status read =
        bytes ? array_->Read(chunk, count) : array_->Read(floats, count * sizeof(float));
    if (!read.ok()) return read;
    for (int64_t i = 0; !bytes && i < count; ++i) {
      if (!(floats[i] >= 0 && floats[i] <= 1)) {
        return Bad(array_->origin(), absl::StrCat("sample ", next_, " has a pixel of ", floats[i],
                                                  ", expected 0 to 1"));
      }
      chunk[i] = static_cast<uint8_t>(floats[i] * 255.0f + 0.5f);
    }
    pixels->insert(pixels->end(), chunk, chunk + count);
    left -= count;
  }
  return ++next_ < array_->header().shape[0] ? absl::OkStatus() : array_->Finish();
}

absl::Status NpzSamples::Read(int64_t sample, std::vector<uint8_t>* pixels) {
  pixels->clear();
  if (array_ == nullptr) {
    const size_t size = views * view_size();
    pixels->insert(pixels->end(), held_.begin() + sample * size,
                   held_.begin() + (sample + 1) * size);
    return absl::OkStatus();
  }
  if (sample < next_) {
    const std::vector<int64_t> shape = array_->header().shape;
    if (absl::Status opened = Restart(); !opened.ok()) return opened;
    if (array_->header().shape != shape || !CheckPixels().ok()) {
      return Bad(path_, "has changed while it was read");
    }
  }
  do {
    pixels->clear();
    if (absl::Status read = ReadNext(pixels); !read.ok()) return read;
  } while (next_ <= sample);
  return absl::OkStatus();
}

}  // namespace ddnn

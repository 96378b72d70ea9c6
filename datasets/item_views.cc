// Datasets made of views of an ItemSet: plain, through simulated cameras, cut into a grid.
#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "datasets/camera_rig.h"
#include "datasets/item_set.h"
#include "datasets/loaders.h"

namespace ddnn {
namespace {

constexpr int kSide = ItemSet::kSide;

// Everything but what the views look like.
class ItemViews : public Dataset {
 public:
  ItemViews(std::shared_ptr<const ItemSet> items, const DataSpec& spec, int views, int height,
            int width)
      : items_(std::move(items)) {
    info_.spec = spec.text;
    info_.views = views;
    info_.channels = 1;
    info_.height = height;
    info_.width = width;
    info_.class_names = items_->class_names();
  }

  const DatasetInfo& info() const override { return info_; }
  int64_t size(Split split) const override { return items_->size(split); }

  absl::Status Read(Split split, int64_t index, DatasetSample* sample) const override {
    if (absl::Status inside = CheckIndex(*this, split, index); !inside.ok()) return inside;
    const absl::StatusOr<Item> got = items_->Get(split, index);
    if (!got.ok()) return got.status();
    const Item& item = *got;
    const int view_size = info_.height * info_.width;
    sample->pixels.assign(static_cast<size_t>(info_.views) * view_size, '\0');
    sample->presence = Presence(item);
    sample->label = item.label;
    sample->view_labels.assign(info_.views, static_cast<int>(info_.class_names.size()));
    for (int v = 0; v < info_.views; ++v) {
      if ((sample->presence >> v & 1) == 0) continue;
      sample->view_labels[v] = item.label;
      Render(item, v, reinterpret_cast<uint8_t*>(&sample->pixels[v * view_size]));
    }
    return absl::OkStatus();
  }

 protected:
  virtual uint64_t Presence(const Item& item) const = 0;
  /// Writes [height, width] pixels over zeros.
  virtual void Render(const Item& item, int view, uint8_t* pixels) const = 0;

 private:
  std::shared_ptr<const ItemSet> items_;
  DatasetInfo info_;
};

class PlainItems final : public ItemViews {
 public:
  static constexpr int kPad = 2;
  static constexpr int kPaddedSide = kSide + 2 * kPad;

  PlainItems(std::shared_ptr<const ItemSet> items, const DataSpec& spec)
      : ItemViews(std::move(items), spec, 1, kPaddedSide, kPaddedSide) {}

 protected:
  uint64_t Presence(const Item&) const override { return 1; }
  void Render(const Item& item, int, uint8_t* pixels) const override {
    for (int y = 0; y < kSide; ++y) {
      std::copy_n(&item.pixels[y * kSide], kSide, pixels + (y + kPad) * kPaddedSide + kPad);
    }
  }
};

class SixCameras final : public ItemViews {
 public:
  SixCameras(std::shared_ptr<const ItemSet> items, const DataSpec& spec, CameraRig rig)
      : ItemViews(std::move(items), spec, rig.cameras(), CameraRig::kViewSide,
                  CameraRig::kViewSide),
        rig_(std::move(rig)) {}

 protected:
  uint64_t Presence(const Item& item) const override { return rig_.Presence(item.key); }
  void Render(const Item& item, int view, uint8_t* pixels) const override {
    rig_.Render(item.pixels.data(), item.key, view, pixels);
  }

 private:
  static_assert(CameraRig::kItemSide == kSide, "cameras look at items");
  const CameraRig rig_;
};

// 28x28 -> 30x32 (one row above and below, two columns on each side) -> 3x2 tiles.
class Grid final : public ItemViews {
 public:
  static constexpr int kRows = 3, kColumns = 2, kTileHeight = 10, kTileWidth = 16;
  static constexpr int kPadY = (kRows * kTileHeight - kSide) / 2;
  static constexpr int kPadX = (kColumns * kTileWidth - kSide) / 2;

  Grid(std::shared_ptr<const ItemSet> items, const DataSpec& spec)
      : ItemViews(std::move(items), spec, kRows * kColumns, kTileHeight, kTileWidth) {}

 protected:
  uint64_t Presence(const Item&) const override { return (1 << kRows * kColumns) - 1; }
  void Render(const Item& item, int view, uint8_t* pixels) const override {
    const int top = view / kColumns * kTileHeight - kPadY;
    const int left = view % kColumns * kTileWidth - kPadX;
    for (int y = std::max(0, -top); y < std::min(kTileHeight, kSide - top); ++y) {
      for (int x = std::max(0, -left); x < std::min(kTileWidth, kSide - left); ++x) {
        pixels[y * kTileWidth + x] = item.pixels[(top + y) * kSide + left + x];
      }
    }
  }
};

// BASE of six-cameras:BASE and grid:BASE.
absl::StatusOr<std::shared_ptr<const ItemSet>> OpenBase(const DataSpec& spec, bool only_test) {
  const size_t colon = spec.argument.find(':');
  const std::string name = spec.argument.substr(0, colon);
  if (name != "fashion-mnist" && name != "mnist") {
    return absl::InvalidArgumentError(
        absl::StrCat("data spec '", spec.text, "': '", spec.kind, ":' stands before '",
                     spec.argument, "', expected fashion-mnist[:DIR] or mnist[:DIR] there"));
  }
  return OpenItems(name, colon == std::string::npos ? "" : spec.argument.substr(colon + 1),
                   only_test);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Dataset>> OpenPlainItems(const DataSpec& spec, bool only_test) {
  if (absl::Status known = CheckOptions(spec, {}); !known.ok()) return known;
  absl::StatusOr<std::shared_ptr<const ItemSet>> items =
      OpenItems(spec.kind, spec.argument, only_test);
  if (!items.ok()) return items.status();
  return std::unique_ptr<Dataset>(new PlainItems(*std::move(items), spec));
}

absl::StatusOr<std::unique_ptr<Dataset>> OpenSixCameras(const DataSpec& spec, bool only_test) {
  if (absl::Status known = CheckOptions(spec, {"params"}); !known.ok()) return known;
  const auto params = spec.options.find("params");
  absl::StatusOr<CameraRig> rig =
      CameraRig::Load(params == spec.options.end() ? "" : params->second);
  if (!rig.ok()) return rig.status();
  absl::StatusOr<std::shared_ptr<const ItemSet>> items = OpenBase(spec, only_test);
  if (!items.ok()) return items.status();
  return std::unique_ptr<Dataset>(new SixCameras(*std::move(items), spec, *std::move(rig)));
}

absl::StatusOr<std::unique_ptr<Dataset>> OpenGrid(const DataSpec& spec, bool only_test) {
  if (absl::Status known = CheckOptions(spec, {}); !known.ok()) return known;
  absl::StatusOr<std::shared_ptr<const ItemSet>> items = OpenBase(spec, only_test);
  if (!items.ok()) return items.status();
  return std::unique_ptr<Dataset>(new Grid(*std::move(items), spec));
}

}  // namespace ddnn

#include "cloud/export_folder.h"

#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cloud/pictures.h"

namespace ddnn {
namespace {

namespace fs = std::filesystem;

// A class name becomes the name of a folder, and comes from a peer.
std::string FolderName(const std::string& class_name) {
  std::string name = class_name.substr(0, 200);
  for (char& c : name) {
    // Neither parts of a path nor of a dataset spec, which lists the classes.
    if (std::strchr("/,?&", c) != nullptr || static_cast<unsigned char>(c) < 0x20) c = '_';
  }
  if (name.empty() || name[0] == '.') name = "_" + name;
  return name;
}

absl::Status FileError(const std::string& path, const std::error_code& error) {
  return absl::UnknownError(absl::StrCat(path, ": ", error.message()));
}

}  // namespace

absl::StatusOr<ExportFolder> ExportFolder::Create(const std::string& directory, const Shape& shape,
                                                  int views) {
  fs::path target = fs::path(directory).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();
  std::error_code error;
  if (fs::exists(target, error) &&
      (!fs::is_directory(target, error) || !fs::is_empty(target, error))) {
    return absl::AlreadyExistsError(
        absl::StrCat(directory, ": exists and is not an empty folder; export to a new one"));
  }
  if (target.has_parent_path()) {
    fs::create_directories(target.parent_path(), error);
    if (error) return FileError(target.parent_path().string(), error);
  }
  std::string partial = target.string() + ".partial-XXXXXX";
  if (mkdtemp(partial.data()) == nullptr) {
    return absl::PermissionDeniedError(
        absl::StrCat(partial, ": cannot be created: ", std::strerror(errno)));
  }
  return ExportFolder(target.string(), partial, shape, views);
}

std::string ExportFolder::DataSpec(const std::string& directory,
                                   const v1::DescribeResponse& network) {
  std::vector<std::string> classes;
  for (const std::string& name : network.class_name()) classes.push_back(FolderName(name));
  return absl::StrCat("folder:", directory, "?size=", network.channels(), "x", network.height(),
                      "x", network.width(), "&views=", network.views(),
                      "&classes=", absl::StrJoin(classes, ","));
}

ExportFolder::ExportFolder(ExportFolder&& other) noexcept
    : directory_(std::move(other.directory_)),
      partial_(std::exchange(other.partial_, "")),
      shape_(other.shape_),
      views_(other.views_),
      counts_(other.counts_) {}

ExportFolder::~ExportFolder() {
  std::error_code ignored;
  if (!partial_.empty()) fs::remove_all(partial_, ignored);
}

absl::Status ExportFolder::Add(const v1::HardSample& sample) {
  if (sample.pixels_size() == 0) {
    ++counts_.without_pictures;
    return absl::OkStatus();
  }
  const bool fits = std::all_of(
      sample.pixels().begin(), sample.pixels().end(), [this](const v1::HardPixels& pixels) {
        return pixels.view() >= 0 && pixels.view() < views_ &&
               pixels.pixels().size() == static_cast<size_t>(shape_.size());
      });
  if (!fits) {
    ++counts_.other_size;
    return absl::OkStatus();
  }
  if (sample.alone() && sample.label().empty() && sample.class_name().empty()) {
    ++counts_.without_class;
    return absl::OkStatus();
  }
  const fs::path folder = fs::path(partial_) / "train" /
                          FolderName(sample.label().empty() ? sample.class_name() : sample.label());
  fs::path place = folder / absl::StrCat(sample.stream(), "-", sample.sequence());
  std::error_code error;
  // A device that starts again counts from the beginning: the same name for another sample.
  if (fs::exists(place, error)) place += absl::StrCat("-", sample.id());
  fs::create_directories(place, error);
  if (error) return FileError(place.string(), error);
  for (const v1::HardPixels& pixels : sample.pixels()) {
    absl::Status saved = SavePicture((place / absl::StrCat(pixels.view(), ".png")).string(), shape_,
                                     pixels.pixels());
    if (!saved.ok()) return saved;
    ++counts_.pictures;
  }
  ++counts_.written;
  return absl::OkStatus();
}

absl::Status ExportFolder::Commit() {
  if (counts_.written == 0) {
    if (counts_.without_pictures + counts_.other_size + counts_.without_class == 0) {
      return absl::NotFoundError("nothing to export: the cloud has no such hard samples");
    }
    return absl::NotFoundError(
        absl::StrCat("nothing to export: ", counts_.without_pictures,
                     " samples without pictures (devices send them with --share_pixels), ",
                     counts_.other_size, " with pictures of another size than this network's, ",
                     counts_.without_class, " without an answer or a label"));
  }
  std::error_code error;
  fs::permissions(partial_,
                  fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec |
                      fs::perms::others_read | fs::perms::others_exec,
                  error);
  fs::rename(partial_, directory_, error);  // also onto an empty folder
  if (error) return FileError(directory_, error);
  partial_.clear();
  return absl::OkStatus();
}

}  // namespace ddnn

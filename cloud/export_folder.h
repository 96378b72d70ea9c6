#ifndef DDNN_CLOUD_EXPORT_FOLDER_H_
#define DDNN_CLOUD_EXPORT_FOLDER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ddnn/v1/query.pb.h"
#include "models/network_plan.h"

namespace ddnn {

/// Writes hard samples as the dataset folder:DIR, DIR/train/<class>/<stream>-<sequence>/<view>.png.
///
/// All is written beside DIR and renamed in Commit, so DIR appears whole or not at all; without
/// Commit what was written is removed.
class ExportFolder {
 public:
  struct Counts {
    int64_t written = 0;
    int64_t pictures = 0;
    int64_t without_pictures = 0;  ///< skipped: no device shared any
    int64_t without_class = 0;     ///< skipped: neither an answer nor a label
    int64_t other_size = 0;        ///< skipped: from a bundle with pictures of another size
  };

  /// ALREADY_EXISTS where `directory` is there and not empty.
  static absl::StatusOr<ExportFolder> Create(const std::string& directory, const Shape& shape,
                                             int views);
  ~ExportFolder();
  ExportFolder(ExportFolder&& other) noexcept;
  ExportFolder& operator=(ExportFolder&&) = delete;

  /// The spec by which ddnn-train reads DIR: with the network's size, views and classes, in its
  /// order, whatever the samples happen to show of them.
  static std::string DataSpec(const std::string& directory, const v1::DescribeResponse& network);

  /// Its class is its label, or the network's answer where nobody labelled it.
  absl::Status Add(const v1::HardSample& sample);
  /// NOT_FOUND where nothing was written, saying why.
  absl::Status Commit();

  const Counts& counts() const { return counts_; }

 private:
  ExportFolder(std::string directory, std::string partial, const Shape& shape, int views)
      : directory_(std::move(directory)),
        partial_(std::move(partial)),
        shape_(shape),
        views_(views) {}

  std::string directory_;
  std::string partial_;  ///< empty: nothing to remove
  Shape shape_;
  int views_;
  Counts counts_;
};

}  // namespace ddnn

#endif  // DDNN_CLOUD_EXPORT_FOLDER_H_

#ifndef DDNN_TOOLS_EXPORT_EXPORT_BUNDLE_H_
#define DDNN_TOOLS_EXPORT_EXPORT_BUNDLE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/core/bundle.h"

namespace ddnn {

/// One file of an export, for people to read.
struct ExportedFile {
  std::string name;    ///< "device-0.onnx", "edge-0.scores.onnx"
  std::string inputs;  ///< "pixels 1x32x32"
  std::string outputs;
  size_t bytes = 0;
};

/// Writes every section of a bundle as ONNX: <tier>-<node>.onnx, and <tier>-<node>.scores.onnx
/// where a node joins scores by CC. All files appear in one step; a crash leaves what was there
/// before or nothing. Each model's metadata_props say which bundle, tier and node it is and how its
/// children are joined: docs/onnx.md.
///
/// FAILED_PRECONDITION if `directory` has anything in it that is no export; an export is replaced.
absl::StatusOr<std::vector<ExportedFile>> ExportOnnx(const Bundle& bundle,
                                                     const std::string& directory);

}  // namespace ddnn

#endif  // DDNN_TOOLS_EXPORT_EXPORT_BUNDLE_H_

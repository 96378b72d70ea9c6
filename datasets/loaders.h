#ifndef DDNN_DATASETS_LOADERS_H_
#define DDNN_DATASETS_LOADERS_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datasets/data_spec.h"
#include "datasets/dataset.h"

namespace ddnn {

/// One opener per kind of dataset; OpenDataset picks. Each checks its options.
///
/// `only_test` allows a loader to leave train and calibration empty (size 0), so that a device,
/// which plays the test split, does not hold them in memory.
absl::StatusOr<std::unique_ptr<Dataset>> OpenPlainItems(const DataSpec& spec, bool only_test);
absl::StatusOr<std::unique_ptr<Dataset>> OpenSixCameras(const DataSpec& spec, bool only_test);
absl::StatusOr<std::unique_ptr<Dataset>> OpenGrid(const DataSpec& spec, bool only_test);
absl::StatusOr<std::unique_ptr<Dataset>> OpenCifar10(const DataSpec& spec, bool only_test);
absl::StatusOr<std::unique_ptr<Dataset>> OpenMvmc(const DataSpec& spec, bool only_test);
absl::StatusOr<std::unique_ptr<Dataset>> OpenFolder(const DataSpec& spec, bool only_test);

/// As OpenDataset, which opens all splits.
absl::StatusOr<std::unique_ptr<Dataset>> OpenDatasetSplits(const DataSpec& spec, bool only_test);
/// What Read says first: OUT_OF_RANGE for an index outside the split, naming the dataset.
absl::Status CheckIndex(const Dataset& dataset, Split split, int64_t index);
/// Whether OpenDataset knows specs of this kind.
bool IsDatasetKind(const std::string& kind);
/// The forms of spec OpenDataset knows, for messages.
std::string DatasetForms();

}  // namespace ddnn

#endif  // DDNN_DATASETS_LOADERS_H_

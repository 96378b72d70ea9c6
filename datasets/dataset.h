#ifndef DDNN_DATASETS_DATASET_H_
#define DDNN_DATASETS_DATASET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ddnn {

enum class Split { kTrain, kCalibration, kTest };

struct DatasetInfo {
  std::string spec;  ///< as given to OpenDataset
  int views = 0;
  int channels = 0, height = 0, width = 0;
  std::vector<std::string> class_names;
};

struct DatasetSample {
  std::string pixels;            ///< [V, C, H, W], 8 bit; absent views are zero
  uint64_t presence = 0;         ///< bit v: view v sees the object; at least one is set
  int label = 0;                 ///< of the sample
  std::vector<int> view_labels;  ///< [V]; the number of classes where the view is absent
};

/// Samples in three splits that never overlap. The same spec gives the same samples in the same
/// order on every machine. Reading is safe from several threads.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual const DatasetInfo& info() const = 0;
  virtual int64_t size(Split split) const = 0;
  /// OUT_OF_RANGE for an index outside the split; errors of files name them.
  virtual absl::Status Read(Split split, int64_t index, DatasetSample* sample) const = 0;
};

/// Opens a dataset by its spec:
///   fashion-mnist[:DIR]              one view 1x28x28, padded to 1x32x32; DIR: Debian's
///   mnist[:DIR]                      likewise; DIR: where tools/fetch_mnist.sh puts it
///   six-cameras:BASE[?params=FILE]   six simulated cameras over `fashion-mnist` or `mnist`
///   grid:BASE                        BASE padded to 30x32: 3x2 views of 10x16
///   cifar10:DIR                      one view 3x32x32; DIR has the original binary files
///   mvmc:TRAIN.npz[,TEST.npz]        X float32 [N, V, C, H, W] in 0..1, y int32 [N, V]
///   folder:DIR                       DIR/<split>/<class>/<sample>[/<view>].png|jpg; size, views and
///                                    classes are the first picture's and the train split's, or
///                                    as ?size=CxHxW&views=N&classes=NAME,... says
/// INVALID_ARGUMENT lists these forms; errors of files name the file, what was found and what was
/// expected.
absl::StatusOr<std::unique_ptr<Dataset>> OpenDataset(const std::string& spec);

absl::StatusOr<Split> ParseSplit(absl::string_view name);  // "train", "calibration", "test"
std::string ToString(Split split);

}  // namespace ddnn

#endif  // DDNN_DATASETS_DATASET_H_

#include "datasets/dataset.h"

#include "absl/strings/str_cat.h"
#include "datasets/data_spec.h"
#include "datasets/loaders.h"

namespace ddnn {
namespace {

using Opener = absl::StatusOr<std::unique_ptr<Dataset>> (*)(const DataSpec&, bool);

Opener FindOpener(const std::string& kind) {
  if (kind == "fashion-mnist" || kind == "mnist") return &OpenPlainItems;
  if (kind == "six-cameras") return &OpenSixCameras;
  if (kind == "grid") return &OpenGrid;
  if (kind == "cifar10") return &OpenCifar10;
  if (kind == "mvmc") return &OpenMvmc;
  if (kind == "folder") return &OpenFolder;
  return nullptr;
}

}  // namespace

std::string DatasetForms() {
  return "fashion-mnist[:DIR], mnist[:DIR], six-cameras:BASE[?params=FILE], grid:BASE, "
         "cifar10:DIR, mvmc:TRAIN.npz[,TEST.npz][?classes=N], "
         "folder:DIR[?size=CxHxW][&views=N][&classes=NAME,...]";
}

absl::Status CheckIndex(const Dataset& dataset, Split split, int64_t index) {
  if (index >= 0 && index < dataset.size(split)) return absl::OkStatus();
  return absl::OutOfRangeError(absl::StrCat(dataset.info().spec, ": sample ", index, " of the ",
                                            ToString(split), " split, which has ",
                                            dataset.size(split)));
}

bool IsDatasetKind(const std::string& kind) { return FindOpener(kind) != nullptr; }

absl::StatusOr<std::unique_ptr<Dataset>> OpenDatasetSplits(const DataSpec& spec, bool only_test) {
  const Opener opener = FindOpener(spec.kind);
  if (opener == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data spec '", spec.text, "' is of no known kind; expected one of ", DatasetForms()));
  }
  return opener(spec, only_test);
}

absl::StatusOr<std::unique_ptr<Dataset>> OpenDataset(const std::string& spec) {
  const absl::StatusOr<DataSpec> parsed = ParseDataSpec(spec);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(parsed.status().message()), "; expected one of ", DatasetForms()));
  }
  return OpenDatasetSplits(*parsed, /*only_test=*/false);
}

absl::StatusOr<Split> ParseSplit(absl::string_view name) {
  for (Split split : {Split::kTrain, Split::kCalibration, Split::kTest}) {
    if (name == ToString(split)) return split;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("split '", name, "' is none of train, calibration, test"));
}

std::string ToString(Split split) {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kCalibration:
      return "calibration";
    case Split::kTest:
      return "test";
  }
  return "unknown";
}

}  // namespace ddnn

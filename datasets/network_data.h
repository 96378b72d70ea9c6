#ifndef DDNN_DATASETS_NETWORK_DATA_H_
#define DDNN_DATASETS_NETWORK_DATA_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datasets/dataset.h"
#include "models/network_plan.h"

namespace ddnn {

/// That a dataset has the views, shape and classes a network expects. INVALID_ARGUMENT says what
/// the network has and what the data has. With one class name missing or different it names it.
absl::Status CheckDataFits(const NetworkPlan& plan, const DatasetInfo& info);

/// OpenDataset for a network, and CheckDataFits. What a folder's spec leaves open (size, views,
/// classes) is what the network has: pictures of any size are resized, and a class or view of the
/// network may be missing in the folder. The dataset's info().spec says so in full.
absl::StatusOr<std::unique_ptr<Dataset>> OpenDatasetFor(const NetworkPlan& plan,
                                                        const std::string& spec);

}  // namespace ddnn

#endif  // DDNN_DATASETS_NETWORK_DATA_H_

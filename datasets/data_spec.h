#ifndef DDNN_DATASETS_DATA_SPEC_H_
#define DDNN_DATASETS_DATA_SPEC_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ddnn {

/// "kind[:argument][?key=value[&key=value]...]", taken apart.
struct DataSpec {
  std::string text;      ///< as given
  std::string kind;      ///< never empty
  std::string argument;  ///< empty if there was none
  std::map<std::string, std::string> options;
};

/// INVALID_ARGUMENT for an empty kind, an option without a key or value, and a key given twice.
absl::StatusOr<DataSpec> ParseDataSpec(const std::string& text);

/// INVALID_ARGUMENT naming the first option that is not in `known`, and listing those.
absl::Status CheckOptions(const DataSpec& spec, const std::vector<std::string>& known);

}  // namespace ddnn

#endif  // DDNN_DATASETS_DATA_SPEC_H_

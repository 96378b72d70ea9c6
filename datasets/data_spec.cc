#include "datasets/data_spec.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace ddnn {

absl::StatusOr<DataSpec> ParseDataSpec(const std::string& text) {
  DataSpec spec;
  spec.text = text;
  const size_t question = text.find('?');
  const std::string head = text.substr(0, question);
  const size_t colon = head.find(':');
  spec.kind = head.substr(0, colon);
  if (colon != std::string::npos) spec.argument = head.substr(colon + 1);
  if (spec.kind.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("data spec '", text, "' does not start with a kind"));
  }
  if (question == std::string::npos) return spec;
  const std::vector<std::string> options = absl::StrSplit(text.substr(question + 1), '&');
  for (const std::string& option : options) {
    const size_t equals = option.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == option.size()) {
      return absl::InvalidArgumentError(absl::StrCat("data spec '", text, "': option '", option,
                                                     "' is not of the form key=value"));
    }
    const std::string key = option.substr(0, equals);
    if (!spec.options.emplace(key, option.substr(equals + 1)).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("data spec '", text, "': option '", key, "' is given twice"));
    }
  }
  return spec;
}

absl::Status CheckOptions(const DataSpec& spec, const std::vector<std::string>& known) {
  for (const auto& [key, value] : spec.options) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("data spec '", spec.text, "': unknown option '", key, "'; '", spec.kind,
                     "' knows ", known.empty() ? std::string("none") : absl::StrJoin(known, ", ")));
  }
  return absl::OkStatus();
}

}  // namespace ddnn

#include "datasets/data_spec.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace ddnn {
namespace {

// Bundles and checkpoints hold the spec as text, which others must be able to read.
bool IsUtf8(const std::string& text) {
  for (size_t i = 0; i < text.size();) {
    const unsigned char lead = static_cast<unsigned char>(text[i++]);
    if (lead < 0x80) continue;
    const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || text.size() - i < static_cast<size_t>(more)) return false;
    uint32_t code = lead & (0x3f >> more);
    for (int k = 0; k < more; ++k, ++i) {
      if ((text[i] & 0xc0) != 0x80) return false;
      code = code << 6 | (text[i] & 0x3f);
    }
    // Longer than need be, half of a pair, or beyond the last.
    const uint32_t least = more == 3 ? 0x10000 : more == 2 ? 0x800 : 0x80;
    if (code < least || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<DataSpec> ParseDataSpec(const std::string& text) {
  if (!IsUtf8(text)) {
    return absl::InvalidArgumentError(
        absl::StrCat("data spec '", absl::CHexEscape(text), "' is not UTF-8; rename the folder"));
  }
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

#ifndef DDNN_TESTS_TRAIN_WELL_FORMED_H_
#define DDNN_TESTS_TRAIN_WELL_FORMED_H_

#include <regex>
#include <string>
#include <vector>

namespace ddnn::train {

/// What is wrong with a page as XML, "" if nothing: every tag complete and closed in order,
/// attributes quoted, no other < or &.
inline std::string WrongWith(const std::string& page) {
  static const std::regex tag(
      R"(^(/?)([A-Za-z][A-Za-z0-9]*)((?: [A-Za-z0-9:-]+="[^"<]*")*)\s*(/?)$)");
  static const std::regex entity("^&(amp|lt|gt|quot|#39);");
  std::vector<std::string> open;
  size_t at = page.rfind("<!DOCTYPE html>\n", 0) == 0 ? 16 : 0;
  while (at < page.size()) {
    if (page[at] == '&' && !std::regex_search(page.substr(at, 8), entity)) {
      return "a bare & before " + page.substr(at, 20);
    }
    if (page[at] != '<') {
      ++at;
      continue;
    }
    const size_t end = page.find('>', at);
    if (end == std::string::npos) return "an open tag at " + page.substr(at, 20);
    const std::string inner = page.substr(at + 1, end - at - 1);
    // Pictures are long, and base64 holds nothing that matters here; std::regex dislikes both.
    std::string checked = inner;
    if (const size_t picture = inner.find("base64,"); picture != std::string::npos) {
      const size_t behind = inner.find_first_not_of(
          "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=", picture + 7);
      checked =
          inner.substr(0, picture) + (behind == std::string::npos ? "" : inner.substr(behind));
    }
    std::smatch match;
    if (!std::regex_match(checked, match, tag)) return "the tag <" + checked.substr(0, 60) + ">";
    if (match[1].length() > 0) {
      if (open.empty() || open.back() != match[2]) return "unexpected <" + checked + ">";
      open.pop_back();
    } else if (match[4].length() == 0) {
      open.push_back(match[2]);
    }
    at = end + 1;
  }
  return open.empty() ? "" : "never closed: <" + open.back() + ">";
}

/// How often `part` stands in a text.
inline int Count(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace ddnn::train

#endif  // DDNN_TESTS_TRAIN_WELL_FORMED_H_

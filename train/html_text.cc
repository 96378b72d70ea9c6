#include "train/html_text.h"

#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace ddnn::train {
namespace {

constexpr char kReplacement[] = "\xEF\xBF\xBD";  // U+FFFD

// The character that begins `text`, and its length in bytes; -1 and 1 where it is no UTF-8.
struct Character {
  int32_t code = -1;
  size_t bytes = 1;
};

Character FirstOf(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  if (byte(0) < 0x80) return {byte(0), 1};
  const size_t bytes = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < bytes) return {};
  int32_t code = byte(0) & (0xff >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr int32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[bytes] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return {};
  return {code, bytes};
}

bool TurnsText(int32_t code) {
  return (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

std::string EscapeHtml(absl::string_view text) {
  std::string safe;
  while (!text.empty()) {
    const Character first = FirstOf(text);
    switch (first.code) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        if (first.code < 0 || TurnsText(first.code) || (first.code & 0xfffe) == 0xfffe) {
          safe += kReplacement;
        } else if (first.code < 0x20 || (first.code >= 0x7f && first.code < 0xa0)) {
          safe += ' ';
        } else {
          safe.append(text.data(), first.bytes);
        }
    }
    text.remove_prefix(first.bytes);
  }
  return safe;
}

std::string PercentText(double fraction) { return absl::StrFormat("%.1f\u00a0%%", 100 * fraction); }

std::string NumberText(double value) {
  const double size = std::abs(value);
  const int digits = size >= 100 || value == std::round(value) ? 0 : size >= 1 ? 1 : 2;
  return absl::StrFormat("%.*f", digits, value);
}

std::string Card(const std::string& title, const std::string& body, const std::string& how) {
  return absl::StrCat("<section><h2>", EscapeHtml(title), "</h2>", body, "<p class=\"how\">",
                      EscapeHtml(how), "</p></section>\n");
}

}  // namespace ddnn::train

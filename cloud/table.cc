#include "cloud/table.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

// Reads one character at `*at` and moves behind it; -1 (one byte) where the encoding is broken.
int32_t Decode(absl::string_view text, size_t* at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte((*at)++);
  if (first < 0x80) return first;
  const int more = first >= 0xf0 && first < 0xf5 ? 3 : first >= 0xe0 ? 2 : first >= 0xc2 ? 1 : 0;
  if (more == 0 || first >= 0xf5 || *at + more > text.size()) return -1;
  int32_t code = first & (0x3f >> more);
  for (int i = 0; i < more; ++i) {
    if ((byte(*at + i) & 0xc0) != 0x80) return -1;
    code = (code << 6) | (byte(*at + i) & 0x3f);
  }
  constexpr int32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
  if (code < kLeast[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return -1;
  *at += more;
  return code;
}

int WidthOf(int32_t code) {
  const auto in = [code](int32_t first, int32_t last) { return code >= first && code <= last; };
  if (in(0x300, 0x36f) || in(0x200b, 0x200f) || in(0x20d0, 0x20ff) || in(0xfe00, 0xfe0f)) return 0;
  if (in(0x1100, 0x115f) || in(0x2e80, 0xa4cf) || in(0xac00, 0xd7a3) || in(0xf900, 0xfaff) ||
      in(0xfe30, 0xfe6f) || in(0xff00, 0xff60) || in(0xffe0, 0xffe6) || in(0x1f300, 0x1faff) ||
      in(0x20000, 0x3fffd)) {
    return 2;
  }
  return 1;
}

}  // namespace

int DisplayWidth(absl::string_view text) {
  int width = 0;
  for (size_t at = 0; at < text.size();) width += WidthOf(Decode(text, &at));
  return width;
}

std::string Printable(absl::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const int32_t code = Decode(text, &at);
    // C0, DEL, C1 and the bidirectional overrides.
    const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0) ||
                         (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    if (control) {
      out += '?';
    } else {
      out.append(text.data() + begin, at - begin);
    }
  }
  return out;
}

std::string Table::Format(const std::vector<std::string>& cells,
                          const std::vector<int>& widths) const {
  std::string line;
  for (size_t c = 0; c < columns_.size(); ++c) {
    const std::string cell = c < cells.size() ? Printable(cells[c]) : std::string();
    const std::string pad(std::max(0, widths[c] - DisplayWidth(cell)), ' ');
    if (c > 0) line += "  ";
    line += columns_[c].right ? pad + cell : cell + pad;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::vector<std::string> Table::Titles() const {
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.push_back(column.title);
  return titles;
}

std::string Table::ToString() const {
  std::vector<int> widths;
  for (size_t c = 0; c < columns_.size(); ++c) {
    int width = std::max(columns_[c].width, DisplayWidth(columns_[c].title));
    for (const auto& row : rows_) width = std::max(width, DisplayWidth(Printable(row[c])));
    widths.push_back(width);
  }
  std::string text = Format(Titles(), widths);
  for (const auto& row : rows_) text += Format(row, widths);
  return text;
}

std::string Table::TitleLine() const { return Line(Titles()); }

std::string Table::Line(const std::vector<std::string>& cells) const {
  std::vector<int> widths;
  for (const Column& column : columns_) {
    widths.push_back(std::max(column.width, DisplayWidth(column.title)));
  }
  return Format(cells, widths);
}

std::string Ago(absl::Time time, absl::Time now) {
  const absl::Duration age = now - time;
  const double seconds = std::fabs(absl::ToDoubleSeconds(age));
  std::string amount;
  if (seconds < 99.5) {
    amount = absl::StrCat(static_cast<int64_t>(std::lround(seconds)), " s");
  } else if (seconds < 99.5 * 60) {
    amount = absl::StrCat(static_cast<int64_t>(std::lround(seconds / 60)), " min");
  } else if (seconds < 47.5 * 3600) {
    amount = absl::StrCat(static_cast<int64_t>(std::lround(seconds / 3600)), " h");
  } else {
    amount = absl::StrCat(static_cast<int64_t>(std::lround(seconds / 86400)), " d");
  }
  return age < absl::Seconds(-1) ? absl::StrCat("in ", amount) : absl::StrCat(amount, " ago");
}

std::string Ranges(const std::vector<int>& numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    if (!text.empty()) text += ",";
    absl::StrAppend(&text, numbers[i]);
    if (last > i) absl::StrAppend(&text, last == i + 1 ? "," : "-", numbers[last]);
    i = last + 1;
  }
  return text.empty() ? "-" : text;
}

std::string Bar(double fraction, int width) {
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  if (!(fraction > 0)) return "";
  const int eighths = static_cast<int>(std::lround(std::min(fraction, 1.0) * width * 8));
  std::string bar;
  for (int i = 0; i < eighths / 8; ++i) bar += "█";
  return bar + kEighths[eighths % 8];
}

}  // namespace ddnn

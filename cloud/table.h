#ifndef DDNN_CLOUD_TABLE_H_
#define DDNN_CLOUD_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace ddnn {

/// Columns a terminal needs for UTF-8 text: combining marks 0, East Asian wide characters 2.
int DisplayWidth(absl::string_view text);

/// Text fit for a terminal: control characters and broken UTF-8 become '?'. For what came from
/// files and peers, which could otherwise move the cursor or change the colours.
std::string Printable(absl::string_view text);

/// Text aligned in columns, two spaces between them.
class Table {
 public:
  struct Column {
    std::string title;
    bool right = false;  ///< numbers
    int width = 0;       ///< at least; for tables that are printed row by row
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// One cell per column.
  void AddRow(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// Title line and all rows, each line ended; nothing trails.
  std::string ToString() const;
  /// Only the titles, or one row, in the columns' own widths.
  std::string TitleLine() const;
  std::string Line(const std::vector<std::string>& cells) const;

 private:
  std::string Format(const std::vector<std::string>& cells, const std::vector<int>& widths) const;
  std::vector<std::string> Titles() const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// "12 s ago", "3 min ago", "5 h ago", "2 d ago"; "in 3 s" for the future.
std::string Ago(absl::Time time, absl::Time now);

/// "0-2,5"; "-" for none. Ascending numbers.
std::string Ranges(const std::vector<int>& numbers);

/// A bar of at most `width` columns for a fraction of 0 to 1, in eighths.
std::string Bar(double fraction, int width);

}  // namespace ddnn

#endif  // DDNN_CLOUD_TABLE_H_

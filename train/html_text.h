#ifndef DDNN_TRAIN_HTML_TEXT_H_
#define DDNN_TRAIN_HTML_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace ddnn::train {

/// Safe as text and as a quoted attribute in HTML and SVG, whatever it comes from. Control
/// characters become spaces; bytes that are no UTF-8, and characters that turn the direction of the
/// text around them, become U+FFFD.
std::string EscapeHtml(absl::string_view text);

/// "90.1 %", with a space at which no line breaks.
std::string PercentText(double fraction);

/// "12", "3.4", "0.56": three digits for small numbers, none behind the point for large ones.
std::string NumberText(double value);

/// part / whole; 0 where there is nothing.
inline double Ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

/// A part of a page with its title and a line that says how to read it, both escaped here.
std::string Card(const std::string& title, const std::string& body, const std::string& how);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_HTML_TEXT_H_

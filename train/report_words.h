#ifndef DDNN_TRAIN_REPORT_WORDS_H_
#define DDNN_TRAIN_REPORT_WORDS_H_

#include <string>
#include <vector>

#include "train/report_data.h"

namespace ddnn::train {

/// What a report says in words, as HTML with all names escaped.

/// A figure, and in a few words what it is.
struct Tile {
  std::string figure, words;
};
std::vector<Tile> Tiles(const ReportInput& input);

/// Accuracy, views, bytes, exits, lost views and thresholds, a sentence or two each.
std::vector<std::string> Sentences(const ReportInput& input);

/// What speaks against deploying, the gravest first; empty if nothing does.
std::vector<std::string> Warnings(const ReportInput& input, const ReportData& data);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_REPORT_WORDS_H_

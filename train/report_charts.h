#ifndef DDNN_TRAIN_REPORT_CHARTS_H_
#define DDNN_TRAIN_REPORT_CHARTS_H_

#include <string>

#include "train/report_data.h"

namespace ddnn::train {

/// The charts of a report, as HTML: accuracies, lost devices, number of devices, thresholds,
/// reliability, training. What a network does not have is left out.
std::string ReportCharts(const ReportInput& input, const ReportData& data);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_REPORT_CHARTS_H_

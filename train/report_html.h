#ifndef DDNN_TRAIN_REPORT_HTML_H_
#define DDNN_TRAIN_REPORT_HTML_H_

#include <string>

#include "train/report_data.h"

namespace ddnn::train {

/// One HTML page that needs nothing else and holds no script: first in plain words what speaks for
/// and against deploying the bundle, then charts, tables and pictures. It is well-formed XML too.
/// All names are escaped. The same input gives the same bytes.
std::string ReportHtml(const ReportInput& input);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_REPORT_HTML_H_

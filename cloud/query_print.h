#ifndef DDNN_CLOUD_QUERY_PRINT_H_
#define DDNN_CLOUD_QUERY_PRINT_H_

#include <string>

#include "absl/time/time.h"
#include "cloud/table.h"
#include "ddnn/v1/query.pb.h"

namespace ddnn {

/// For people; each ends its last line.
std::string PrintHardList(const v1::ListHardResponse& page, absl::Time now);
/// Scores are named where the sample comes from the bundle that `network` describes.
std::string PrintHardSample(const v1::HardSample& sample, const v1::DescribeResponse& network,
                            absl::Time now);
std::string PrintClassify(const v1::ClassifyResponse& answer, const v1::DescribeResponse& network);

std::string PrintStatus(const v1::StatusResponse& status, absl::Time now);

/// Columns of `watch`, wide enough for this network.
Table WatchTable(const v1::DescribeResponse& network);
std::string PrintAnswer(const Table& table, const v1::AnswerRecord& answer);

}  // namespace ddnn

#endif  // DDNN_CLOUD_QUERY_PRINT_H_

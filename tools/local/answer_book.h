#ifndef DDNN_TOOLS_LOCAL_ANSWER_BOOK_H_
#define DDNN_TOOLS_LOCAL_ANSWER_BOOK_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ddnn/v1/report.pb.h"

namespace ddnn {

/// What the devices reported, put together by sample: V devices tell of one sample, which counts
/// once. Not safe to call from several threads.
class AnswerBook {
 public:
  struct Entry {
    /// The best that any device was told: a full answer before a degraded one, that before an
    /// expired or a shed sample; among equals the one over most views, then from the lowest view.
    v1::AnswerRecord answer;
    int best_view = -1;
    uint64_t reporters = 0;  ///< bit v: the device of view v reported this sample
    /// Devices were told different full answers, which must not happen.
    bool disagreement = false;
  };

  /// INVALID_ARGUMENT for an outcome nobody knows, ALREADY_EXISTS when this view reported the
  /// sample before.
  absl::Status Add(int view, const v1::AnswerRecord& record, absl::Time now);

  /// By sequence.
  const std::map<uint64_t, Entry>& entries() const { return entries_; }
  int64_t samples() const { return static_cast<int64_t>(entries_.size()); }
  int64_t disagreements() const { return disagreements_; }
  /// Latency of every answer at every device, in order of arrival; milliseconds.
  const std::vector<double>& latencies() const { return latencies_; }
  /// Between the first report and the last.
  absl::Duration time_span() const;

 private:
  std::map<uint64_t, Entry> entries_;
  std::vector<double> latencies_;
  int64_t disagreements_ = 0;
  absl::Time first_, last_;
};

}  // namespace ddnn

#endif  // DDNN_TOOLS_LOCAL_ANSWER_BOOK_H_

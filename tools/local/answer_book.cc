#include "tools/local/answer_book.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

// -1 for an unknown outcome.
int Rank(const v1::AnswerRecord& record) {
  if (record.outcome() == "answered") return record.degraded() ? 2 : 3;
  if (record.outcome() == "expired") return 1;
  if (record.outcome() == "shed") return 0;
  return -1;
}

bool SameAnswer(const v1::AnswerRecord& a, const v1::AnswerRecord& b) {
  return a.class_index() == b.class_index() && a.exit() == b.exit() && a.entropy() == b.entropy() &&
         a.hard() == b.hard() &&
         std::equal(a.present_view().begin(), a.present_view().end(), b.present_view().begin(),
                    b.present_view().end());
}

}  // namespace

absl::Status AnswerBook::Add(int view, const v1::AnswerRecord& record, absl::Time now) {
  const int rank = Rank(record);
  if (rank < 0) {
    return absl::InvalidArgumentError(absl::StrCat("view ", view, ", sample ", record.sequence(),
                                                   ": unknown outcome '", record.outcome(), "'"));
  }
  Entry& entry = entries_[record.sequence()];
  const uint64_t bit = uint64_t{1} << view;
  if (entry.reporters & bit) {
    return absl::AlreadyExistsError(
        absl::StrCat("view ", view, " reported sample ", record.sequence(), " twice"));
  }
  if (latencies_.empty() && entries_.size() == 1 && entry.reporters == 0) first_ = now;
  last_ = now;
  if (rank >= 2) latencies_.push_back(record.latency_ms());

  const int best_rank = entry.reporters == 0 ? -1 : Rank(entry.answer);
  if (rank == 3 && best_rank == 3 && !entry.disagreement && !SameAnswer(record, entry.answer)) {
    entry.disagreement = true;
    ++disagreements_;
  }
  const auto quality = [](int r, const v1::AnswerRecord& a, int v) {
    return std::make_tuple(r, a.present_view_size(), -v);
  };
  if (entry.reporters == 0 ||
      quality(rank, record, view) > quality(best_rank, entry.answer, entry.best_view)) {
    entry.answer = record;
    entry.best_view = view;
  }
  entry.reporters |= bit;
  return absl::OkStatus();
}

absl::Duration AnswerBook::time_span() const {
  return entries_.empty() ? absl::ZeroDuration() : last_ - first_;
}

}  // namespace ddnn

#include "cloud/query_streams.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "cloud/query_requests.h"
#include "runtime/net/status.h"

namespace ddnn {

void QueryService::Exporter::ReadNext() {
  absl::Status submitted = store_thread_->SubmitJob([this] {
    auto next = store_->Next(last_id_, only_labelled_);
    if (!next.ok()) return Finish(ToGrpc(next.status()));
    if (!next->has_value()) return Finish(grpc::Status::OK);
    last_id_ = (*next)->id;
    sample_ = ToProto(**next, true);
    StartWrite(&sample_);
  });
  if (!submitted.ok()) Finish(ToGrpc(submitted));
}

void QueryService::Exporter::OnWriteDone(bool ok) {
  if (!ok) return Finish(grpc::Status::CANCELLED);
  ReadNext();
}

void QueryService::Watcher::Offer(const v1::AnswerRecord& answer) {
  Next next;
  {
    MutexLock lock(&mutex_);
    if (ending_) return;
    if (queue_.size() >= max_queue_) {
      queue_.pop_front();
      ++lost_;
    }
    queue_.push_back(answer);
    next = Choose();
  }
  Do(next);
}

void QueryService::Watcher::End(grpc::Status status) {
  Next next;
  {
    MutexLock lock(&mutex_);
    if (ending_) return;
    ending_ = true;
    status_ = std::move(status);
    next = Choose();
  }
  Do(next);
}

void QueryService::Watcher::OnWriteDone(bool ok) {
  Next next;
  {
    MutexLock lock(&mutex_);
    busy_ = false;
    if (!ok && !ending_) {
      ending_ = true;
      status_ = grpc::Status::CANCELLED;
    }
    next = Choose();
  }
  Do(next);
}

void QueryService::Watcher::OnCancel() { End(grpc::Status::CANCELLED); }

QueryService::Watcher::Next QueryService::Watcher::Choose() {
  if (busy_ || finished_) return Next::kNothing;
  if (ending_) {
    finished_ = true;
    return Next::kFinish;
  }
  if (lost_ > 0) {
    writing_ = v1::AnswerRecord();
    writing_.set_outcome("lost");
    writing_.set_reason(absl::StrCat(lost_, " answers lost: this watcher reads too slowly"));
    lost_ = 0;
  } else if (!queue_.empty()) {
    writing_ = std::move(queue_.front());
    queue_.pop_front();
  } else {
    return Next::kNothing;
  }
  busy_ = true;
  return Next::kWrite;
}

// Without the lock: gRPC may call back from inside.
void QueryService::Watcher::Do(Next next) {
  if (next == Next::kWrite) StartWrite(&writing_);
  if (next == Next::kFinish) Finish(status_);
}

}  // namespace ddnn

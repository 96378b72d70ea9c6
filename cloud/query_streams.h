#ifndef DDNN_CLOUD_QUERY_STREAMS_H_
#define DDNN_CLOUD_QUERY_STREAMS_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <utility>

#include "cloud/hard_store.h"
#include "cloud/query_service.h"
#include "ddnn/v1/query.grpc.pb.h"
#include "runtime/node/executor.h"
#include "runtime/node/mutex.h"

namespace ddnn {

/// One caller of ExportHard: reads a sample on the store's thread, writes it, reads the next.
class QueryService::Exporter : public grpc::ServerWriteReactor<v1::HardSample> {
 public:
  Exporter(Executor* store_thread, HardStore* store, bool only_labelled)
      : store_thread_(store_thread), store_(store), only_labelled_(only_labelled) {}

  void ReadNext();
  void OnWriteDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  Executor* const store_thread_;
  HardStore* const store_;
  const bool only_labelled_;
  int64_t last_id_ = 0;
  v1::HardSample sample_;
};

/// One caller of Watch: a bounded queue before one write in flight. Lives until gRPC is done with
/// it and nobody offers to it any more.
class QueryService::Watcher : public grpc::ServerWriteReactor<v1::AnswerRecord> {
 public:
  Watcher(size_t max_queue, std::function<void(Watcher*)> on_done)
      : max_queue_(max_queue), on_done_(std::move(on_done)) {}

  /// Tells the caller that it will hear every answer from now on.
  void Start() { StartSendInitialMetadata(); }
  void Offer(const v1::AnswerRecord& answer);
  /// Ends the stream once the write in flight is done.
  void End(grpc::Status status);

  void OnSendInitialMetadataDone(bool ok) override { OnWriteDone(ok); }
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override {
    auto on_done = std::move(on_done_);  // ends this object
    on_done(this);
  }

 private:
  enum class Next { kNothing, kWrite, kFinish };
  Next Choose() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Do(Next next);

  const size_t max_queue_;
  std::function<void(Watcher*)> on_done_;
  Mutex mutex_;
  std::deque<v1::AnswerRecord> queue_ ABSL_GUARDED_BY(mutex_);
  uint64_t lost_ ABSL_GUARDED_BY(mutex_) = 0;
  bool busy_ ABSL_GUARDED_BY(mutex_) = true;  // until the initial metadata is sent
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
  v1::AnswerRecord writing_;  // belongs to gRPC while busy_
};

}  // namespace ddnn

#endif  // DDNN_CLOUD_QUERY_STREAMS_H_

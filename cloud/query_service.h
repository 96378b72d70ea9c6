#ifndef DDNN_CLOUD_QUERY_SERVICE_H_
#define DDNN_CLOUD_QUERY_SERVICE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cloud/hard_store.h"
#include "ddnn/v1/query.grpc.pb.h"
#include "ddnn/v1/tier.pb.h"
#include "runtime/core/bundle.h"
#include "runtime/core/engine.h"
#include "runtime/node/executor.h"
#include "runtime/node/mutex.h"
#include "runtime/node/whole_network.h"

namespace ddnn {

/// What people and scripts ask the root: proto/ddnn/v1/query.proto.
///
/// No reaction blocks: Classify runs as a job of the root's executor, requests to the store on a
/// thread of their own, both behind bounded queues (full: RESOURCE_EXHAUSTED). A watcher that reads
/// too slowly loses the oldest answers and is told how many. Safe to call from several threads.
class QueryService final : public v1::QueryService::CallbackService {
 public:
  struct Options {
    /// Null: hard samples are only counted, and asking for them is FAILED_PRECONDITION. Must
    /// outlive the service.
    HardStore* store = nullptr;
    std::vector<ExitThreshold> thresholds;  ///< one per exit; empty: the bundle's
    /// A picture that waited longer is not classified any more, whatever the caller's own deadline.
    absl::Duration classify_deadline = absl::Seconds(10);
    int max_store_requests = 64;  ///< waiting
    int max_watchers = 64;
    size_t watch_queue = 1024;  ///< answers waiting for one watcher
  };

  /// `bundle` must hold all sections; it is read during the call only.
  static absl::StatusOr<std::unique_ptr<QueryService>> Create(const Bundle& bundle,
                                                              EngineFactory factory,
                                                              Options options);
  /// The server it was registered with must have ended.
  ~QueryService() override;

  /// From now on another bundle of the same network classifies and is described; empty thresholds:
  /// its own. Attach its executor next: until then Classify answers UNAVAILABLE.
  absl::Status Use(const Bundle& bundle, EngineFactory factory,
                   std::vector<ExitThreshold> thresholds);

  /// Classify answers UNAVAILABLE before; null: again from now on. The executor must finish its
  /// jobs before this service ends.
  void Attach(Executor* executor);

  /// Who says what Status tells of the root; from gRPC's threads. Null: Status answers UNAVAILABLE,
  /// as before, and the last call has returned.
  void TellStatusBy(std::function<v1::StatusResponse()> status);

  /// An answer that the root gave: to everyone who watches. One call at a time.
  void Publish(const v1::AnswerRecord& answer);
  /// The root was unsure: counts the sample, and stores it if there is a store. False: the store
  /// could not take it. `bundle_sha256`, hexadecimal, is the bundle that gave the answer; empty:
  /// the one that classifies.
  bool Keep(const Answer& answer, const std::string& features,
            const std::string& bundle_sha256 = "");
  /// What a device kept while it was alone, checked against the network: stored once, then `answer`
  /// is called, perhaps from another thread; at once where there is no store. `bundle_sha256`,
  /// hexadecimal, is the one that it came under.
  void KeepAlone(const v1::KeptSample& kept, const std::string& bundle_sha256,
                 std::function<void(const v1::KeptAck&)> answer);
  void KeepPixels(SampleKey sample, const std::vector<std::pair<int, std::string>>& pixels);
  /// Ends all watchers (UNAVAILABLE) and refuses new ones.
  void Shutdown();

  /// Hard samples seen since the start.
  uint64_t hard_seen() const { return hard_seen_; }
  int watchers();

  grpc::ServerUnaryReactor* Classify(grpc::CallbackServerContext* context,
                                     const v1::ClassifyRequest* request,
                                     v1::ClassifyResponse* response) override;
  grpc::ServerUnaryReactor* ListHard(grpc::CallbackServerContext* context,
                                     const v1::ListHardRequest* request,
                                     v1::ListHardResponse* response) override;
  grpc::ServerUnaryReactor* GetHard(grpc::CallbackServerContext* context,
                                    const v1::GetHardRequest* request,
                                    v1::HardSample* response) override;
  grpc::ServerUnaryReactor* LabelHard(grpc::CallbackServerContext* context,
                                      const v1::LabelHardRequest* request,
                                      v1::HardSample* response) override;
  grpc::ServerWriteReactor<v1::HardSample>* ExportHard(
      grpc::CallbackServerContext* context, const v1::ExportHardRequest* request) override;
  grpc::ServerWriteReactor<v1::AnswerRecord>* Watch(grpc::CallbackServerContext* context,
                                                    const v1::WatchRequest* request) override;
  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const v1::DescribeRequest* request,
                                     v1::DescribeResponse* response) override;
  grpc::ServerUnaryReactor* Status(grpc::CallbackServerContext* context,
                                   const v1::StatusRequest* request,
                                   v1::StatusResponse* response) override;

 private:
  class Exporter;
  class Watcher;

  QueryService(const Bundle& bundle, Options options);
  absl::Status CheckStore() const;
  // Runs `job` on the store's thread and finishes with its status.
  grpc::ServerUnaryReactor* WithStore(grpc::CallbackServerContext* context, absl::Status valid,
                                      std::function<absl::Status()> job);
  // What a bundle is here; `network` is used on the thread of one executor only.
  struct Served {
    std::string bundle_sha256;
    std::vector<ExitThreshold> thresholds;
    std::unique_ptr<WholeNetwork> network;
  };
  absl::Status RunWhole(const Served& served, const WholeInput& input,
                        v1::ClassifyResponse* response);
  std::shared_ptr<const Served> served();
  void Remove(Watcher* watcher);

  const NetworkPlan plan_;
  const Options options_;
  std::atomic<uint64_t> hard_seen_{0};

  Mutex mutex_;
  std::shared_ptr<const Served> served_ ABSL_GUARDED_BY(mutex_);
  Executor* executor_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::shared_ptr<Watcher>> watchers_ ABSL_GUARDED_BY(mutex_);

  Mutex status_mutex_;  // held while somebody says how the root is
  std::function<v1::StatusResponse()> status_ ABSL_GUARDED_BY(status_mutex_);

  Executor store_thread_;  // no engine: only jobs
};

}  // namespace ddnn

#endif  // DDNN_CLOUD_QUERY_SERVICE_H_

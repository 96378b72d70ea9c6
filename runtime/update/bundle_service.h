#ifndef DDNN_RUNTIME_UPDATE_BUNDLE_SERVICE_H_
#define DDNN_RUNTIME_UPDATE_BUNDLE_SERVICE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "ddnn/v1/bundle_service.grpc.pb.h"
#include "runtime/node/mutex.h"
#include "runtime/update/bundle_files.h"

namespace ddnn {

/// Bytes of a file in one message of Fetch, at most.
inline constexpr size_t kFetchChunk = 64 << 10;

/// A report has at most so many streams, and so long a name.
inline constexpr int kMaxPositions = 64;
inline constexpr size_t kMaxNodeName = 96;

/// Hands bundles to the children: proto/ddnn/v1/bundle_service.proto. What it serves is in memory,
/// so no reaction waits for a disk, and a folder that is replaced meanwhile changes nothing.
/// Safe to call from several threads.
class BundleService final : public v1::BundleService::CallbackService {
 public:
  BundleService() = default;
  /// The server it was registered with must have ended.
  ~BundleService() override = default;

  /// From now on these files are served, and every child is told `published`. Before the first call
  /// children wait.
  void Publish(v1::Published published, std::vector<SharedFiles> files);
  /// Who hears what children report, from gRPC's threads; must not block or call this service.
  /// Null: nobody, and when it returns, nobody is being told.
  void OnReport(std::function<void(const v1::BundleReport& report)> heard);
  /// Ends all calls of Current (UNAVAILABLE) and refuses new ones.
  void Shutdown();

  grpc::ServerWriteReactor<v1::Published>* Current(grpc::CallbackServerContext* context,
                                                   const v1::CurrentRequest* request) override;
  grpc::ServerWriteReactor<v1::FetchChunk>* Fetch(grpc::CallbackServerContext* context,
                                                  const v1::FetchRequest* request) override;
  grpc::ServerUnaryReactor* Report(grpc::CallbackServerContext* context,
                                   const v1::BundleReport* request,
                                   v1::BundleReportReply* reply) override;

 private:
  class Follower;
  class Sender;

  static constexpr size_t kMaxFollowers = 1024;
  static constexpr int kMaxSenders = 256;

  void Remove(Follower* follower);

  std::atomic<int> senders_{0};
  Mutex mutex_;
  v1::Published published_ ABSL_GUARDED_BY(mutex_);
  std::vector<SharedFiles> files_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Follower>> followers_ ABSL_GUARDED_BY(mutex_);
  std::function<void(const v1::BundleReport&)> heard_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_UPDATE_BUNDLE_SERVICE_H_

#ifndef DDNN_RUNTIME_UPDATE_PARENT_LINK_H_
#define DDNN_RUNTIME_UPDATE_PARENT_LINK_H_

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ddnn/v1/bundle_service.grpc.pb.h"
#include "runtime/update/bundle_files.h"

namespace ddnn {

/// A child's side of the bundle service: asks the parent which bundle it runs and fetches it. Its
/// connection is its own, so that what samples cost is counted without it. Calls block; safe from
/// several threads. Nothing that the parent sends is taken for granted: sizes are bounded before
/// memory is, hashes checked before anything is read.
class ParentLink {
 public:
  explicit ParentLink(std::string target);
  ~ParentLink();

  /// Calls `heard` with each thing the parent publishes until the call ends or Cancel; the reason.
  /// INTERNAL: the parent named no bundle.
  absl::Status Follow(const std::function<void(const v1::Published&)>& heard);
  /// Follow's first. Waits for a parent that has nothing yet, but not longer than `limit`.
  absl::StatusOr<v1::Published> Current(absl::Duration limit);

  /// Fetches a bundle for a place: the manifest, and each section that `known` (may be null) does
  /// not have with the same hash. DATA_LOSS: what came is not what was asked for. Otherwise as
  /// ParseManifest, ParseSection and `place` say.
  absl::StatusOr<SharedFiles> Fetch(const std::string& sha256, const FindPlace& place,
                                    const BundleFiles* known, absl::Duration limit);

  absl::Status Report(const v1::BundleReport& report, absl::Duration limit);

  /// Waits; false if Cancel was called.
  bool Wait(absl::Duration time);
  /// Ends what runs, and all that comes. From any thread.
  void Cancel();

  const std::string& target() const { return target_; }

 private:
  class Call;
  absl::StatusOr<std::string> FetchFile(const std::string& sha256, size_t max_bytes,
                                        absl::Time deadline);

  const std::string target_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::BundleService::Stub> stub_;

  std::mutex mu_;
  std::condition_variable changed_;
  bool cancelled_ = false;
  std::set<Call*> calls_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_UPDATE_PARENT_LINK_H_

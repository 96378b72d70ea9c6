#ifndef DDNN_RUNTIME_UPDATE_CHILD_BUNDLES_H_
#define DDNN_RUNTIME_UPDATE_CHILD_BUNDLES_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/update/child_updater.h"
#include "runtime/update/first_bundle.h"

namespace ddnn {

/// What a device or an edge has that was given no bundle: the folder that it keeps them in, the
/// parent that it has them from, and the updater that follows it.
class ChildBundles {
 public:
  /// \param state   --state
  /// \param parent  HOST:PORT
  static absl::StatusOr<std::unique_ptr<ChildBundles>> Open(const std::string& state,
                                                            const std::string& parent,
                                                            FindPlace place);
  /// As Stop.
  ~ChildBundles();

  /// The bundle to start with; CANCELLED after Cancel.
  absl::StatusOr<SharedFiles> First();
  /// From any thread.
  void Cancel() { parent_.Cancel(); }

  /// From now on new bundles are taken into use. `other_network` hears that this process must start
  /// again to follow its parent. The others must outlive Stop; `service` is null in the device
  /// tier.
  void Follow(Generations* generations, BundleService* service, absl::Duration limit,
              std::function<void(const absl::Status& why)> other_network);
  void Stop();

 private:
  ChildBundles(std::unique_ptr<KeptBundles> kept, const std::string& parent, FindPlace place);
  absl::Status Try(const SharedFiles& files) const;

  const std::unique_ptr<KeptBundles> kept_;
  ParentLink parent_;
  const FindPlace place_;
  std::unique_ptr<ChildUpdater> updater_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_UPDATE_CHILD_BUNDLES_H_

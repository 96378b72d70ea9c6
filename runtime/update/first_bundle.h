#ifndef DDNN_RUNTIME_UPDATE_FIRST_BUNDLE_H_
#define DDNN_RUNTIME_UPDATE_FIRST_BUNDLE_H_

#include <functional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/update/bundle_files.h"
#include "runtime/update/kept_bundles.h"
#include "runtime/update/parent_link.h"

namespace ddnn {

struct FirstBundleOptions {
  /// Runs a bundle's own section where a crash does no harm; called when it is kept and before it
  /// is taken into use.
  std::function<absl::Status(const SharedFiles& files)> try_bundle;
  /// Between attempts to reach a parent, doubled each time.
  absl::Duration min_backoff = absl::Milliseconds(100);
  absl::Duration max_backoff = absl::Seconds(5);
  /// How long a parent may take to say what it runs where there is a kept bundle to start with.
  absl::Duration ask_limit = absl::Seconds(2);
  /// Of one fetch.
  absl::Duration fetch_limit = absl::Minutes(10);
};

/// A bundle that ran so shortly that it was never proven, and with which a process was started this
/// often, is given up for the one before.
inline constexpr int kMostStarts = 2;

/// The bundle that a node starts with which was given none: the parent's, which is kept from then
/// on; or the kept one, if the parent is not there or has nothing that can be used. Without either
/// it waits for the parent. One that was refused is not taken; one whose trial fails is refused,
/// and the parent is told. CANCELLED after ParentLink::Cancel. Other errors are what waiting does
/// not change: this is no node of the parent's network, the parent serves no bundles, or the disk.
absl::StatusOr<SharedFiles> FirstBundle(KeptBundles* kept, ParentLink* parent,
                                        const FindPlace& place,
                                        const FirstBundleOptions& options = {});

}  // namespace ddnn

#endif  // DDNN_RUNTIME_UPDATE_FIRST_BUNDLE_H_

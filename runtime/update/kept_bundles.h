#ifndef DDNN_RUNTIME_UPDATE_KEPT_BUNDLES_H_
#define DDNN_RUNTIME_UPDATE_KEPT_BUNDLES_H_

#include <memory>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "ddnn/v1/bundle_service.pb.h"
#include "runtime/update/bundle_files.h"

namespace ddnn {

/// The folder in which a device or an edge keeps what it fetched, so that it can start without its
/// parent: FOLDER/kept.textproto, and FOLDER/<SHA-256>/ for each bundle. A crash leaves the state
/// before or after each call, never half of it. Not safe to call from several threads at once.
class KeptBundles {
 public:
  /// Makes the folder if need be. FAILED_PRECONDITION while another process uses it; an unreadable
  /// kept.textproto is an error that names it.
  static absl::StatusOr<std::unique_ptr<KeptBundles>> Open(const std::string& folder);
  ~KeptBundles();
  KeptBundles(const KeptBundles&) = delete;
  KeptBundles& operator=(const KeptBundles&) = delete;

  const v1::KeptState& state() const { return state_; }
  absl::Status Save(const v1::KeptState& state);

  /// Where a bundle is, or would be.
  std::string PathOf(const std::string& sha256_hex) const;
  absl::Status Keep(const BundleFiles& files);
  /// What was kept, checked as if it came from the parent.
  absl::StatusOr<SharedFiles> Read(const std::string& sha256_hex, const FindPlace& place) const;
  /// Removes all bundles but these.
  void Forget(const std::set<std::string>& but_sha256_hex);

 private:
  KeptBundles(std::string folder, int lock) : folder_(std::move(folder)), lock_(lock) {}

  const std::string folder_;
  const int lock_;  // a file descriptor
  v1::KeptState state_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_UPDATE_KEPT_BUNDLES_H_

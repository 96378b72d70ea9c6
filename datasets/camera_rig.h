#ifndef DDNN_DATASETS_CAMERA_RIG_H_
#define DDNN_DATASETS_CAMERA_RIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ddnn/v1/cameras.pb.h"

namespace ddnn {

/// Simulated cameras that look at the same items, each in its own way.
///
/// A view is a function of (seed, item key, camera) and of nothing else. It is computed in integers
/// from parameters made by +, -, * and / alone, so it is the same bit for bit on every machine.
/// Immutable; safe to call from several threads.
class CameraRig {
 public:
  static constexpr int kItemSide = 28;
  static constexpr int kViewSide = 32;

  /// `origin` (a file name) is for messages: INVALID_ARGUMENT names it, the camera, the field, what
  /// was found and what was expected.
  static absl::StatusOr<CameraRig> Create(const v1::CameraSet& set, const std::string& origin);
  /// Reads a text-format CameraSet; the project's own (datasets/six_cameras.textproto, as it was
  /// when this was built) if `path` is empty.
  static absl::StatusOr<CameraRig> Load(const std::string& path);

  int cameras() const { return static_cast<int>(cameras_.size()); }
  /// Bit c: camera c sees the item. Never 0: if all would miss it, the one that misses least sees
  /// it.
  uint64_t Presence(uint64_t key) const;
  /// \param item  [28, 28]
  /// \param view  [32, 32], overwritten
  void Render(const uint8_t* item, uint64_t key, int camera, uint8_t* view) const;

 private:
  struct Pose;
  Pose PoseFor(uint64_t key, int camera) const;

  uint64_t seed_ = 0;
  std::vector<v1::SimulatedCamera> cameras_;
  int surest_ = 0;  ///< the camera least likely to miss an item
};

}  // namespace ddnn

#endif  // DDNN_DATASETS_CAMERA_RIG_H_

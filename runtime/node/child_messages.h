#ifndef DDNN_RUNTIME_NODE_CHILD_MESSAGES_H_
#define DDNN_RUNTIME_NODE_CHILD_MESSAGES_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "models/network_plan.h"

namespace ddnn {

/// Checks what children of one node say against the network, before it has any effect. Every error
/// is INVALID_ARGUMENT and names the child, what was found and what was expected.
/// Not safe to call from several threads at once.
class ChildMessages {
 public:
  /// `plan` must outlive this.
  ChildMessages(const NetworkPlan& plan, int tier, int index);

  /// Slots: the children in plan order; in the device tier one, the camera.
  int slots() const { return static_cast<int>(views_.size()); }
  uint64_t views(int child) const { return views_[child]; }
  /// Bytes of a child's packed features.
  size_t feature_bytes(int child) const;

  absl::Status CheckSlot(int child) const;
  /// Replaces 0 by the child's view if it has just one.
  absl::Status CheckPresence(int child, uint64_t* presence) const;
  absl::Status CheckScores(int child, const std::string& packed, std::vector<float>* scores) const;
  /// Packed features of what travelled, see runtime/core/feature_code.h.
  absl::Status RestoreFeatures(int child, std::string* features);
  absl::Status CheckPixels(int child, const std::vector<std::pair<int, std::string>>& pixels) const;

 private:
  std::string Name(int child) const;
  const ValueType& type(int child) const;

  const NetworkPlan& plan_;
  const int tier_;
  const int index_;
  std::vector<uint64_t> views_;  // by slot
  std::vector<float> scratch_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NODE_CHILD_MESSAGES_H_

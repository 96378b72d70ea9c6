#ifndef DDNN_MODELS_SPEC_CHECKS_H_
#define DDNN_MODELS_SPEC_CHECKS_H_

#include <string>

#include "absl/status/status.h"
#include "ddnn/v1/network.pb.h"

namespace ddnn {

inline constexpr int kMaxViews = 64;
inline constexpr int kMaxClasses = 65536;
inline constexpr int kMaxTiers = 8;

/// Checks what concerns no shapes: names, the input, counts, exits' weights, training defaults.
absl::Status CheckSpec(const v1::NetworkSpec& spec);

/// "device.conv1", or "device.3" for a layer without a name; "device.local.0" in an exit's head.
std::string LayerPlace(const std::string& section, const v1::Layer& layer, int index);

}  // namespace ddnn

#endif  // DDNN_MODELS_SPEC_CHECKS_H_

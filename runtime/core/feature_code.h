#ifndef DDNN_RUNTIME_CORE_FEATURE_CODE_H_
#define DDNN_RUNTIME_CORE_FEATURE_CODE_H_

#include <string>

#include "absl/status/status.h"
#include "models/network_plan.h"

namespace ddnn {

// How packed features (feature_codec.h) travel: bits through an adaptive binary arithmetic coder
// (Rissanen and Langdon, 1981), whose probability for a bit follows from four that came before it
// in its plane, left of it and in the row above, and from how often such a bit was 1 so far in this
// message. Neighbours in a plane are alike, so a third of the bytes goes; no table is needed, and
// no message depends on another.

/// What to send for features of this type: coded where that is shorter, else as they are. A type
/// that is not kBit always travels as it is.
std::string CodeFeatures(const ValueType& type, std::string packed);

/// Whether so many bytes can be features of this type on their way.
/// INVALID_ARGUMENT says "9 bytes, expected 1 to 8", or just 8 where nothing is coded.
absl::Status CheckTravelledSize(const ValueType& type, size_t bytes);

/// The reverse. What has PackedSize(type) bytes travelled as it is; fewer are code, and whatever
/// they are, they decode to some features.
/// Fails as CheckTravelledSize does; `features` is then as it was.
absl::Status RestoreFeatures(const ValueType& type, std::string* features);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_CORE_FEATURE_CODE_H_

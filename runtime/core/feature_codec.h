#ifndef DDNN_RUNTIME_CORE_FEATURE_CODEC_H_
#define DDNN_RUNTIME_CORE_FEATURE_CODEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/network_plan.h"

namespace ddnn {

/// Packed features, the form in which they are cached and travel. Values in the order [C, H, W].
///   kPixel    one byte each, the pixel itself
///   kBit      one bit each, 1 is +1 and 0 is -1 (a missing slot's 0 packs as 0 and is restored
///   from
///             the presence mask), bit i in byte i / 8 at position i % 8; spare bits of the last
///             byte zero
///   kInteger, kFloat   float32, little endian

/// Exact size of packed features of this type, bytes.
size_t PackedSize(const ValueType& type);

/// \param values  [C, H, W] in the network's units ((p - offset) * scale for pixels).
std::string PackFeatures(const ValueType& type, const v1::Input& input,
                         absl::Span<const float> values);

/// INVALID_ARGUMENT when the size is not PackedSize(type), or a spare bit is set, or a float is not
/// finite. \param values  [C, H, W], overwritten.
absl::Status UnpackFeatures(const ValueType& type, const v1::Input& input, absl::string_view packed,
                            absl::Span<float> values);

/// Weights bits as in the section file: bit i of the stream, 1 is +1.
inline bool BitAt(absl::string_view bits, size_t i) {
  return (static_cast<unsigned char>(bits[i / 8]) >> (i % 8)) & 1;
}

}  // namespace ddnn

#endif  // DDNN_RUNTIME_CORE_FEATURE_CODEC_H_

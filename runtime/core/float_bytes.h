#ifndef DDNN_RUNTIME_CORE_FLOAT_BYTES_H_
#define DDNN_RUNTIME_CORE_FLOAT_BYTES_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace ddnn {

/// IEEE 754 binary32, little endian, as in section files and messages, on any machine.
inline void AppendFloat(float value, std::string* out) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  for (int shift = 0; shift < 32; shift += 8) out->push_back(static_cast<char>(bits >> shift));
}

/// All of them, one behind the other.
inline std::string FloatBytes(absl::Span<const float> values) {
  std::string bytes;
  bytes.reserve(4 * values.size());
  for (float value : values) AppendFloat(value, &bytes);
  return bytes;
}

/// Float number `i` of `bytes`, which must hold it.
inline float FloatAt(absl::string_view bytes, size_t i) {
  uint32_t bits = 0;
  for (int b = 0; b < 4; ++b) {
    bits |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[4 * i + b])) << (8 * b);
  }
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

/// All floats of `bytes`; a rest of one to three bytes is left out.
inline std::vector<float> FloatsOf(absl::string_view bytes) {
  std::vector<float> values(bytes.size() / 4);
  for (size_t i = 0; i < values.size(); ++i) values[i] = FloatAt(bytes, i);
  return values;
}

/// True if a bit behind the first `count` of a bit string is set.
inline bool HasSpareBits(absl::string_view bits, size_t count) {
  if (count % 8 == 0) return false;
  return (static_cast<unsigned char>(bits[count / 8]) >> (count % 8)) != 0;
}

}  // namespace ddnn

#endif  // DDNN_RUNTIME_CORE_FLOAT_BYTES_H_

#include "runtime/core/feature_codec.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "runtime/core/float_bytes.h"

namespace ddnn {
namespace {

std::string PackPixels(const v1::Input& input, absl::Span<const float> values) {
  std::string packed(values.size(), '\0');
  for (size_t i = 0; i < values.size(); ++i) {
    const double pixel = std::nearbyint(static_cast<double>(values[i]) / input.scale()) +
                         static_cast<double>(input.offset());
    // Written so that not-a-number becomes 0.
    packed[i] =
        static_cast<char>(static_cast<unsigned char>(pixel > 0 ? std::min(pixel, 255.0) : 0.0));
  }
  return packed;
}

std::string PackBits(absl::Span<const float> values) {
  std::string packed((values.size() + 7) / 8, '\0');
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] > 0) packed[i / 8] = static_cast<char>(packed[i / 8] | (1 << (i % 8)));
  }
  return packed;
}

}  // namespace

size_t PackedSize(const ValueType& type) {
  const size_t count = static_cast<size_t>(type.shape.size());
  switch (type.kind) {
    case ValueKind::kPixel:
      return count;
    case ValueKind::kBit:
      return (count + 7) / 8;
    case ValueKind::kInteger:
    case ValueKind::kFloat:
      break;
  }
  return 4 * count;
}

std::string PackFeatures(const ValueType& type, const v1::Input& input,
                         absl::Span<const float> values) {
  switch (type.kind) {
    case ValueKind::kPixel:
      return PackPixels(input, values);
    case ValueKind::kBit:
      return PackBits(values);
    case ValueKind::kInteger:
    case ValueKind::kFloat:
      break;
  }
  return FloatBytes(values);
}

absl::Status UnpackFeatures(const ValueType& type, const v1::Input& input, absl::string_view packed,
                            absl::Span<float> values) {
  const size_t count = static_cast<size_t>(type.shape.size());
  if (values.size() != count) {
    return absl::InvalidArgumentError(absl::StrCat(
        "room for ", values.size(), " features, expected ", count, " of ", ToString(type.shape)));
  }
  if (packed.size() != PackedSize(type)) {
    return absl::InvalidArgumentError(absl::StrCat("features of ", packed.size(),
                                                   " bytes, expected ", PackedSize(type), " for ",
                                                   ToString(type.shape)));
  }
  switch (type.kind) {
    case ValueKind::kPixel:
      for (size_t i = 0; i < count; ++i) {
        const int pixel = static_cast<unsigned char>(packed[i]);
        values[i] = static_cast<float>(pixel - input.offset()) * input.scale();
      }
      return absl::OkStatus();
    case ValueKind::kBit:
      if (HasSpareBits(packed, count)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "features have a bit set behind the last of ", count, ", expected zeros there"));
      }
      for (size_t i = 0; i < count; ++i) values[i] = BitAt(packed, i) ? 1.0f : -1.0f;
      return absl::OkStatus();
    case ValueKind::kInteger:
    case ValueKind::kFloat:
      break;
  }
  for (size_t i = 0; i < count; ++i) {
    values[i] = FloatAt(packed, i);
    if (!std::isfinite(values[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat("feature ", i, " is ", values[i], ", expected a finite number"));
    }
  }
  return absl::OkStatus();
}

}  // namespace ddnn

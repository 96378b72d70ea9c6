#include "runtime/core/feature_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "runtime/core/float_bytes.h"
#include "tests/support/random_network.h"

namespace ddnn {
namespace {

using ::testing::HasSubstr;

v1::Input RandomInput(Random* random) {
  v1::Input input;
  input.set_offset(RandomInt(0, 255, random));
  const bool exact = RandomInt(0, 1, random) == 0;
  input.set_scale(exact ? 1.0f / static_cast<float>(1 << RandomInt(0, 8, random)) : 1.0f / 255.0f);
  return input;
}

ValueType RandomType(ValueKind kind, Random* random) {
  ValueType type;
  type.kind = kind;
  type.shape = {RandomInt(1, 5, random), RandomInt(1, 7, random), RandomInt(1, 7, random)};
  return type;
}

std::vector<float> RandomValues(const ValueType& type, const v1::Input& input, Random* random) {
  std::vector<float> values(static_cast<size_t>(type.shape.size()));
  for (float& value : values) {
    switch (type.kind) {
      case ValueKind::kPixel:
        value = static_cast<float>(RandomInt(0, 255, random) - input.offset()) * input.scale();
        break;
      case ValueKind::kBit:
        value = RandomInt(0, 1, random) == 0 ? -1.0f : 1.0f;
        break;
      case ValueKind::kInteger:
        value = 0.25f * static_cast<float>(RandomInt(-100000, 100000, random));
        break;
      case ValueKind::kFloat:
        value = RandomFloat(-1e6f, 1e6f, random);
        break;
    }
  }
  return values;
}

class EveryKind : public testing::TestWithParam<ValueKind> {};

TEST_P(EveryKind, ComesBackAsItWas) {
  Random random(10);
  for (int i = 0; i < 300; ++i) {
    const v1::Input input = RandomInput(&random);
    const ValueType type = RandomType(GetParam(), &random);
    const std::vector<float> values = RandomValues(type, input, &random);
    const std::string packed = PackFeatures(type, input, values);
    EXPECT_EQ(packed.size(), PackedSize(type));
    std::vector<float> back(values.size(), 123.0f);
    const absl::Status status = UnpackFeatures(type, input, packed, absl::MakeSpan(back));
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(back, values) << ToString(type.shape);
  }
}

TEST_P(EveryKind, RefusesAnyOtherSize) {
  Random random(11);
  const v1::Input input = RandomInput(&random);
  ValueType type;
  type.kind = GetParam();
  type.shape = {3, 5, 7};
  std::vector<float> values(105);
  for (size_t size : {size_t{0}, PackedSize(type) - 1, PackedSize(type) + 1, size_t{1000000}}) {
    const absl::Status status =
        UnpackFeatures(type, input, std::string(size, '\0'), absl::MakeSpan(values));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::to_string(size)));
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::to_string(PackedSize(type))));
  }
  std::vector<float> small(104);
  EXPECT_FALSE(
      UnpackFeatures(type, input, std::string(PackedSize(type), '\0'), absl::MakeSpan(small)).ok());
}

INSTANTIATE_TEST_SUITE_P(FeatureCodec, EveryKind,
                         testing::Values(ValueKind::kPixel, ValueKind::kBit, ValueKind::kInteger,
                                         ValueKind::kFloat));

TEST(FeatureCodec, BitsLieAsWrittenDown) {
  ValueType type;
  type.kind = ValueKind::kBit;
  type.shape = {1, 1, 10};
  // Bits 0, 3 and 9; the zero of a missing slot packs as 0.
  const std::vector<float> values = {1, -1, -1, 1, 0, -1, -1, -1, -1, 1};
  EXPECT_EQ(PackFeatures(type, v1::Input(), values), std::string("\x09\x02", 2));
}

TEST(FeatureCodec, RefusesEverySpareBit) {
  for (int bits = 1; bits <= 24; ++bits) {
    ValueType type;
    type.kind = ValueKind::kBit;
    type.shape = {bits, 1, 1};
    std::vector<float> values(static_cast<size_t>(bits));
    for (size_t bit = 0; bit < 8 * PackedSize(type); ++bit) {
      std::string packed(PackedSize(type), '\0');
      packed[bit / 8] = static_cast<char>(1 << (bit % 8));
      const bool spare = bit >= static_cast<size_t>(bits);
      EXPECT_EQ(UnpackFeatures(type, v1::Input(), packed, absl::MakeSpan(values)).ok(), !spare)
          << "bit " << bit << " of " << bits;
    }
  }
}

TEST(FeatureCodec, RefusesFloatsThatAreNotFinite) {
  ValueType type;
  type.shape = {3, 1, 1};
  std::vector<float> values(3);
  for (float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::string packed;
    for (float value : {1.0f, bad, 2.0f}) AppendFloat(value, &packed);
    const absl::Status status = UnpackFeatures(type, v1::Input(), packed, absl::MakeSpan(values));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("feature 1"));
  }
}

TEST(FeatureCodec, PixelsOutsideTheRangeAreCut) {
  ValueType type;
  type.kind = ValueKind::kPixel;
  type.shape = {4, 1, 1};
  v1::Input input;
  input.set_scale(1);
  EXPECT_EQ(PackFeatures(type, input, {-5.0f, 300.0f, std::nanf(""), 254.6f}),
            std::string("\0\xff\0\xff", 4));
}

}  // namespace
}  // namespace ddnn

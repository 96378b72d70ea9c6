#include "runtime/core/feature_code.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "runtime/core/feature_codec.h"
#include "tests/support/random_network.h"

namespace ddnn {
namespace {

using ::testing::HasSubstr;

ValueType Bits(int channels, int height, int width) {
  ValueType type;
  type.kind = ValueKind::kBit;
  type.shape = {channels, height, width};
  return type;
}

void SetBit(std::string* packed, int i) {
  (*packed)[i / 8] = static_cast<char>((*packed)[i / 8] | 1 << (i % 8));
}

// Each bit is like the one left of it with probability `alike`, and else drawn.
std::string DrawFeatures(const ValueType& type, double alike, double ones, Random* random) {
  std::string packed(PackedSize(type), '\0');
  bool bit = false;
  for (int i = 0; i < type.shape.size(); ++i) {
    if (RandomFloat(0, 1, random) >= alike) bit = RandomFloat(0, 1, random) < ones;
    if (bit) SetBit(&packed, i);
  }
  return packed;
}

TEST(FeatureCode, RestoresEveryPatternAndIsNeverLonger) {
  Random random(11);
  for (int i = 0; i < 2000; ++i) {
    const ValueType type =
        Bits(RandomInt(1, 9, &random), RandomInt(1, 12, &random), RandomInt(1, 12, &random));
    const double alike = RandomInt(0, 2, &random) == 0 ? 0 : RandomFloat(0, 1, &random);
    const double ones =
        RandomInt(0, 3, &random) == 0 ? RandomInt(0, 1, &random) : RandomFloat(0, 1, &random);
    const std::string packed = DrawFeatures(type, alike, ones, &random);
    std::string travels = CodeFeatures(type, packed);
    EXPECT_GE(travels.size(), 1u);
    EXPECT_LE(travels.size(), packed.size());
    ASSERT_TRUE(RestoreFeatures(type, &travels).ok());
    ASSERT_EQ(travels, packed) << "case " << i;
  }
}

TEST(FeatureCode, RestoresLongRunsOfOneBit) {
  const ValueType type = Bits(64, 40, 40);
  for (char fill : {'\x00', '\xff'}) {
    std::string packed(PackedSize(type), fill);
    packed[packed.size() / 2] = static_cast<char>(~fill);
    std::string travels = CodeFeatures(type, packed);
    EXPECT_LT(travels.size(), packed.size() / 50);
    ASSERT_TRUE(RestoreFeatures(type, &travels).ok());
    EXPECT_EQ(travels, packed);
  }
}

TEST(FeatureCode, SavesMoreTheMoreNeighboursAreAlike) {
  Random random(12);
  const ValueType type = Bits(16, 8, 8);
  size_t before = PackedSize(type) * 100 + 1;
  for (double alike : {0.0, 0.5, 0.8, 0.95}) {
    size_t bytes = 0;
    for (int i = 0; i < 100; ++i) {
      bytes += CodeFeatures(type, DrawFeatures(type, alike, 0.5, &random)).size();
    }
    EXPECT_LT(bytes, before) << alike;
    before = bytes;
  }
  // Of 128 bytes each; the entropy of such bits is 0.17 bits.
  EXPECT_LT(before, 100 * 40u);
}

TEST(FeatureCode, IsTheSameOnEveryMachine) {
  const ValueType type = Bits(2, 4, 8);
  const std::string packed = absl::HexStringToBytes("00183c7e7e3c1800");
  EXPECT_EQ(absl::BytesToHexString(CodeFeatures(type, packed)), "a9497e3e6de0");
}

TEST(FeatureCode, TakesAnyBytesForSomeFeatures) {
  Random random(13);
  for (int i = 0; i < 2000; ++i) {
    const ValueType type =
        Bits(RandomInt(1, 9, &random), RandomInt(1, 9, &random), RandomInt(2, 9, &random));
    const size_t size = PackedSize(type);
    if (size < 2) continue;
    std::string hostile(RandomInt(1, static_cast<int>(size) - 1, &random), '\0');
    const bool ones = RandomInt(0, 9, &random) == 0;
    for (char& c : hostile) c = ones ? '\xff' : static_cast<char>(RandomInt(0, 255, &random));
    ASSERT_TRUE(RestoreFeatures(type, &hostile).ok());
    std::vector<float> values(type.shape.size());
    // Spare bits are zero too.
    EXPECT_TRUE(UnpackFeatures(type, {}, hostile, absl::MakeSpan(values)).ok());
  }
}

TEST(FeatureCode, RefusesWhatCannotBe) {
  const ValueType bits = Bits(2, 4, 8);
  for (const std::string& wrong : {std::string(), std::string(9, 'x')}) {
    std::string features = wrong;
    const absl::Status status = RestoreFeatures(bits, &features);
    EXPECT_THAT(std::string(status.message()), HasSubstr("bytes, expected 1 to 8"));
    EXPECT_EQ(features, wrong);
  }
}

TEST(FeatureCode, LeavesOtherKindsAlone) {
  for (ValueKind kind : {ValueKind::kPixel, ValueKind::kInteger, ValueKind::kFloat}) {
    ValueType type = Bits(1, 4, 8);
    type.kind = kind;
    std::string features(PackedSize(type), '\0');
    EXPECT_EQ(CodeFeatures(type, features), features);
    EXPECT_TRUE(RestoreFeatures(type, &features).ok());
    features.pop_back();
    EXPECT_THAT(std::string(RestoreFeatures(type, &features).message()),
                HasSubstr(absl::StrCat(features.size(), " bytes, expected ", PackedSize(type))));
  }
}

}  // namespace
}  // namespace ddnn

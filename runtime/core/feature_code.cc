#include "runtime/core/feature_code.h"

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/core/feature_codec.h"

namespace ddnn {
namespace {

constexpr uint32_t kTop = 1u << 24;
constexpr int kContexts = 16;
constexpr int kOne = 1 << 16;

// How likely the next bit in one surrounding is 1, of kOne.
class Likelihood {
 public:
  explicit Likelihood(int neighbours = 0) : value_(kFirst[neighbours]) {}

  uint32_t value() const { return static_cast<uint32_t>(value_); }
  void Learn(bool bit) {
    value_ += ((bit ? kOne : 0) - value_) / (seen_ + 4);
    // Never sure: the other bit must keep a part of the range.
    value_ = value_ < kLeast ? kLeast : value_ > kOne - kLeast ? kOne - kLeast : value_;
    if (seen_ < kRemembered) ++seen_;
  }

 private:
  static constexpr int kLeast = 64, kRemembered = 250;
  // Before anything was seen, by how many of the four neighbours are 1.
  static constexpr int kFirst[5] = {kOne / 5, kOne * 7 / 20, kOne / 2, kOne * 13 / 20,
                                    kOne * 4 / 5};

  int value_;
  int seen_ = 0;
};

// Goes through the planes bit by bit, in the order they are packed in, and knows what is likely.
class Planes {
 public:
  explicit Planes(const Shape& shape)
      : width_(shape.width),
        rows_(shape.channels * shape.height),
        height_(shape.height),
        above_(shape.width + 2, 0),
        row_(shape.width + 2, 0) {
    for (int c = 0; c < kContexts; ++c) {
      likelihoods_[c] = Likelihood((c & 1) + (c >> 1 & 1) + (c >> 2 & 1) + (c >> 3 & 1));
    }
  }

  // next(likelihood) says what the next bit is, having coded or decoded it.
  template <typename Next>
  void ForEachBit(const Next& next) {
    for (int64_t r = 0; r < rows_; ++r) {
      if (r % height_ == 0) above_.assign(above_.size(), 0);
      for (int64_t x = 1; x <= width_; ++x) {
        const int context = row_[x - 1] | above_[x - 1] << 1 | above_[x] << 2 | above_[x + 1] << 3;
        const bool bit = next(likelihoods_[context].value());
        likelihoods_[context].Learn(bit);
        row_[x] = bit ? 1 : 0;
      }
      std::swap(row_, above_);
    }
  }

 private:
  int64_t width_, rows_, height_;
  std::vector<uint8_t> above_, row_;  // a 0 on either side
  std::array<Likelihood, kContexts> likelihoods_;
};

// Part of the range that stands for a 1.
uint32_t Share(uint32_t range, uint32_t likelihood) { return (range >> 16) * likelihood; }

// Range coder with carry (Martin, 1979).
class Encoder {
 public:
  void Put(bool bit, uint32_t likelihood) {
    const uint32_t one = Share(range_, likelihood);
    if (bit) {
      range_ = one;
    } else {
      low_ += one;
      range_ -= one;
    }
    while (range_ < kTop) {
      range_ <<= 8;
      ShiftOut();
    }
  }

  // The decoder reads zeros behind the end: of all numbers in the range one that ends in many.
  std::string Finish() {
    for (int zeros = 31; zeros >= 0; --zeros) {
      const uint64_t step = uint64_t{1} << zeros, number = (low_ + step - 1) / step * step;
      if (number - low_ >= range_) continue;
      low_ = number;
      break;
    }
    for (int i = 0; i < 5; ++i) ShiftOut();
    // The first byte is in front of the number, and always 0.
    size_t end = out_.size();
    while (end > 2 && out_[end - 1] == '\0') --end;
    return out_.substr(1, end - 1);
  }

 private:
  // A byte of ones waits until it is known whether something is carried into it.
  void ShiftOut() {
    if (low_ < 0xff000000u || low_ > 0xffffffffu) {
      const uint8_t carry = static_cast<uint8_t>(low_ >> 32);
      out_.push_back(static_cast<char>(held_ + carry));
      for (; ones_ > 0; --ones_) out_.push_back(static_cast<char>(0xff + carry));
      held_ = static_cast<uint8_t>(low_ >> 24);
    } else {
      ++ones_;
    }
    low_ = (low_ & 0x00ffffff) << 8;
  }

  uint64_t low_ = 0;
  uint32_t range_ = 0xffffffff;
  uint8_t held_ = 0;
  size_t ones_ = 0;
  std::string out_;
};

class Decoder {
 public:
  explicit Decoder(absl::string_view code) : code_(code) {
    for (int i = 0; i < 4; ++i) ShiftIn();
  }

  bool Get(uint32_t likelihood) {
    const uint32_t one = Share(range_, likelihood);
    const bool bit = number_ < one;
    if (bit) {
      range_ = one;
    } else {
      number_ -= one;
      range_ -= one;
    }
    while (range_ < kTop) {
      range_ <<= 8;
      ShiftIn();
    }
    return bit;
  }

 private:
  void ShiftIn() {
    const uint8_t next = at_ < code_.size() ? static_cast<uint8_t>(code_[at_]) : 0;
    ++at_;
    number_ = number_ << 8 | next;
  }

  absl::string_view code_;
  size_t at_ = 0;
  uint32_t number_ = 0, range_ = 0xffffffff;
};

}  // namespace

std::string CodeFeatures(const ValueType& type, std::string packed) {
  if (type.kind != ValueKind::kBit) return packed;
  Encoder encoder;
  size_t i = 0;
  Planes(type.shape).ForEachBit([&](uint32_t likelihood) {
    const bool bit = BitAt(packed, i++);
    encoder.Put(bit, likelihood);
    return bit;
  });
  std::string code = encoder.Finish();
  return code.size() < packed.size() ? code : packed;
}

absl::Status CheckTravelledSize(const ValueType& type, size_t bytes) {
  const size_t packed = PackedSize(type);
  const bool coded = type.kind == ValueKind::kBit;
  if (bytes == packed || (coded && bytes > 0 && bytes < packed)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(bytes, " bytes, expected ", coded ? "1 to " : "", packed));
}

absl::Status RestoreFeatures(const ValueType& type, std::string* features) {
  if (absl::Status ok = CheckTravelledSize(type, features->size()); !ok.ok()) return ok;
  const size_t size = PackedSize(type);
  if (features->size() == size) return absl::OkStatus();
  std::string packed(size, '\0');
  Decoder decoder(*features);
  size_t i = 0;
  Planes(type.shape).ForEachBit([&](uint32_t likelihood) {
    const bool bit = decoder.Get(likelihood);
    if (bit) packed[i / 8] = static_cast<char>(packed[i / 8] | 1 << (i % 8));
    ++i;
    return bit;
  });
  *features = std::move(packed);
  return absl::OkStatus();
}

}  // namespace ddnn

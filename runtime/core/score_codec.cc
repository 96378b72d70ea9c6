#include "runtime/core/score_codec.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "runtime/core/float_bytes.h"

namespace ddnn {
namespace {

// The highest number, which stands for no number.
int NoNumber(const v1::ScoreCode& code) { return (1 << code.bits()) - 1; }

float Step(const v1::ScoreCode& code) {
  return 2 * code.range() / static_cast<float>(NoNumber(code) - 1);
}

int NumberOf(const v1::ScoreCode& code, float score) {
  if (std::isnan(score)) return NoNumber(code);
  const float clipped = std::clamp(score, -code.range(), code.range());
  return static_cast<int>(std::nearbyint((clipped + code.range()) / Step(code)));
}

float ScoreOf(const v1::ScoreCode& code, int number) {
  if (number == NoNumber(code)) return std::numeric_limits<float>::quiet_NaN();
  return static_cast<float>(number) * Step(code) - code.range();
}

}  // namespace

size_t PackedScoresSize(const v1::ScoreCode& code, int classes) {
  const auto count = static_cast<size_t>(classes);
  return code.bits() == 0 ? 4 * count : (count * static_cast<size_t>(code.bits()) + 7) / 8;
}

void RoundScores(const v1::ScoreCode& code, std::vector<float>* scores) {
  if (code.bits() == 0) return;
  for (float& score : *scores) score = ScoreOf(code, NumberOf(code, score));
}

std::string PackScores(absl::Span<const float> scores, const v1::ScoreCode& code) {
  if (code.bits() == 0) return FloatBytes(scores);
  std::string packed(PackedScoresSize(code, static_cast<int>(scores.size())), '\0');
  size_t bit = 0;
  for (float score : scores) {
    const int number = NumberOf(code, score);
    for (int b = 0; b < code.bits(); ++b, ++bit) {
      packed[bit / 8] = static_cast<char>(packed[bit / 8] | (number >> b & 1) << (bit % 8));
    }
  }
  return packed;
}

absl::Status UnpackScores(absl::string_view packed, int classes, std::vector<float>* scores,
                          const v1::ScoreCode& code) {
  const size_t expected = classes < 0 ? 0 : PackedScoresSize(code, classes);
  if (classes < 0 || packed.size() != expected) {
    return absl::InvalidArgumentError(absl::StrCat("scores of ", packed.size(), " bytes, expected ",
                                                   expected, " for ", classes, " classes"));
  }
  if (code.bits() == 0) {
    *scores = FloatsOf(packed);
    return absl::OkStatus();
  }
  const auto bit_at = [packed](size_t i) {
    return static_cast<unsigned char>(packed[i / 8]) >> (i % 8) & 1;
  };
  size_t bit = 0;
  scores->clear();
  for (int c = 0; c < classes; ++c) {
    int number = 0;
    for (int b = 0; b < code.bits(); ++b, ++bit) number |= bit_at(bit) << b;
    scores->push_back(ScoreOf(code, number));
  }
  for (; bit < 8 * packed.size(); ++bit) {
    if (bit_at(bit) != 0) return absl::InvalidArgumentError("a spare bit of the scores is set");
  }
  return absl::OkStatus();
}

}  // namespace ddnn

#ifndef DDNN_RUNTIME_CORE_SCORE_CODEC_H_
#define DDNN_RUNTIME_CORE_SCORE_CODEC_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ddnn/v1/network.pb.h"

namespace ddnn {

/// How a node's scores travel to the parent that decides its exit. Without a code (bits 0) as
/// float32, little endian. With one, as numbers of so many bits: k stands for
/// k * step - range, step = 2 * range / (2^bits - 2), so that 0 is among them; the highest k for a
/// score that is not a number. Score c is in the bits c * bits and following, bit i in byte i / 8
/// at position i % 8; spare bits zero.

/// Bytes of one node's packed scores.
size_t PackedScoresSize(const v1::ScoreCode& code, int classes);

/// What is left of scores once they have travelled. Nodes and the whole network decide by these, so
/// that they agree to the bit: packing them loses nothing more.
void RoundScores(const v1::ScoreCode& code, std::vector<float>* scores);

std::string PackScores(absl::Span<const float> scores, const v1::ScoreCode& code = {});

/// INVALID_ARGUMENT when the size is not PackedScoresSize, or a spare bit is set. Values that are
/// not finite pass: such an exit never takes.
absl::Status UnpackScores(absl::string_view packed, int classes, std::vector<float>* scores,
                          const v1::ScoreCode& code = {});

}  // namespace ddnn

#endif  // DDNN_RUNTIME_CORE_SCORE_CODEC_H_

#ifndef DDNN_RUNTIME_CORE_EXIT_CRITERION_H_
#define DDNN_RUNTIME_CORE_EXIT_CRITERION_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "ddnn/v1/bundle.pb.h"

namespace ddnn {

/// When a sample stops at an exit.
struct ExitThreshold {
  ExitThreshold() = default;
  ExitThreshold(float entropy) : entropy(entropy) {}  // NOLINT: most of them are just a number

  float entropy = -1;          ///< at or below it a sample stops; -1: none does
  std::vector<float> missing;  ///< with 1, 2, ... views missing, then the last; empty: as `entropy`
  v1::Criterion criterion = v1::ENTROPY;
  float temperature = 1;  ///< above 0; the scores are divided by it

  /// The one for so many missing views.
  float At(int views_missing) const;
};
bool operator==(const ExitThreshold& a, const ExitThreshold& b);

/// Scores how unsure an exit is, by its criterion and temperature: 0 is certain, 1 is uniform.
/// Answers and reports call it entropy, which it is unless the bundle says otherwise.
///
/// With p the softmax of logits / temperature and p1 >= p2 its largest: entropy (see below),
/// (1 - p1) * C / (C - 1), or 1 - (p1 - p2).
///
/// \param logits  [C], C >= 2, before softmax
/// \return        in [0, 1]; 1 where a logit is not finite, so that such a sample never exits
/// early. Computed in double in a fixed order: the same logits give the same bits on every node.
float Uncertainty(const ExitThreshold& rule, absl::Span<const float> logits);

/// Entropy of the softmax divided by log C, so one threshold means the same whatever the class
/// count: Uncertainty as it is by default. Source: Teerapittayanon, McDanel and Kung, ICDCS 2017
/// (arXiv 1709.01921).
float NormalizedEntropy(absl::Span<const float> logits);

/// Index of the largest score, the first of equals. Not-a-number never wins; 0 if nothing else is
/// there.
int ArgMax(absl::Span<const float> scores);

/// True if a sample with this uncertainty stops at an exit with this threshold: at or below it, and
/// false where either is not finite.
bool Exits(float uncertainty, float threshold);

/// How many of a network's views a sample lacks. \param presence  bit v: view v is there
int ViewsMissing(int views, uint64_t presence);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_CORE_EXIT_CRITERION_H_

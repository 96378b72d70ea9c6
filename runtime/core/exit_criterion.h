#ifndef DDNN_RUNTIME_CORE_EXIT_CRITERION_H_
#define DDNN_RUNTIME_CORE_EXIT_CRITERION_H_

#include "absl/types/span.h"

namespace ddnn {

/// Scores how unsure an exit is about a sample: 0 is certain, 1 is uniform.
///
/// Entropy of the softmax divided by log C, so one threshold means the same whatever the class
/// count. Source: Teerapittayanon, McDanel and Kung, ICDCS 2017 (arXiv 1709.01921).
///
/// \param logits  [C], C >= 2, before softmax.
/// \return        in [0, 1]; 1 where a logit is not finite, so that such a sample never exits
/// early. Computed in double in a fixed order: the same logits give the same bits on every node.
float NormalizedEntropy(absl::Span<const float> logits);

/// Index of the largest score, the first of equals. Not-a-number never wins; 0 if nothing else is
/// there.
int ArgMax(absl::Span<const float> scores);

/// True if a sample with this entropy stops at an exit with this threshold: entropy <= threshold,
/// and false where either is not finite.
bool Exits(float entropy, float threshold);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_CORE_EXIT_CRITERION_H_

#ifndef DDNN_TRAIN_OPS_H_
#define DDNN_TRAIN_OPS_H_

#include <ATen/core/Tensor.h>

#include "ddnn/v1/network.pb.h"
#include "train/ranks.h"

namespace ddnn::train {

// Presence masks are float, 1 = present and 0 = missing, [B, G]; undefined means: all present.

/// +1 where x >= 0, else -1. Backward passes the gradient where |x| <= 1 (straight-through
/// estimator; Hubara et al., 2016). Any shape; keeps the memory format.
at::Tensor SignSte(const at::Tensor& x);

/// Batch norm in training mode over the samples of which a node is present.
///
/// What a node would have computed from a view that is not there must not shift the statistics it
/// will be folded with: only present samples are counted. A node that is absent from the whole
/// batch leaves its running statistics as they are. Values of absent samples are beta.
///
/// \param x         [B, G*C, H, W]
/// \param mask      [B, G], or undefined
/// \param gamma, beta, mean, variance   [G*C]; the last two are updated in place (variance
///                  unbiased, as in LibTorch)
/// \param ranks     the statistics are those of the joint batch
at::Tensor MaskedBatchNorm(const at::Tensor& x, const at::Tensor& mask, const at::Tensor& gamma,
                           const at::Tensor& beta, const at::Tensor& mean,
                           const at::Tensor& variance, double momentum, double epsilon,
                           Ranks* ranks = nullptr);

/// Joins n children's class scores as runtime/core/aggregate.h does, for a batch.
///
/// \param scores  [B, n, C]
/// \return        MP, AP: [B, C]; CC: [B, n*C]. Zeros where all children are missing, so that no
///                infinity reaches a loss; the caller leaves such samples out.
at::Tensor JoinScoreBatch(v1::Aggregator kind, const at::Tensor& scores, const at::Tensor& mask);

/// Joins n children's features as runtime/core/aggregate.h does, for a batch.
///
/// \param features  [B, n*C, H, W], zero where a child is missing
/// \return          MP, AP: [B, C, H, W]; CC: [B, n*C, H, W], or on a grid [B, C, R*H, K*W]
at::Tensor JoinFeatureBatch(const v1::Aggregation& how, int children, const at::Tensor& features,
                            const at::Tensor& mask);

/// [B, G] -> [B, G*C, 1, 1], each entry repeated C times.
at::Tensor SpreadMask(const at::Tensor& mask, int64_t channels);

/// What RoundScores leaves of scores, with the gradient passed where a score is within the code's
/// range and 0 elsewhere.
at::Tensor RoundScoresSte(const v1::ScoreCode& code, const at::Tensor& scores);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_OPS_H_

#ifndef DDNN_TRAIN_RANKS_H_
#define DDNN_TRAIN_RANKS_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "absl/types/span.h"

namespace ddnn::train {

/// Processes that train one network together, each on its part of a joint batch. Where a function
/// takes a Ranks* it may be null: then this process has the whole batch.
///
/// Everything here is called by all of them in the same order with the same sizes, from the thread
/// that trains. In a backward pass that holds by itself: autograd runs what it recorded in reverse
/// order, the same on all ranks. Throws where a rank is gone.
class Ranks {
 public:
  virtual ~Ranks() = default;

  /// Replaces each value by its sum over all ranks, the same bit for bit on all of them.
  virtual void Sum(absl::Span<double> values) = 0;
  /// The same for a contiguous float tensor.
  virtual void Sum(const at::Tensor& values) = 0;
};

/// Per channel, of this rank's values in and of all ranks' values out: how many, their mean, and
/// the sum of the squares of what is off the mean.
void JoinStatistics(Ranks* ranks, std::vector<double>* counts, std::vector<double>* means,
                    std::vector<double>* squares);

/// The sum over all ranks, differentiable: its gradient is that of the sum of all ranks' losses.
at::Tensor SumOverRanks(Ranks* ranks, const at::Tensor& x);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_RANKS_H_

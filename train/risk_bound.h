#ifndef DDNN_TRAIN_RISK_BOUND_H_
#define DDNN_TRAIN_RISK_BOUND_H_

#include <cstdint>
#include <functional>
#include <vector>

namespace ddnn::train {

/// Losses of independent samples, each 0, 1/2 or 1: all that the tests below need to know.
struct LossCounts {
  int64_t none = 0, half = 0, full = 0;

  int64_t samples() const { return none + half + full; }
};

/// Natural logarithms of p-values for "the mean loss is `limit` or more": at or below log(alpha),
/// that is refuted, wrongly so with probability alpha at most, whatever the distribution and for
/// any number of samples. 0 (nothing refuted) for limits at or below 0, minus infinity above 1,
/// where no loss can be.

/// Exact, for losses of 0 and 1 only (half ones are counted as full): the chance of so few of them,
/// P(Bin(n, limit) <= full). As in Learn then Test (Angelopoulos, Bates, Candès, Jordan, Lei 2021,
/// arXiv 2110.01052).
double LogBinomialP(const LossCounts& losses, double limit);

/// Capital 1 against the wealth of a bettor who stakes the same share on every sample having a loss
/// below `limit`: if the mean is not below it, no stake wins in expectation, and Markov's
/// inequality does the rest. Adapts to the variance, which is what makes small differences of
/// accuracies testable. Waudby-Smith and Ramdas (arXiv 2010.09686), with whose bound
/// Risk-Controlling Prediction Sets (Bates, Angelopoulos, Lei, Malik, Jordan 2021, arXiv
/// 2101.02703) work.
///
/// The capital is given to three bettors who stake a third, two thirds and all of `stake`: where it
/// comes from samples that were lucky, the first losses would ruin one who stakes it all.
///
/// \param stake  from 0 to 1: share of the most that can be staked. Must not depend on `losses`.
double LogBettingP(const LossCounts& losses, double limit, double stake);

/// The stake that would have won most on other samples and one more with full loss; below 1.
double BestStake(const LossCounts& other, double limit);

/// Tests hypotheses in a fixed order and stops at the first that is not refuted: returns how many
/// were. That any of them was refuted wrongly has probability alpha at most, however many there
/// are, if the order does not depend on the samples of the tests (fixed-sequence testing, as in
/// Learn then Test).
size_t RefutedInOrder(const std::vector<double>& log_p, double alpha);

/// The smallest limit in [0, 1] which `log_p` (falling in its argument) refutes at alpha, within
/// 1e-6; 1 if none below is.
double SmallestRefuted(const std::function<double(double)>& log_p, double alpha);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_RISK_BOUND_H_

#include "train/risk_bound.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ddnn::train {
namespace {

constexpr int kBettors = 3;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// log(exp(a) + exp(b))
double LogAdd(double a, double b) {
  const double high = std::max(a, b), low = std::min(a, b);
  return high == -kInfinity ? high : high + std::log1p(std::exp(low - high));
}

double LogWealth(const LossCounts& losses, double limit, double stake) {
  const double most = stake / (1 - limit);
  const auto log_factor = [&](int64_t count, double loss) {
    return count == 0 ? 0 : static_cast<double>(count) * std::log1p(most * (limit - loss));
  };
  return log_factor(losses.none, 0) + log_factor(losses.half, 0.5) + log_factor(losses.full, 1);
}

}  // namespace

double LogBinomialP(const LossCounts& losses, double limit) {
  if (!(limit > 0)) return 0;
  if (limit > 1) return -kInfinity;
  const int64_t n = losses.samples(), bad = losses.half + losses.full;
  if (bad >= n || limit == 1) return bad >= n ? 0 : -kInfinity;
  // Terms of the distribution from 0 up, each from the one before.
  const double odds = std::log(limit) - std::log1p(-limit);
  double term = static_cast<double>(n) * std::log1p(-limit), sum = term;
  for (int64_t k = 1; k <= bad; ++k) {
    term += odds + std::log(static_cast<double>(n - k + 1)) - std::log(static_cast<double>(k));
    sum = LogAdd(sum, term);
  }
  return std::min(sum, 0.0);
}

double LogBettingP(const LossCounts& losses, double limit, double stake) {
  if (!(limit > 0)) return 0;
  if (limit > 1) return -kInfinity;
  if (limit == 1) return losses.full == losses.samples() ? 0 : -kInfinity;
  double wealth = -kInfinity;
  for (int part = 1; part <= kBettors; ++part) {
    const double own = std::clamp(stake, 0.0, 1.0) * part / kBettors;
    wealth = LogAdd(wealth, LogWealth(losses, limit, own));
  }
  return std::min(0.0, std::log(kBettors) - wealth);
}

double BestStake(const LossCounts& other, double limit) {
  if (!(limit > 0 && limit < 1)) return 0;
  LossCounts losses = other;
  ++losses.full;
  // The logarithm of the wealth is concave in the stake.
  double low = 0, high = 1 - 1e-9;
  for (int step = 0; step < 50; ++step) {
    const double a = low + (high - low) / 3, b = high - (high - low) / 3;
    if (LogWealth(losses, limit, a) < LogWealth(losses, limit, b)) {
      low = a;
    } else {
      high = b;
    }
  }
  return (low + high) / 2;
}

size_t RefutedInOrder(const std::vector<double>& log_p, double alpha) {
  const auto stop = std::find_if_not(log_p.begin(), log_p.end(),
                                     [alpha](double p) { return p <= std::log(alpha); });
  return stop - log_p.begin();
}

double SmallestRefuted(const std::function<double(double)>& log_p, double alpha) {
  double low = 0, high = 1;
  while (high - low > 1e-6) {
    const double middle = (low + high) / 2;
    (log_p(middle) <= std::log(alpha) ? high : low) = middle;
  }
  return high;
}

}  // namespace ddnn::train

#ifndef DDNN_TESTS_ENGINE_RANDOM_NETWORK_SPEC_H_
#define DDNN_TESTS_ENGINE_RANDOM_NETWORK_SPEC_H_

#include <random>

#include "models/network_plan.h"

namespace ddnn {
namespace testing {

enum class Arithmetic {
  kBinary,  ///< every value before the head's last batch norm is a pixel, a bit or an integer
  kFloat,   ///< float layers, no sign behind them: nothing turns rounding into another bit
};

/// A random two-tier network that plans: devices and one cloud over one to three of them, joined by
/// MP, AP (kFloat only) or CC.
NetworkPlan RandomPlan(Arithmetic arithmetic, std::mt19937* rng);

}  // namespace testing
}  // namespace ddnn

#endif  // DDNN_TESTS_ENGINE_RANDOM_NETWORK_SPEC_H_

#ifndef DDNN_TESTS_SUPPORT_RANDOM_NETWORK_H_
#define DDNN_TESTS_SUPPORT_RANDOM_NETWORK_H_

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "ddnn/v1/bundle.pb.h"
#include "models/network_plan.h"
#include "runtime/core/bundle.h"

namespace ddnn {

/// Seeded by the test: the same seed gives the same network on every machine (no std::
/// distributions).
using Random = std::mt19937_64;

/// Uniform in [low, high].
int RandomInt(int low, int high, Random* random);
/// Uniform in [low, high).
float RandomFloat(float low, float high, Random* random);

struct RandomSpecOptions {
  int views = 0;    ///< 0: 1 to 6
  int tiers = 0;    ///< 0: 1 to 3 (with one tier: one view)
  int classes = 0;  ///< 0: 2 to 7
  /// Only layers whose results must be equal bit for bit: binary layers, max_pool, sign, flatten,
  /// batch_norm before sign over integers.
  bool binary_only = false;
  /// Upper tiers may have several nodes, or no layers.
  bool odd_trees = true;
};

/// A valid spec with small random layers, shapes, groups, aggregators and exits.
v1::NetworkSpec RandomSpec(const RandomSpecOptions& options, Random* random);

/// A valid section with random weights for one node of a plan.
v1::Section RandomSection(const NetworkPlan& plan, int tier, int node, Random* random);
/// One for every node, devices first.
std::vector<v1::Section> RandomSections(const NetworkPlan& plan, Random* random);

/// A bundle in memory with random sections, every threshold the same. Its sha256 depends on spec,
/// thresholds and sections, as a saved one's does.
Bundle RandomBundle(const NetworkPlan& plan, float threshold, Random* random);

/// Saves a bundle, as ddnn-train does.
absl::Status SaveBundleTo(const std::string& directory, const Bundle& bundle);

/// Pixels of one view, [C, H, W].
std::string RandomPixels(const NetworkPlan& plan, Random* random);

/// Path of a file in the source tree: DDNN_SOURCE_DIR comes from ctest.
std::string SourcePath(const std::string& relative);

}  // namespace ddnn

#endif  // DDNN_TESTS_SUPPORT_RANDOM_NETWORK_H_

#ifndef DDNN_TESTS_NODE_NETWORKS_H_
#define DDNN_TESTS_NODE_NETWORKS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "models/network_plan.h"
#include "runtime/core/bundle.h"

namespace ddnn {

/// A small network shaped like one of the paper's Figure 2, 'a' to 'f': views of 1x4x4, 3 classes.
/// Dies if it does not plan. With `scores` the exits over several nodes join by that aggregator.
NetworkPlan SmallNetwork(char figure, v1::Aggregator scores = v1::MP);

/// A tree of random depth and width with random exits and aggregators; the same for the same seed.
NetworkPlan RandomNetwork(uint64_t seed);

/// A bundle whose sections say which node they belong to and nothing else, for fake engines.
Bundle FakeBundle(const NetworkPlan& plan);

/// Scores by class that an exit is sure about, or as unsure as can be.
std::vector<float> SureScores(int class_index);
std::vector<float> UnsureScores();

/// Packed features of a node that pass every check; differ by seed.
std::string SomeFeatures(const ValueType& type, uint64_t seed);

}  // namespace ddnn

#endif  // DDNN_TESTS_NODE_NETWORKS_H_

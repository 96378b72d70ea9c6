#ifndef DDNN_TESTS_TRAIN_THREE_EXITS_H_
#define DDNN_TESTS_TRAIN_THREE_EXITS_H_

#include <algorithm>
#include <cmath>

#include "tests/train/toy_dataset.h"
#include "train/evaluate.h"

namespace ddnn::train {

/// TinySpec with an "edge" and its exit between devices and cloud.
inline NetworkPlan ThreeExits() {
  v1::NetworkSpec spec = PlanOf(TinySpec()).spec();
  v1::Tier edge = spec.tier(1);
  edge.set_name("edge");
  edge.mutable_exit()->set_name("edge");
  v1::Tier cloud = spec.tier(1);
  *spec.mutable_tier(1) = edge;
  *spec.add_tier() = cloud;
  return *NetworkPlan::Create(spec);
}

/// Samples of random difficulty: harder ones are less often right, later exits more often, and
/// entropies tell, with noise, on a grid of `steps` (so that there are equal ones).
inline ExitRecords RandomRecords(int exits, int64_t samples, int steps, Random* random) {
  ExitRecords records;
  records.samples = samples;
  records.entropy.resize(exits);
  records.right.resize(exits);
  for (int64_t i = 0; i < samples; ++i) {
    const float difficulty = RandomFloat(0, 1, random), luck = RandomFloat(0, 1, random);
    for (int e = 0; e < exits; ++e) {
      const float noise = RandomFloat(-0.2f, 0.2f, random);
      const float entropy = std::clamp(difficulty / static_cast<float>(e + 1) + noise, 0.0f, 1.0f);
      records.entropy[e].push_back(std::round(entropy * static_cast<float>(steps)) /
                                   static_cast<float>(steps));
      const float wrong = difficulty * difficulty / (1 + 0.5f * static_cast<float>(e));
      records.right[e].push_back(luck + RandomFloat(-0.1f, 0.1f, random) > wrong);
    }
  }
  return records;
}

}  // namespace ddnn::train

#endif  // DDNN_TESTS_TRAIN_THREE_EXITS_H_

#include "train/training_settings.h"

#include <cstdint>

namespace ddnn::train {

double DecayOf(const v1::WeightDecay& decay, TensorRole role) {
  const bool decays = role == TensorRole::kWeight ||
                      (role == TensorRole::kNorm && decay.batch_norm()) ||
                      (role == TensorRole::kBinaryWeight && decay.binary());
  return decays ? decay.rate() : 0;
}

std::vector<float> ClassWeightsOf(const v1::ClassWeights& spec, absl::Span<const int> labels,
                                  int classes) {
  std::vector<float> weights(spec.weight().begin(), spec.weight().end());
  if (!spec.balanced()) return weights;
  std::vector<int64_t> counts(classes);
  for (int label : labels) ++counts[label];
  const double even = static_cast<double>(labels.size()) / classes;
  for (int64_t count : counts) {
    weights.push_back(count > 0 ? static_cast<float>(even / count) : 0);
  }
  return weights;
}

}  // namespace ddnn::train

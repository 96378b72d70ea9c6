#ifndef DDNN_TRAIN_TRAINING_SETTINGS_H_
#define DDNN_TRAIN_TRAINING_SETTINGS_H_

#include <vector>

#include "absl/types/span.h"
#include "ddnn/v1/network.pb.h"
#include "train/module_state.h"

namespace ddnn::train {

/// Weight decay of a tensor: weights of float layers, others where the spec names them, biases
/// never.
double DecayOf(const v1::WeightDecay& decay, TensorRole role);

/// How much a sample of each class counts, as JointLoss takes it; empty where all count the same.
///
/// Balanced: N / (classes * samples of the class), so that every class counts as much as every
/// other, and a sample 1 on average; 0 for a class without samples.
/// \param labels  of the training samples, 0 to classes - 1
std::vector<float> ClassWeightsOf(const v1::ClassWeights& spec, absl::Span<const int> labels,
                                  int classes);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_TRAINING_SETTINGS_H_

#ifndef DDNN_TRAIN_TEMPERATURE_H_
#define DDNN_TRAIN_TEMPERATURE_H_

#include "train/evaluate.h"

namespace ddnn::train {

/// The temperature, 0.05 to 20, at which the softmax of an exit's scores gives the labels the
/// highest likelihood: above 1 where an exit is over-confident. 1 without samples. Needs
/// records.scores and records.label.
///
/// Source: Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017
/// (arXiv 1706.04599).
float FitTemperature(const ExitRecords& records, int exit);

/// Mean negative log likelihood of the labels at a temperature, in nats.
double NegativeLogLikelihood(const ExitRecords& records, int exit, double temperature);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_TEMPERATURE_H_

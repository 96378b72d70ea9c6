#include "train/temperature.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/random_network.h"

namespace ddnn::train {
namespace {

// Labels drawn from the softmax of the scores divided by `temperature`.
ExitRecords Drawn(double temperature, int64_t samples, int classes, Random* random) {
  ExitRecords records;
  records.samples = samples;
  records.scores.resize(1);
  for (int64_t i = 0; i < samples; ++i) {
    std::vector<double> weight;
    double total = 0;
    for (int c = 0; c < classes; ++c) {
      records.scores[0].push_back(RandomFloat(-4, 4, random));
      total += std::exp(records.scores[0].back() / temperature);
      weight.push_back(total);
    }
    const double luck = RandomFloat(0, 1, random) * total;
    int label = 0;
    while (label + 1 < classes && weight[label] < luck) ++label;
    records.label.push_back(label);
  }
  return records;
}

TEST(FitTemperature, FindsTheOneThatLabelsWereDrawnWith) {
  Random random(3);
  for (double temperature : {0.4, 1.0, 2.5}) {
    const ExitRecords records = Drawn(temperature, 20000, 4, &random);
    EXPECT_NEAR(FitTemperature(records, 0), temperature, 0.05 * temperature);
  }
}

TEST(FitTemperature, IsAtTheLowestLoss) {
  Random random(4);
  const ExitRecords records = Drawn(1.7, 300, 10, &random);
  const double fitted = FitTemperature(records, 0),
               loss = NegativeLogLikelihood(records, 0, fitted);
  for (double factor : {0.9, 0.99, 1.01, 1.1}) {
    EXPECT_GT(NegativeLogLikelihood(records, 0, fitted * factor), loss) << factor;
  }
}

TEST(FitTemperature, StaysWithinItsBoundsWhereNothingHoldsIt) {
  Random random(5);
  ExitRecords records = Drawn(1, 50, 3, &random);
  EXPECT_EQ(FitTemperature(ExitRecords(), 0), 1);
  for (int64_t i = 0; i < records.samples; ++i) {  // always right: the surer the better
    records.scores[0][i * 3 + records.label[i]] = 9;
  }
  EXPECT_NEAR(FitTemperature(records, 0), 0.05, 0.01);
  for (float& score : records.scores[0]) score = -score;  // always wrong
  EXPECT_NEAR(FitTemperature(records, 0), 20, 0.1);
}

TEST(NegativeLogLikelihood, IsTheDefinition) {
  ExitRecords records;
  records.samples = 2;
  records.scores = {{std::log(3.0f), 0, 1000, 999}};
  records.label = {0, 1};
  const double expected = (-std::log(0.75) + std::log(1 + std::exp(1.0))) / 2;
  EXPECT_NEAR(NegativeLogLikelihood(records, 0, 1), expected, 1e-6);
}

}  // namespace
}  // namespace ddnn::train

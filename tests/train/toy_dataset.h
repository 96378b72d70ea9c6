#ifndef DDNN_TESTS_TRAIN_TOY_DATASET_H_
#define DDNN_TESTS_TRAIN_TOY_DATASET_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datasets/dataset.h"
#include "models/network_plan.h"
#include "tests/support/random_network.h"

namespace ddnn {

/// Samples that are easy to tell apart: class c lights up the rows with row % classes == c, over
/// noise. Views are absent at random (never all), unless `always_present`.
class ToyDataset : public Dataset {
 public:
  struct Options {
    int64_t train = 96, calibration = 40, test = 40;
    bool always_present = false;
    uint64_t seed = 1;
  };

  explicit ToyDataset(const NetworkPlan& plan) : ToyDataset(plan, Options()) {}
  ToyDataset(const NetworkPlan& plan, const Options& options) : options_(options) {
    const Shape shape = plan.view_shape();
    info_.spec = "toy";
    info_.views = plan.views();
    info_.channels = shape.channels;
    info_.height = shape.height;
    info_.width = shape.width;
    const auto& names = plan.spec().class_name();
    info_.class_names.assign(names.begin(), names.end());
  }

  const DatasetInfo& info() const override { return info_; }
  DatasetInfo* mutable_info() { return &info_; }
  int64_t size(Split split) const override {
    return split == Split::kTrain         ? options_.train
           : split == Split::kCalibration ? options_.calibration
                                          : options_.test;
  }

  absl::Status Read(Split split, int64_t index, DatasetSample* sample) const override {
    if (index < 0 || index >= size(split)) return absl::OutOfRangeError("no such sample");
    Random random(options_.seed * 1000003 + static_cast<uint64_t>(split) * 100003 + index);
    const int classes = static_cast<int>(info_.class_names.size());
    sample->label = static_cast<int>(index % classes);
    sample->presence = 0;
    const int sure = RandomInt(0, info_.views - 1, &random);
    sample->view_labels.assign(info_.views, classes);
    for (int v = 0; v < info_.views; ++v) {
      if (!options_.always_present && v != sure && RandomInt(0, 3, &random) == 0) continue;
      sample->presence |= uint64_t{1} << v;
      sample->view_labels[v] = sample->label;
    }
    sample->pixels.clear();
    for (int v = 0; v < info_.views; ++v) {
      const bool present = sample->presence >> v & 1;
      for (int c = 0; c < info_.channels; ++c) {
        for (int y = 0; y < info_.height; ++y) {
          for (int x = 0; x < info_.width; ++x) {
            const int light = y % classes == sample->label ? 180 : 20;
            sample->pixels.push_back(
                static_cast<char>(present ? light + RandomInt(0, 60, &random) : 0));
          }
        }
      }
    }
    return absl::OkStatus();
  }

 private:
  Options options_;
  DatasetInfo info_;
};

/// Plans a text-format spec; dies with the reason if it does not plan.
NetworkPlan PlanOf(const std::string& spec);

/// Three views of 1x8x8, 3 classes, binary devices with a "local" exit, a cloud with a "cloud"
/// exit.
std::string TinySpec(const std::string& join_scores = "MP",
                     const std::string& join_features = "CC");

/// One view of an MNIST-like item, a binary device with a "local" exit, a cloud with a "cloud"
/// exit: four epochs of it take a second.
std::string SmallItemSpec();

/// The hash of every file of a bundle by its name inside it.
std::map<std::string, std::string> FileHashes(const std::string& bundle);

}  // namespace ddnn

#endif  // DDNN_TESTS_TRAIN_TOY_DATASET_H_

#include "train/batch_loss.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

namespace ddnn::train {
namespace {

// Rows of class scores: row b begins at scores + b * stride, its label is labels[b * label_stride].
struct Rows {
  int64_t count, classes;
  const float* scores;
  int64_t stride;
  const int64_t* labels;
  int64_t label_stride;
  const float* mask;  // null: all present
  int64_t mask_stride;
  const float* class_weights;  // null: all 1

  int64_t Label(int64_t b) const { return labels[b * label_stride]; }
  const float* Scores(int64_t b) const { return scores + b * stride; }
  double Weight(int64_t b) const {
    const int64_t label = Label(b);
    if (label < 0 || label >= classes) return 0;
    if (mask != nullptr && mask[b * mask_stride] == 0) return 0;
    return class_weights == nullptr ? 1 : class_weights[label];
  }
};

struct RowSums {
  double loss = 0;
  int64_t counted = 0, right = 0;
};

// Adds `factor` times the gradient of the mean to rows of `gradient`, as far apart as the scores.
RowSums MeanCrossEntropy(const Rows& rows, double factor, float* gradient) {
  double total = 0;
  for (int64_t b = 0; b < rows.count; ++b) total += rows.Weight(b);
  if (total == 0) total = 1;
  RowSums sums;
  std::vector<double> powers(rows.classes);
  for (int64_t b = 0; b < rows.count; ++b) {
    const int64_t label = rows.Label(b);
    if (label < 0 || label >= rows.classes) continue;
    if (rows.mask != nullptr && rows.mask[b * rows.mask_stride] == 0) continue;
    const float* scores = rows.Scores(b);
    const float* highest = std::max_element(scores, scores + rows.classes);
    ++sums.counted;
    if (highest - scores == label) ++sums.right;
    const double share = rows.Weight(b) / total;
    double sum = 0;
    for (int64_t c = 0; c < rows.classes; ++c) {
      powers[c] = std::exp(static_cast<double>(scores[c]) - *highest);
      sum += powers[c];
    }
    sums.loss += share * (std::log(sum) + *highest - scores[label]);
    for (int64_t c = 0; c < rows.classes; ++c) {
      const double slope = powers[c] / sum - (c == label ? 1 : 0);
      gradient[b * rows.stride + c] += static_cast<float>(factor * share * slope);
    }
  }
  return sums;
}

at::Tensor Plain(const at::Tensor& t) {
  return t.defined() ? t.detach().to(at::kCPU).contiguous() : at::Tensor();
}

const float* Values(const at::Tensor& t) { return t.defined() ? t.data_ptr<float>() : nullptr; }

}  // namespace

BatchLoss LossOfBatch(const NetworkPlan& plan, const std::vector<ExitBatch>& exits,
                      const at::Tensor& labels, const at::Tensor& view_labels,
                      const at::Tensor& class_weights) {
  const at::Tensor own = Plain(labels), views = Plain(view_labels), weights = Plain(class_weights);
  BatchLoss all;
  for (size_t e = 0; e < exits.size(); ++e) {
    const ExitPlan& exit = plan.exits()[e];
    const at::Tensor scores = Plain(exits[e].scores), mask = Plain(exits[e].mask);
    const int64_t batch = scores.size(0), classes = scores.size(1);
    at::Tensor gradient = at::zeros_like(scores);
    const RowSums joined =
        MeanCrossEntropy({batch, classes, Values(scores), classes, own.data_ptr<int64_t>(), 1,
                          Values(mask), 1, Values(weights)},
                         exit.weight, gradient.data_ptr<float>());
    ExitLoss loss{joined.loss, joined.counted, joined.right, {}, {}};
    loss.scores_gradient = gradient.to(exits[e].scores.device());
    all.value += exit.weight * joined.loss;
    const int64_t nodes = exits[e].node_scores.size(1);
    if (nodes > 1 && exit.each_weight != 0) {
      const at::Tensor each = Plain(exits[e].node_scores), present = Plain(exits[e].node_mask);
      gradient = at::zeros_like(each);
      for (int64_t n = 0; n < nodes; ++n) {
        const bool by_view = exit.tier == 0;
        Rows rows{batch,
                  classes,
                  Values(each) + n * classes,
                  nodes * classes,
                  by_view ? views.data_ptr<int64_t>() + n : own.data_ptr<int64_t>(),
                  by_view ? views.size(1) : 1,
                  Values(present),
                  nodes,
                  Values(weights)};
        if (rows.mask != nullptr) rows.mask += n;
        all.value +=
            exit.each_weight *
            MeanCrossEntropy(rows, exit.each_weight, gradient.data_ptr<float>() + n * classes).loss;
      }
      loss.node_gradient = gradient.to(exits[e].node_scores.device());
    }
    all.exits.push_back(std::move(loss));
  }
  return all;
}

void Backward(const std::vector<ExitBatch>& exits, const BatchLoss& loss) {
  std::vector<at::Tensor> roots, gradients;
  const auto add = [&](const at::Tensor& root, const at::Tensor& gradient) {
    if (!gradient.defined() || !root.requires_grad()) return;
    roots.push_back(root);
    gradients.push_back(gradient);
  };
  for (size_t e = 0; e < exits.size(); ++e) {
    add(exits[e].scores, loss.exits[e].scores_gradient);
    add(exits[e].node_scores, loss.exits[e].node_gradient);
  }
  torch::autograd::backward(roots, gradients);
}

}  // namespace ddnn::train

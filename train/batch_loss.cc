#include "train/batch_loss.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <utility>

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
  bool Counts(int64_t b) const {
    const int64_t label = Label(b);
    return label >= 0 && label < classes && (mask == nullptr || mask[b * mask_stride] != 0);
  }
  // Of a row that counts.
  double Weight(int64_t b) const { return class_weights == nullptr ? 1 : class_weights[Label(b)]; }
};

// Of the rows that count.
struct RowSums {
  double weight = 0, loss = 0, counted = 0, right = 0;
};

constexpr size_t kSums = 4;

double Mean(double sum, double weight) { return sum / (weight == 0 ? 1 : weight); }

RowSums SumsOf(const Rows& rows) {
  RowSums sums;
  for (int64_t b = 0; b < rows.count; ++b) {
    if (!rows.Counts(b)) continue;
    const float* scores = rows.Scores(b);
    const float* highest = std::max_element(scores, scores + rows.classes);
    ++sums.counted;
    if (highest - scores == rows.Label(b)) ++sums.right;
    double sum = 0;
    for (int64_t c = 0; c < rows.classes; ++c) {
      sum += std::exp(static_cast<double>(scores[c]) - *highest);
    }
    const double weight = rows.Weight(b);
    sums.weight += weight;
    sums.loss += weight * (std::log(sum) + *highest - scores[rows.Label(b)]);
  }
  return sums;
}

// Adds `factor` times the gradient of the mean cross entropy of rows of this whole weight to rows
// of `gradient`, as far apart as the scores.
void AddGradient(const Rows& rows, double factor, double weight, float* gradient) {
  std::vector<double> powers(rows.classes);
  for (int64_t b = 0; b < rows.count; ++b) {
    if (!rows.Counts(b)) continue;
    const float* scores = rows.Scores(b);
    const float* highest = std::max_element(scores, scores + rows.classes);
    double sum = 0;
    for (int64_t c = 0; c < rows.classes; ++c) {
      powers[c] = std::exp(static_cast<double>(scores[c]) - *highest);
      sum += powers[c];
    }
    const double share = Mean(rows.Weight(b), weight);
    for (int64_t c = 0; c < rows.classes; ++c) {
      const double slope = powers[c] / sum - (c == rows.Label(b) ? 1 : 0);
      gradient[b * rows.stride + c] += static_cast<float>(factor * share * slope);
    }
  }
}

// One mean among those that the joint loss is made of.
struct Term {
  Rows rows;
  double factor;
  float* gradient;
  RowSums sums;
};

void SumOverAllRanks(Ranks* ranks, std::vector<Term>* terms) {
  if (ranks == nullptr) return;
  std::vector<double> all;
  for (const Term& t : *terms) {
    all.insert(all.end(), {t.sums.weight, t.sums.loss, t.sums.counted, t.sums.right});
  }
  ranks->Sum(absl::MakeSpan(all));
  for (size_t i = 0; i < terms->size(); ++i) {
    const double* sums = all.data() + kSums * i;
    (*terms)[i].sums = {sums[0], sums[1], sums[2], sums[3]};
  }
}

at::Tensor Plain(const at::Tensor& t) {
  return t.defined() ? t.detach().to(at::kCPU).contiguous() : at::Tensor();
}

// An exit's batch in this process's memory, with room for gradients.
struct PlainExit {
  explicit PlainExit(const ExitBatch& exit)
      : scores(Plain(exit.scores)),
        mask(Plain(exit.mask)),
        node_scores(Plain(exit.node_scores)),
        node_mask(Plain(exit.node_mask)),
        gradient(at::zeros_like(scores)),
        node_gradient(at::zeros_like(node_scores)) {}
  at::Tensor scores, mask, node_scores, node_mask, gradient, node_gradient;
};

bool EachCounts(const ExitPlan& exit, int64_t nodes) { return nodes > 1 && exit.each_weight != 0; }

const float* Values(const at::Tensor& t) { return t.defined() ? t.data_ptr<float>() : nullptr; }

}  // namespace

BatchLoss LossOfBatch(const NetworkPlan& plan, const std::vector<ExitBatch>& exits,
                      const at::Tensor& labels, const at::Tensor& view_labels,
                      const at::Tensor& class_weights, Ranks* ranks) {
  const at::Tensor own = Plain(labels), views = Plain(view_labels), weights = Plain(class_weights);
  const std::vector<PlainExit> plain(exits.begin(), exits.end());
  std::vector<Term> terms;
  std::vector<size_t> first;  // of each exit: its joined scores
  for (size_t e = 0; e < exits.size(); ++e) {
    const ExitPlan& exit = plan.exits()[e];
    const PlainExit& at = plain[e];
    const int64_t batch = at.scores.size(0), classes = at.scores.size(1);
    const int64_t nodes = at.node_scores.size(1);
    first.push_back(terms.size());
    terms.push_back({{batch, classes, Values(at.scores), classes, own.data_ptr<int64_t>(), 1,
                      Values(at.mask), 1, Values(weights)},
                     exit.weight,
                     at.gradient.data_ptr<float>(),
                     {}});
    if (!EachCounts(exit, nodes)) continue;
    for (int64_t n = 0; n < nodes; ++n) {
      const bool by_view = exit.tier == 0;
      Rows rows{batch,
                classes,
                Values(at.node_scores) + n * classes,
                nodes * classes,
                by_view ? views.data_ptr<int64_t>() + n : own.data_ptr<int64_t>(),
                by_view ? views.size(1) : 1,
                Values(at.node_mask),
                nodes,
                Values(weights)};
      if (rows.mask != nullptr) rows.mask += n;
      terms.push_back(
          {rows, exit.each_weight, at.node_gradient.data_ptr<float>() + n * classes, {}});
    }
  }
  for (Term& t : terms) t.sums = SumsOf(t.rows);
  SumOverAllRanks(ranks, &terms);
  BatchLoss all;
  for (const Term& t : terms) {
    AddGradient(t.rows, t.factor, t.sums.weight, t.gradient);
    all.value += t.factor * Mean(t.sums.loss, t.sums.weight);
  }
  for (size_t e = 0; e < exits.size(); ++e) {
    const RowSums& joined = terms[first[e]].sums;
    ExitLoss loss;
    loss.loss = Mean(joined.loss, joined.weight);
    loss.counted = static_cast<int64_t>(joined.counted);
    loss.right = static_cast<int64_t>(joined.right);
    loss.scores_gradient = plain[e].gradient.to(exits[e].scores.device());
    if (EachCounts(plan.exits()[e], plain[e].node_scores.size(1))) {
      loss.node_gradient = plain[e].node_gradient.to(exits[e].node_scores.device());
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

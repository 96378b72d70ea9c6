#include "train/ddnn_module.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace ddnn::train {
namespace {

std::vector<v1::Layer> Layers(const google::protobuf::RepeatedPtrField<v1::Layer>& layers) {
  return {layers.begin(), layers.end()};
}

// An undefined mask means that all are present: then nothing needs to be masked out at all.
at::Tensor MaskOf(const at::Tensor& presence) {
  if (presence.all().item<bool>()) return {};
  return presence.to(at::kFloat);
}

// Which nodes of a tier have a child that is there.
at::Tensor ParentMask(const TierPlan& tier, const at::Tensor& children) {
  const at::Tensor below = children.to(at::kCPU).contiguous();
  const int64_t batch = below.size(0), width = below.size(1);
  const int64_t nodes = static_cast<int64_t>(tier.nodes.size());
  const at::Tensor mask = at::zeros({batch, nodes}, below.options());
  const float* from = below.data_ptr<float>();
  float* to = mask.data_ptr<float>();
  bool all = true;
  for (int64_t b = 0; b < batch; ++b, from += width, to += nodes) {
    for (int64_t n = 0; n < nodes; ++n) {
      for (int child : tier.nodes[n].children) to[n] = std::max(to[n], from[child]);
      all = all && to[n] > 0;
    }
  }
  return all ? at::Tensor() : mask.to(children.device());
}

// Mean cross entropy over rows that are present and labelled; 0 where there are none.
at::Tensor CrossEntropy(const at::Tensor& scores, const at::Tensor& labels, const at::Tensor& mask,
                        const at::Tensor& class_weights) {
  const int64_t classes = scores.size(1);
  at::Tensor counts = (labels < classes).to(at::kFloat);
  if (mask.defined()) counts = counts * mask;
  const at::Tensor row = labels.clamp_max(classes - 1).unsqueeze(1);
  if (class_weights.defined()) counts = counts * class_weights.index_select(0, row.squeeze(1));
  const at::Tensor losses = -at::log_softmax(scores, 1).gather(1, row).squeeze(1);
  const at::Tensor sum = counts.sum();
  return (losses * counts).sum() / sum.masked_fill(sum == 0, 1);
}

}  // namespace

DdnnModule::DdnnModule(const NetworkPlan& plan) : plan_(plan) {
  for (int t = 0; t < static_cast<int>(plan_.tiers().size()); ++t) {
    const TierPlan& tier = plan_.tiers()[t];
    const v1::Tier& spec = plan_.spec().tier(t);
    std::vector<std::vector<int>> alike;
    for (const NodePlan& node : tier.nodes) {
      auto same = std::find_if(alike.begin(), alike.end(), [&](const std::vector<int>& nodes) {
        return tier.nodes[nodes[0]].input.shape == node.input.shape;
      });
      if (same == alike.end()) same = alike.insert(alike.end(), std::vector<int>());
      same->push_back(node.index);
    }
    TierModule module;
    for (std::vector<int>& nodes : alike) {
      const NodePlan& node = tier.nodes[nodes[0]];
      const int count = static_cast<int>(nodes.size());
      LayerStack body(Layers(spec.layer()), node.input, node.body, count);
      LayerStack head(Layers(spec.exit().layer()), node.features, node.head, count);
      const v1::Input& input = plan_.spec().input();
      if (t == 0) body.TakePixels(input.offset(), input.scale());
      for (LayerStack* stack : {&body, &head}) {
        stack->set_precision(plan_.spec().training().precision());
      }
      module.groups.push_back({std::move(nodes), std::move(body), std::move(head)});
    }
    if (tier.children_exit >= 0 && plan_.exits()[tier.children_exit].scores == v1::CC) {
      const int64_t classes = plan_.classes();
      const int64_t inputs = classes * static_cast<int64_t>(tier.nodes[0].children.size());
      const double bound = 1 / std::sqrt(static_cast<double>(inputs));
      module.scores_weight = at::empty({classes, inputs}).uniform_(-bound, bound).requires_grad_();
      module.scores_bias = at::zeros({classes}).requires_grad_();
    }
    tiers_.push_back(std::move(module));
  }
}

DdnnModule::TierBatch DdnnModule::FirstInputs(const at::Tensor& pixels,
                                              const at::Tensor& presence) const {
  TierBatch batch;
  batch.mask = MaskOf(presence);
  batch.whole = pixels.flatten(1, 2);
  return batch;
}

at::Tensor DdnnModule::JoinedInput(int tier, const NodePlan& node, const TierBatch& below) const {
  const int count = static_cast<int>(node.children.size());
  const int available = static_cast<int>(plan_.tiers()[tier - 1].nodes.size());
  bool all = below.whole.defined() && count == available;
  for (int i = 0; i < count; ++i) all = all && node.children[i] == i;
  at::Tensor stacked = below.whole;
  if (!all) {
    std::vector<at::Tensor> parts;
    for (int child : node.children) parts.push_back(below.Features(child, available));
    stacked = count == 1 ? parts[0] : at::cat(parts, 1);
  }
  const v1::Aggregation& how = plan_.tiers()[tier].features;
  if (how.kind() == v1::CC && !how.has_grid()) return stacked;
  at::Tensor mask;
  if (below.mask.defined()) {
    const at::Tensor children =
        at::tensor(std::vector<int64_t>(node.children.begin(), node.children.end()), at::kLong);
    mask = below.mask.index_select(1, children.to(below.mask.device()));
  }
  return JoinFeatureBatch(how, count, stacked, mask);
}

at::Tensor DdnnModule::TierBatch::Features(int node, int nodes) const {
  if (!whole.defined()) return features[node];
  const int64_t channels = whole.size(1) / nodes;
  return whole.narrow(1, node * channels, channels);
}

DdnnModule::TierBatch DdnnModule::RunTier(int t, const TierBatch& below,
                                          std::vector<ExitBatch>* exits) const {
  const TierPlan& tier = plan_.tiers()[t];
  const int count = static_cast<int>(tier.nodes.size());
  TierBatch out;
  out.features.resize(count);
  if (t == 0) {
    out.mask = below.mask;
  } else if (below.mask.defined()) {
    out.mask = ParentMask(tier, below.mask);
  }
  std::vector<at::Tensor> scores(count);
  at::Tensor all_scores;
  for (const Group& group : tiers_[t].groups) {
    const int64_t nodes = static_cast<int64_t>(group.nodes.size());
    const bool whole = nodes == count;
    at::Tensor x = below.whole, mask = out.mask;
    if (t > 0 || !whole) {
      std::vector<at::Tensor> inputs;
      for (int node : group.nodes) {
        inputs.push_back(t == 0 ? below.Features(node, count)
                                : JoinedInput(t, tier.nodes[node], below));
      }
      x = nodes == 1 ? inputs[0] : at::cat(inputs, 1);
    }
    if (mask.defined() && !whole) {
      mask = mask.index_select(
          1, at::tensor(std::vector<int64_t>(group.nodes.begin(), group.nodes.end()), at::kLong)
                 .to(mask.device()));
    }
    x = group.body.Forward(x, mask, training_);
    if (tier.exit >= 0) {
      const at::Tensor s =
          group.head.Forward(x, mask, training_).reshape({x.size(0), nodes, plan_.classes()});
      if (whole) all_scores = s;
      for (int64_t i = 0; !whole && i < nodes; ++i) scores[group.nodes[i]] = s.select(1, i);
    }
    if (t == plan_.root_tier()) continue;
    // Behind the section a missing node is zero, whatever its layers made of nothing.
    if (mask.defined() && !group.body.ZeroesAbsent(x, training_)) {
      x = x * SpreadMask(mask, x.size(1) / nodes);
    }
    if (whole) out.whole = x;
    for (int64_t i = 0; !whole && i < nodes; ++i) {
      out.features[group.nodes[i]] = x.narrow(1, i * (x.size(1) / nodes), x.size(1) / nodes);
    }
  }
  if (tier.exit >= 0) {
    ExitBatch& exit = (*exits)[tier.exit];
    exit.node_scores = RoundScoresSte(plan_.exits()[tier.exit].score_code,
                                      all_scores.defined() ? all_scores : at::stack(scores, 1));
    exit.node_mask = out.mask;
    DecideExit(tier.exit, &exit);
  }
  return out;
}

void DdnnModule::DecideExit(int exit, ExitBatch* batch) const {
  const ExitPlan& plan = plan_.exits()[exit];
  if (batch->node_mask.defined()) {
    batch->mask = std::get<0>(batch->node_mask.max(1));
  }
  if (plan.decided_tier == plan.tier) {
    batch->scores = batch->node_scores.select(1, 0);
    return;
  }
  const at::Tensor joined = JoinScoreBatch(plan.scores, batch->node_scores, batch->node_mask);
  const TierModule& parent = tiers_[plan.decided_tier];
  batch->scores =
      plan.scores == v1::CC ? at::linear(joined, parent.scores_weight, parent.scores_bias) : joined;
}

std::vector<ExitBatch> DdnnModule::Forward(const at::Tensor& pixels,
                                           const at::Tensor& presence) const {
  std::vector<ExitBatch> exits(plan_.exits().size());
  TierBatch batch = FirstInputs(pixels, presence);
  for (int t = 0; t <= plan_.root_tier(); ++t) batch = RunTier(t, batch, &exits);
  return exits;
}

void DdnnModule::JoinRanks(Ranks* ranks) {
  for (TierModule& tier : tiers_) {
    for (Group& group : tier.groups) {
      group.body.JoinRanks(ranks);
      group.head.JoinRanks(ranks);
    }
  }
}

void DdnnModule::To(const c10::Device& device) {
  for (TierModule& tier : tiers_) {
    for (Group& group : tier.groups) {
      group.body.To(device);
      group.head.To(device);
    }
    for (at::Tensor* t : {&tier.scores_weight, &tier.scores_bias}) {
      if (t->defined()) *t = t->detach().to(device).requires_grad_();
    }
  }
}

std::vector<at::Tensor> DdnnModule::parameters() const {
  std::vector<at::Tensor> all;
  for (const TierModule& tier : tiers_) {
    for (const Group& group : tier.groups) {
      for (const LayerStack* stack : {&group.body, &group.head}) {
        for (const at::Tensor& t : stack->parameters()) all.push_back(t);
      }
    }
    for (const at::Tensor& t : {tier.scores_weight, tier.scores_bias}) {
      if (t.defined()) all.push_back(t);
    }
  }
  return all;
}

std::vector<v1::Section> DdnnModule::Export() const {
  std::vector<v1::Section> sections;
  for (size_t t = 0; t < tiers_.size(); ++t) {
    std::vector<v1::Section> tier(plan_.tiers()[t].nodes.size());
    for (const Group& group : tiers_[t].groups) {
      for (size_t g = 0; g < group.nodes.size(); ++g) {
        v1::Section& section = tier[group.nodes[g]];
        section.set_network(plan_.spec().name());
        section.set_tier(plan_.tiers()[t].name);
        section.set_node(group.nodes[g]);
        for (v1::SectionLayer& layer : group.body.Export(g)) *section.add_body() = std::move(layer);
        for (v1::SectionLayer& layer : group.head.Export(g)) *section.add_head() = std::move(layer);
      }
    }
    if (tiers_[t].scores_weight.defined()) {
      *tier[0].add_scores() = ExportFloatLinear(tiers_[t].scores_weight, tiers_[t].scores_bias);
    }
    for (v1::Section& section : tier) sections.push_back(std::move(section));
  }
  return sections;
}

at::Tensor JointLoss(const NetworkPlan& plan, const std::vector<ExitBatch>& exits,
                     const at::Tensor& labels, const at::Tensor& view_labels,
                     std::vector<at::Tensor>* exit_losses, const at::Tensor& class_weights) {
  at::Tensor loss = at::zeros({}, exits.back().scores.options());
  for (size_t e = 0; e < exits.size(); ++e) {
    const ExitPlan& exit = plan.exits()[e];
    const ExitBatch& batch = exits[e];
    const at::Tensor joined = CrossEntropy(batch.scores, labels, batch.mask, class_weights);
    if (exit_losses != nullptr) exit_losses->push_back(joined.detach());
    loss = loss + exit.weight * joined;
    const int64_t nodes = batch.node_scores.size(1);
    if (nodes == 1 || exit.each_weight == 0) continue;
    const std::vector<at::Tensor> scores = batch.node_scores.unbind(1);
    for (int64_t n = 0; n < nodes; ++n) {
      const at::Tensor own = exit.tier == 0 ? view_labels.select(1, n) : labels;
      const at::Tensor mask =
          batch.node_mask.defined() ? batch.node_mask.select(1, n) : at::Tensor();
      loss = loss + exit.each_weight * CrossEntropy(scores[n], own, mask, class_weights);
    }
  }
  return loss;
}

std::pair<int64_t, int64_t> CountRight(const NetworkPlan& plan, const ExitBatch& exit,
                                       const at::Tensor& labels) {
  at::Tensor counts = labels < plan.classes();
  if (exit.mask.defined()) counts = counts.logical_and(exit.mask > 0);
  const at::Tensor right = (exit.scores.argmax(1) == labels).logical_and(counts);
  return {counts.sum().item<int64_t>(), right.sum().item<int64_t>()};
}

}  // namespace ddnn::train

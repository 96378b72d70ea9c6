#include "runtime/node/whole_network.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "runtime/core/aggregate.h"
#include "runtime/core/exit_criterion.h"
#include "runtime/core/feature_codec.h"
#include "runtime/core/score_codec.h"
#include "runtime/node/section_io.h"

namespace ddnn {
namespace {

// What one node computed for each sample of a batch; empty strings and vectors where it was absent.
struct NodeOutputs {
  std::vector<std::string> features;
  std::vector<std::vector<float>> scores;
};

absl::Status CheckInput(const NetworkPlan& plan, const WholeInput& input, size_t index) {
  const size_t expected = static_cast<size_t>(plan.views()) * plan.view_shape().size();
  if (input.pixels.size() != expected) {
    return absl::InvalidArgumentError(absl::StrCat("sample ", index, " of the batch has ",
                                                   input.pixels.size(),
                                                   " bytes of pixels, expected ", expected));
  }
  if (input.presence == 0 || (input.presence & ~plan.all_views()) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("sample ", index, " of the batch has the views 0x", absl::Hex(input.presence),
                     ", expected some of 0x", absl::Hex(plan.all_views())));
  }
  return absl::OkStatus();
}

// The section inputs of one device, for the samples it is present in.
std::vector<SectionInput> DeviceInputs(const NetworkPlan& plan, int index,
                                       absl::Span<const WholeInput> batch,
                                       const std::vector<size_t>& present) {
  const size_t size = plan.view_shape().size();
  std::vector<SectionInput> inputs(present.size());
  for (size_t i = 0; i < present.size(); ++i) {
    inputs[i].pixels = batch[present[i]].pixels.substr(index * size, size);
  }
  return inputs;
}

absl::StatusOr<std::vector<float>> JoinChildren(const NetworkPlan& plan, int tier, int index,
                                                const std::vector<NodeOutputs>& below,
                                                uint64_t presence, size_t sample) {
  const NodePlan& node = plan.node(tier, index);
  std::vector<ChildFeatures> children(node.children.size());
  for (size_t slot = 0; slot < children.size(); ++slot) {
    const int child = node.children[slot];
    children[slot].packed = below[child].features[sample];
    children[slot].presence = presence & plan.node(tier - 1, child).views;
  }
  return JoinFeatures(plan, tier, index, children);
}

absl::StatusOr<NodeOutputs> RunNode(const NetworkPlan& plan, int tier, int index, Engine* engine,
                                    absl::Span<const WholeInput> batch,
                                    const std::vector<NodeOutputs>& below) {
  NodeOutputs outputs;
  outputs.features.resize(batch.size());
  outputs.scores.resize(batch.size());
  std::vector<size_t> present;
  for (size_t n = 0; n < batch.size(); ++n) {
    if ((batch[n].presence & plan.node(tier, index).views) != 0) present.push_back(n);
  }
  if (present.empty()) return outputs;

  std::vector<SectionInput> inputs;
  if (tier == 0) {
    inputs = DeviceInputs(plan, index, batch, present);
  } else {
    for (size_t n : present) {
      auto joined = JoinChildren(plan, tier, index, below, batch[n].presence, n);
      if (!joined.ok()) return joined.status();
      inputs.push_back(SectionInput{/*pixels=*/"", *std::move(joined)});
    }
  }
  const bool hands_on = HandsOn(plan, tier);
  if (hands_on) {
    for (size_t i = 0; i < present.size(); ++i) {
      outputs.features[present[i]] =
          tier == 0 ? inputs[i].pixels : HandOn(plan, tier, index, inputs[i].values);
    }
  }
  if (!RunsSection(plan, tier)) return outputs;
  auto ran = engine->Run(inputs);
  if (!ran.ok()) return ran.status();
  for (size_t i = 0; i < present.size(); ++i) {
    if (!hands_on) outputs.features[present[i]] = std::move((*ran)[i].features);
    outputs.scores[present[i]] = std::move((*ran)[i].scores);
    const int exit = plan.tiers()[tier].exit;
    if (exit >= 0) RoundScores(plan.exits()[exit].score_code, &outputs.scores[present[i]]);
  }
  return outputs;
}

// The scores of an exit where they are decided: a node's own, or its children's, joined.
absl::StatusOr<std::vector<float>> ExitScores(const NetworkPlan& plan, const ExitPlan& exit,
                                              Engine* decider,
                                              const std::vector<NodeOutputs>& computed,
                                              size_t sample) {
  if (exit.decided_tier == exit.tier) return computed[0].scores[sample];
  const NodePlan& node = plan.node(exit.decided_tier, 0);
  std::vector<std::vector<float>> children(node.children.size());
  for (size_t slot = 0; slot < children.size(); ++slot) {
    children[slot] = computed[node.children[slot]].scores[sample];
  }
  auto joined = JoinScores(exit.scores, children);
  if (!joined.ok() || exit.scores != v1::CC) return joined;
  return decider->RunScores(*joined);
}

}  // namespace

absl::StatusOr<std::unique_ptr<WholeNetwork>> WholeNetwork::Create(const Bundle& bundle,
                                                                   EngineFactory factory) {
  auto network = absl::WrapUnique(new WholeNetwork(bundle.plan));
  const NetworkPlan& plan = network->plan_;
  for (int tier = 0; tier <= plan.root_tier(); ++tier) {
    if (!NeedsEngine(plan, tier)) continue;
    for (size_t index = 0; index < plan.tiers()[tier].nodes.size(); ++index) {
      const std::pair<int, int> place(tier, static_cast<int>(index));
      const auto section = bundle.sections.find(place);
      if (section == bundle.sections.end()) {
        return absl::FailedPreconditionError(
            absl::StrCat("the section of node ", index, " of tier ", plan.tiers()[tier].name,
                         " was not loaded; the whole network needs them all"));
      }
      auto engine = factory(plan, section->second);
      if (!engine.ok()) return engine.status();
      network->engines_[place] = *std::move(engine);
    }
  }
  return network;
}

absl::StatusOr<std::vector<WholeOutput>> WholeNetwork::Run(absl::Span<const WholeInput> batch) {
  for (size_t n = 0; n < batch.size(); ++n) {
    if (absl::Status ok = CheckInput(plan_, batch[n], n); !ok.ok()) return ok;
  }
  auto engine = [this](int tier, int index) {
    const auto found = engines_.find({tier, index});
    return found == engines_.end() ? nullptr : found->second.get();
  };
  std::vector<WholeOutput> outputs(batch.size());
  std::vector<NodeOutputs> below;
  for (int tier = 0; tier <= plan_.root_tier(); ++tier) {
    const TierPlan& tier_plan = plan_.tiers()[tier];
    std::vector<NodeOutputs> here(tier_plan.nodes.size());
    for (size_t index = 0; index < here.size(); ++index) {
      auto ran = RunNode(plan_, tier, index, engine(tier, index), batch, below);
      if (!ran.ok()) return ran.status();
      here[index] = *std::move(ran);
    }
    for (size_t n = 0; n < batch.size(); ++n) {
      if (tier_plan.exit >= 0) {
        const ExitPlan& exit = plan_.exits()[tier_plan.exit];
        auto scores = ExitScores(plan_, exit, engine(exit.decided_tier, 0), here, n);
        if (!scores.ok()) return scores.status();
        outputs[n].exit_scores.push_back(*std::move(scores));
      }
      if (tier > 0) continue;
      for (const NodeOutputs& device : here) {
        outputs[n].view_scores.push_back(device.scores[n]);
        outputs[n].view_features.push_back(device.features[n]);
      }
    }
    below = std::move(here);
  }
  return outputs;
}

Answer Decide(const NetworkPlan& plan, absl::Span<const ExitThreshold> thresholds,
              const WholeOutput& output, uint64_t presence) {
  Answer answer;
  answer.presence = presence;
  const int root_exit = static_cast<int>(plan.exits().size()) - 1;
  for (int exit = 0; exit <= root_exit; ++exit) {
    const std::vector<float>& scores = output.exit_scores[exit];
    const float entropy = Uncertainty(thresholds[exit], scores);
    const bool sure = Exits(entropy, thresholds[exit].At(ViewsMissing(plan.views(), presence)));
    if (!sure && exit < root_exit) continue;
    answer.class_index = ArgMax(scores);
    answer.exit = exit;
    answer.entropy = entropy;
    answer.hard = !sure;
    answer.scores = scores;
    break;
  }
  return answer;
}

bool DeviceSendsFeatures(const NetworkPlan& plan, int exit) {
  return plan.root_tier() > 0 && exit > plan.tiers()[0].exit;
}

double DevicePayloadBytes(const NetworkPlan& plan, int exit) {
  size_t bytes = 0;
  if (DeviceSendsFeatures(plan, exit)) bytes += PackedSize(plan.node(0, 0).features);
  const int own = plan.tiers()[0].exit;
  if (own >= 0 && plan.exits()[own].decided_tier > 0) {
    bytes += PackedScoresSize(plan.exits()[own].score_code, plan.classes());
  }
  return static_cast<double>(bytes);
}

}  // namespace ddnn

#include "tests/node/networks.h"

#include <cstdlib>
#include <iostream>
#include <random>

#include "absl/strings/str_cat.h"
#include "google/protobuf/text_format.h"
#include "runtime/core/feature_codec.h"

namespace ddnn {
namespace {

constexpr char kBits[] =
    "layer { binary_conv { filters: 2 kernel: 3 padding: 1 } } layer { batch_norm {} } "
    "layer { sign {} } ";
constexpr char kFloats[] = "layer { conv { filters: 2 kernel: 3 padding: 1 } } layer { relu {} } ";

std::string Exit(const std::string& name, v1::Aggregator scores) {
  return absl::StrCat(
      "exit { name: '", name, "' layer { flatten {} } layer { linear { outputs: 3 } } ",
      scores == v1::AGGREGATOR_UNSPECIFIED ? ""
                                           : absl::StrCat("scores: ", v1::Aggregator_Name(scores)),
      " } ");
}

std::string Tier(const std::string& name, const std::string& inside) {
  return absl::StrCat("tier { name: '", name, "' ", inside, " } ");
}

absl::StatusOr<NetworkPlan> PlanText(int views, const std::string& tiers) {
  const std::string text = absl::StrCat(
      "name: 'small' input { channels: 1 height: 4 width: 4 offset: 0 scale: 0.00390625 } views: ",
      views, " class_name: 'a' class_name: 'b' class_name: 'c' ", tiers);
  v1::NetworkSpec spec;
  if (!google::protobuf::TextFormat::ParseFromString(text, &spec)) {
    return absl::InternalError(absl::StrCat("does not parse: ", text));
  }
  return NetworkPlan::Create(spec);
}

NetworkPlan OrDie(absl::StatusOr<NetworkPlan> plan) {
  if (plan.ok()) return *std::move(plan);
  std::cerr << plan.status() << std::endl;
  std::abort();
}

}  // namespace

NetworkPlan SmallNetwork(char figure, v1::Aggregator scores) {
  const std::string cc = "features { kind: CC } ";
  const std::string cloud = Tier("cloud", cc + kFloats + Exit("cloud", {}));
  const std::string edge = Tier("edge", cc + kBits + Exit("edge", {}));
  switch (figure) {
    case 'a':
      return OrDie(PlanText(3, Tier("device", "") + cloud));
    case 'b':
      return OrDie(PlanText(1, Tier("device", kBits + Exit("local", {})) + cloud));
    case 'c':
      return OrDie(
          PlanText(3, Tier("device", kBits + Exit("local", scores)) + Tier("edge", cc) + cloud));
    case 'd':
      return OrDie(PlanText(1, Tier("device", kBits + Exit("local", {})) + edge + cloud));
    case 'e':
      return OrDie(PlanText(3, Tier("device", kBits + Exit("local", scores)) + edge + cloud));
    default:
      return OrDie(PlanText(
          4, Tier("device", kBits) +
                 Tier("edge", absl::StrCat("node { child: 0 child: 1 } node { child: 2 child: 3 } ",
                                           cc, kFloats, Exit("edge", scores))) +
                 cloud));
  }
}

NetworkPlan RandomNetwork(uint64_t seed) {
  std::mt19937_64 random(seed);
  auto below = [&random](int n) { return static_cast<int>(random() % n); };
  const v1::Aggregator aggregators[] = {v1::MP, v1::AP, v1::CC};
  for (;;) {
    const int views = 1 + below(6);
    int nodes = views;
    const int upper = 1 + below(3);
    bool must_join_all = false;
    std::string tiers;
    for (int t = 0; t <= upper; ++t) {
      std::string inside;
      if (t > 0) {
        const bool split = t < upper && nodes >= 2 && !must_join_all && below(2) == 0;
        if (split) {
          // Every other child to the other node, so that slots and indices differ.
          std::string halves[2];
          for (int c = 0; c < nodes; ++c) absl::StrAppend(&halves[c % 2], "child: ", c, " ");
          for (const std::string& half : halves) absl::StrAppend(&inside, "node { ", half, "} ");
        }
        nodes = split ? 2 : 1;
        absl::StrAppend(&inside, "features { kind: ", v1::Aggregator_Name(aggregators[below(3)]),
                        " } ");
      }
      const int layers = below(3);
      if (layers > 0) absl::StrAppend(&inside, layers == 1 ? kBits : kFloats);
      const bool exit = t == upper || below(2) == 0;
      must_join_all = exit && nodes > 1;
      if (exit) {
        absl::StrAppend(&inside, Exit(absl::StrCat("exit", t),
                                      nodes > 1 ? aggregators[below(3)] : v1::Aggregator{}));
      }
      absl::StrAppend(&tiers, Tier(absl::StrCat("tier", t), inside));
    }
    auto plan = PlanText(views, tiers);
    if (plan.ok()) return *std::move(plan);
  }
}

Bundle FakeBundle(const NetworkPlan& plan) {
  Bundle bundle;
  bundle.plan = plan;
  for (size_t tier = 0; tier < plan.tiers().size(); ++tier) {
    for (size_t node = 0; node < plan.tiers()[tier].nodes.size(); ++node) {
      v1::Section& section = bundle.sections[{tier, node}];
      section.set_tier(plan.tiers()[tier].name);
      section.set_node(static_cast<int>(node));
    }
  }
  return bundle;
}

std::vector<float> SureScores(int class_index) {
  std::vector<float> scores(3, 0.0f);
  scores[class_index] = 30.0f;
  return scores;
}

std::vector<float> UnsureScores() { return std::vector<float>(3, 1.0f); }

std::string SomeFeatures(const ValueType& type, uint64_t seed) {
  std::mt19937_64 random(seed);
  if (type.kind == ValueKind::kPixel) {
    std::string pixels(PackedSize(type), '\0');
    for (char& pixel : pixels) pixel = static_cast<char>(random());
    return pixels;
  }
  std::vector<float> values(type.shape.size());
  for (float& value : values) {
    const bool up = (random() & 1) != 0;
    value = type.kind == ValueKind::kBit ? (up ? 1.0f : -1.0f)
                                         : static_cast<float>(random() % 1000) / 8.0f;
  }
  return PackFeatures(type, v1::Input(), values);
}

}  // namespace ddnn

#include "tests/node/fake_engine.h"

#include <cstring>
#include <random>
#include <string>

#include "tests/node/networks.h"

namespace ddnn {
namespace {

uint64_t Hash(absl::string_view bytes, uint64_t hash) {
  for (char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211u;
  return hash;
}

uint64_t Hash(absl::Span<const float> values, uint64_t hash) {
  return Hash(absl::string_view(reinterpret_cast<const char*>(values.data()),
                                values.size() * sizeof(float)),
              hash);
}

class FakeEngine : public Engine {
 public:
  FakeEngine(const NetworkPlan& plan, int tier, int index)
      : node_(plan.node(tier, index)),
        pixels_(tier == 0),
        head_(plan.tiers()[tier].exit >= 0),
        classes_(plan.classes()),
        salt_(14695981039346656037u + tier * 1000 + index) {}

  absl::StatusOr<std::vector<SectionOutput>> Run(absl::Span<const SectionInput> batch) override {
    if (batch.empty()) return absl::InvalidArgumentError("an empty batch");
    std::vector<SectionOutput> outputs;
    for (const SectionInput& input : batch) {
      const size_t size = pixels_ ? input.pixels.size() : input.values.size();
      if (size != static_cast<size_t>(node_.input.shape.size())) {
        return absl::InvalidArgumentError("input of the wrong size");
      }
      const uint64_t hash = pixels_ ? Hash(input.pixels, salt_) : Hash(input.values, salt_);
      SectionOutput output;
      output.features = SomeFeatures(node_.features, hash);
      if (head_) output.scores = Scores(hash);
      outputs.push_back(std::move(output));
    }
    return outputs;
  }

  absl::StatusOr<std::vector<float>> RunScores(absl::Span<const float> joined) override {
    return Scores(Hash(joined, salt_ + 7));
  }

 private:
  std::vector<float> Scores(uint64_t hash) const {
    std::mt19937_64 random(hash);
    const float sharpness = static_cast<float>(random() % 8);
    std::vector<float> scores(classes_);
    for (float& score : scores) score = sharpness * static_cast<float>(random() % 256) / 256.0f;
    return scores;
  }

  const NodePlan node_;
  const bool pixels_;
  const bool head_;
  const int classes_;
  const uint64_t salt_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> CreateFakeEngine(const NetworkPlan& plan,
                                                         const v1::Section& section) {
  auto tier = plan.FindTier(section.tier());
  if (!tier.ok()) return tier.status();
  return std::unique_ptr<Engine>(new FakeEngine(plan, *tier, section.node()));
}

}  // namespace ddnn

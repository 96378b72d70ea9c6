#include "runtime/torch/torch_engine.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/core/bundle.h"
#include "runtime/core/feature_codec.h"
#include "runtime/core/section_input.h"
#include "runtime/torch/torch_layers.h"
#include "runtime/torch/torch_status.h"

namespace ddnn {
namespace {

class TorchEngine : public Engine {
 public:
  TorchEngine(const NetworkPlan& plan, const NodePlan& node, const SectionLayout& layout,
              const v1::Section& section)
      : input_(plan.spec().input()),
        node_(node),
        classes_(plan.classes()),
        body_(layout.body, section.body()),
        head_(layout.head, section.head()),
        scores_(layout.scores, section.scores()),
        joined_(layout.scores.empty() ? 0 : layout.scores.front().in.shape.size()) {}

  absl::StatusOr<std::vector<SectionOutput>> Run(absl::Span<const SectionInput> batch) override {
    if (batch.empty()) return absl::InvalidArgumentError("an empty batch");
    for (const SectionInput& in : batch) {
      absl::Status status = CheckSectionInput(node_, in);
      if (!status.ok()) return status;
    }
    std::vector<SectionOutput> outputs(batch.size());
    absl::Status status = CatchTorch([&] { RunBatch(batch, &outputs); });
    if (!status.ok()) return status;
    return outputs;
  }

  absl::StatusOr<std::vector<float>> RunScores(absl::Span<const float> joined) override {
    if (joined_ == 0) return absl::FailedPreconditionError("this section does not join scores");
    if (joined.size() != static_cast<size_t>(joined_)) {
      return absl::InvalidArgumentError(
          absl::StrCat("joined scores: ", joined.size(), " values, expected ", joined_));
    }
    std::vector<float> scores(classes_);
    absl::Status status = CatchTorch([&] {
      c10::InferenceMode guard;
      at::Tensor x = at::empty({1, joined_, 1, 1}, at::kFloat);
      std::copy(joined.begin(), joined.end(), x.data_ptr<float>());
      const at::Tensor y = scores_.Forward(x).contiguous();
      std::copy_n(y.data_ptr<float>(), scores.size(), scores.begin());
    });
    if (!status.ok()) return status;
    return scores;
  }

 private:
  void RunBatch(absl::Span<const SectionInput> batch, std::vector<SectionOutput>* outputs) {
    c10::InferenceMode guard;
    const at::Tensor features = body_.Forward(Load(batch)).contiguous();
    const size_t size = static_cast<size_t>(node_.features.shape.size());
    TORCH_CHECK(features.numel() == static_cast<int64_t>(batch.size() * size),
                "features of the wrong size");
    for (size_t i = 0; i < batch.size(); ++i) {
      const float* values = features.data_ptr<float>() + i * size;
      (*outputs)[i].features = PackFeatures(node_.features, input_, {values, size});
    }
    if (head_.empty()) return;
    const at::Tensor scores = head_.Forward(features).contiguous();
    TORCH_CHECK(scores.numel() == static_cast<int64_t>(batch.size() * classes_),
                "scores of the wrong size");
    for (size_t i = 0; i < batch.size(); ++i) {
      const float* values = scores.data_ptr<float>() + i * classes_;
      (*outputs)[i].scores.assign(values, values + classes_);
    }
  }

  at::Tensor Load(absl::Span<const SectionInput> batch) const {
    const Shape& s = node_.input.shape;
    const size_t size = static_cast<size_t>(s.size());
    at::Tensor x =
        at::empty({static_cast<int64_t>(batch.size()), s.channels, s.height, s.width}, at::kFloat);
    float* to = x.data_ptr<float>();
    for (const SectionInput& in : batch) {
      if (node_.tier == 0) {
        for (size_t i = 0; i < size; ++i) {
          const int pixel = static_cast<unsigned char>(in.pixels[i]);
          to[i] = static_cast<float>(pixel - input_.offset()) * input_.scale();
        }
      } else {
        std::copy(in.values.begin(), in.values.end(), to);
      }
      to += size;
    }
    return x;
  }

  const v1::Input input_;
  const NodePlan node_;
  const int classes_;
  const TorchLayers body_, head_, scores_;
  const int64_t joined_;  // how many scores RunScores takes; 0: none
};

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> CreateTorchEngine(const NetworkPlan& plan,
                                                          const v1::Section& section) {
  absl::Status status = CheckSection(plan, section);
  if (!status.ok()) return status;
  auto tier = plan.FindTier(section.tier());
  if (!tier.ok()) return tier.status();
  std::unique_ptr<Engine> engine;
  status = CatchTorch([&] {
    c10::InferenceMode guard;
    engine = std::make_unique<TorchEngine>(plan, plan.node(*tier, section.node()),
                                           LayOutSection(plan, *tier, section.node()), section);
  });
  if (!status.ok()) return status;
  return engine;
}

void SetTorchThreads(int threads) { at::set_num_threads(std::max(1, threads)); }

}  // namespace ddnn

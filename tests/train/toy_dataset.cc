#include "tests/train/toy_dataset.h"

#include <google/protobuf/text_format.h>

#include <cstdio>
#include <cstdlib>

namespace ddnn {

NetworkPlan PlanOf(const std::string& text) {
  v1::NetworkSpec spec;
  if (!google::protobuf::TextFormat::ParseFromString(text, &spec)) abort();
  absl::StatusOr<NetworkPlan> plan = NetworkPlan::Create(spec);
  if (!plan.ok()) {
    std::fprintf(stderr, "%s\n", plan.status().ToString().c_str());
    abort();
  }
  return *std::move(plan);
}

std::string TinySpec(const std::string& join_scores, const std::string& join_features) {
  return absl::StrCat(R"(
    name: "tiny" views: 3
    input { channels: 1 height: 8 width: 8 offset: 0 scale: 0.00390625 }
    class_name: "a" class_name: "b" class_name: "c"
    tier {
      name: "device"
      layer { binary_conv { filters: 4 kernel: 3 padding: 1 } }
      layer { max_pool { kernel: 2 } }
      layer { batch_norm {} }
      layer { sign {} }
      exit {
        name: "local"
        layer { flatten {} } layer { binary_linear { outputs: 3 } } layer { batch_norm {} }
        scores: )",
                      join_scores, R"(
      }
    }
    tier {
      name: "cloud"
      features { kind: )",
                      join_features, R"( }
      layer { binary_conv { filters: 8 kernel: 3 padding: 1 } }
      layer { batch_norm {} }
      layer { sign {} }
      exit {
        name: "cloud"
        layer { flatten {} } layer { linear { outputs: 3 } }
      }
    }
    training { epochs: 3 batch: 16 learning_rate: 0.01 view_dropout: 0.2 max_accuracy_drop: 0.02 })");
}

}  // namespace ddnn

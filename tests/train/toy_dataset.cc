#include "tests/train/toy_dataset.h"

#include <google/protobuf/text_format.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "runtime/core/bundle.h"

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

std::string SmallItemSpec() {
  return R"(
    name: "small" views: 1
    input { channels: 1 height: 32 width: 32 offset: 0 scale: 0.00390625 }
    class_name: "0" class_name: "1" class_name: "2" class_name: "3" class_name: "4"
    class_name: "5" class_name: "6" class_name: "7" class_name: "8" class_name: "9"
    tier {
      name: "device"
      layer { binary_conv { filters: 4 kernel: 3 padding: 1 } }
      layer { max_pool { kernel: 4 } } layer { batch_norm {} } layer { sign {} }
      exit { name: "local" layer { flatten {} } layer { binary_linear { outputs: 10 } }
             layer { batch_norm {} } }
    }
    tier {
      name: "cloud" features { kind: CC }
      exit { name: "cloud" layer { flatten {} } layer { linear { outputs: 10 } } }
    }
    training { epochs: 4 batch: 32 learning_rate: 0.01 })";
}

std::map<std::string, std::string> FileHashes(const std::string& bundle) {
  std::map<std::string, std::string> hashes;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(bundle)) {
    if (!entry.is_regular_file()) continue;
    hashes[entry.path().lexically_relative(bundle).string()] =
        ToHex(Sha256(*ReadFile(entry.path().string(), 1 << 20)));
  }
  return hashes;
}

}  // namespace ddnn

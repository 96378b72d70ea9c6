#ifndef DDNN_TESTS_TOOLS_SMALL_NETWORK_H_
#define DDNN_TESTS_TOOLS_SMALL_NETWORK_H_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "models/network_plan.h"

namespace ddnn {

/// Three devices whose joined exit "local" the one edge decides, the edge's own exit, and a cloud.
inline NetworkPlan SmallPlan() {
  v1::NetworkSpec spec;
  const bool parsed = google::protobuf::TextFormat::ParseFromString(R"(
    name: "small" views: 3 class_name: "a" class_name: "b"
    input { channels: 1 height: 4 width: 4 offset: 128 scale: 0.0078125 }
    tier { name: "device"
      layer { binary_conv { filters: 2 kernel: 3 padding: 1 } }
      layer { batch_norm {} } layer { sign {} }
      exit { name: "local" scores: MP
             layer { flatten {} } layer { binary_linear { outputs: 2 } } layer { batch_norm {} } } }
    tier { name: "edge" features { kind: CC }
      layer { binary_conv { filters: 2 kernel: 3 padding: 1 } }
      layer { batch_norm {} } layer { sign {} }
      exit { name: "edge"
             layer { flatten {} } layer { binary_linear { outputs: 2 } } layer { batch_norm {} } } }
    tier { name: "cloud" features { kind: CC }
      exit { name: "cloud"
             layer { flatten {} } layer { binary_linear { outputs: 2 } } layer { batch_norm {} } } }
  )",
                                                                    &spec);
  EXPECT_TRUE(parsed);
  auto plan = NetworkPlan::Create(spec);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return *plan;
}

}  // namespace ddnn

#endif  // DDNN_TESTS_TOOLS_SMALL_NETWORK_H_

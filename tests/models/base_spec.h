#ifndef DDNN_TESTS_MODELS_BASE_SPEC_H_
#define DDNN_TESTS_MODELS_BASE_SPEC_H_

#include <gtest/gtest.h>

#include <string>

#include "ddnn/v1/network.pb.h"
#include "models/text_proto.h"

namespace ddnn {

/// Four devices under two edges under a cloud; a valid spec for tests to change.
inline v1::NetworkSpec BaseSpec() {
  static const char kText[] = R"(
    name: "base"
    input { channels: 1 height: 8 width: 8 offset: 0 scale: 0.5 }
    views: 4
    class_name: "cat" class_name: "dog" class_name: "owl"
    tier {
      name: "device"
      layer { name: "conv1" binary_conv { filters: 2 kernel: 3 padding: 1 } }
      layer { max_pool { kernel: 3 stride: 2 padding: 1 } }
      layer { batch_norm {} }
      layer { sign {} }
    }
    tier {
      name: "edge"
      node { child: 0 child: 3 }
      node { child: 1 child: 2 }
      features { kind: CC }
      layer { binary_conv { filters: 3 kernel: 3 padding: 1 } }
      layer { batch_norm {} }
      layer { sign {} }
      exit {
        name: "local"
        layer { flatten {} }
        layer { linear { outputs: 3 } }
        scores: MP
      }
    }
    tier {
      name: "cloud"
      features { kind: CC }
      layer { conv { filters: 4 kernel: 3 } }
      layer { relu {} }
      exit { name: "final" layer { flatten {} } layer { linear { outputs: 3 } } }
    }
  )";
  v1::NetworkSpec spec;
  absl::Status status = ParseTextProto(kText, "base", &spec);
  EXPECT_TRUE(status.ok()) << status;
  return spec;
}

}  // namespace ddnn

#endif  // DDNN_TESTS_MODELS_BASE_SPEC_H_

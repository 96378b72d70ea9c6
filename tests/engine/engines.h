#ifndef DDNN_TESTS_ENGINE_ENGINES_H_
#define DDNN_TESTS_ENGINE_ENGINES_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "runtime/core/engine.h"
#include "runtime/core/feature_codec.h"
#include "runtime/lite/lite_engine.h"
#include "tests/engine/reference.h"
#include "tests/engine/section_values.h"
#ifndef DDNN_DEVICE_ONLY
#include "runtime/torch/torch_engine.h"
#endif

namespace ddnn {
namespace testing {

/// One engine under test. Every engine joins this list.
struct EngineUnderTest {
  const char* name;
  EngineFactory create;
};

inline std::vector<EngineUnderTest> AllEngines() {
  return {
      {"Lite", CreateLiteEngine},
#ifndef DDNN_DEVICE_ONLY
      {"Torch", CreateTorchEngine},
#endif
  };
}

/// What every engine must do: `GetParam().create` makes one.
class EngineTest : public ::testing::TestWithParam<EngineUnderTest> {
 protected:
  /// Makes an engine or fails the test.
  std::unique_ptr<Engine> Make(const NetworkPlan& plan, const v1::Section& section) {
    auto engine = GetParam().create(plan, section);
    EXPECT_TRUE(engine.ok()) << engine.status();
    return engine.ok() ? *std::move(engine) : nullptr;
  }
};

#define DDNN_INSTANTIATE_FOR_ALL_ENGINES()                    \
  INSTANTIATE_TEST_SUITE_P(                                   \
      Engines, EngineTest, ::testing::ValuesIn(AllEngines()), \
      [](const ::testing::TestParamInfo<EngineUnderTest>& info) { return info.param.name; })

/// 1e-4 relative, of the larger of the value and 1 (sums of numbers near 1 may cancel out).
inline void ExpectClose(const std::vector<float>& found, const std::vector<float>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(found[i], expected[i], 1e-4 * std::max(1.0f, std::fabs(expected[i])))
        << "value " << i;
  }
}

/// Features as values in the network's units.
inline std::vector<float> Unpacked(const NetworkPlan& plan, const NodePlan& node,
                                   const std::string& packed) {
  std::vector<float> values(node.features.shape.size());
  const absl::Status status =
      UnpackFeatures(node.features, plan.spec().input(), packed, absl::MakeSpan(values));
  EXPECT_TRUE(status.ok()) << status;
  return values;
}

}  // namespace testing
}  // namespace ddnn

#endif  // DDNN_TESTS_ENGINE_ENGINES_H_

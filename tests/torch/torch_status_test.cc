#include "runtime/torch/torch_status.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace ddnn {
namespace {

TEST(CatchTorch, TurnsWhatIsThrownIntoAStatus) {
  EXPECT_TRUE(CatchTorch([] {}).ok());
  const absl::Status status = CatchTorch([] { throw std::runtime_error("shapes differ"); });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(std::string(status.message()), "LibTorch: shapes differ");
  EXPECT_EQ(CatchTorch([] { throw 1; }).code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace ddnn

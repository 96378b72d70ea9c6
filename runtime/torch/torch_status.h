#ifndef DDNN_RUNTIME_TORCH_TORCH_STATUS_H_
#define DDNN_RUNTIME_TORCH_TORCH_STATUS_H_

#include <exception>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ddnn {

/// Runs `function` and turns what it throws into INTERNAL: the border between LibTorch, which
/// throws, and everything else, which does not. c10::Error is a std::exception.
template <typename Function>
absl::Status CatchTorch(Function&& function) {
  try {
    std::forward<Function>(function)();
    return absl::OkStatus();
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("LibTorch: ", e.what()));
  } catch (...) {
    return absl::InternalError("LibTorch threw something that is no std::exception");
  }
}

}  // namespace ddnn

#endif  // DDNN_RUNTIME_TORCH_TORCH_STATUS_H_

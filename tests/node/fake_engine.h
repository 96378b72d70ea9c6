#ifndef DDNN_TESTS_NODE_FAKE_ENGINE_H_
#define DDNN_TESTS_NODE_FAKE_ENGINE_H_

#include <memory>

#include "runtime/core/engine.h"

namespace ddnn {

/// An engine whose outputs are a hash of its input and its place: any difference in what a node
/// joined shows in every class score. Some outputs are sure, some are not.
absl::StatusOr<std::unique_ptr<Engine>> CreateFakeEngine(const NetworkPlan& plan,
                                                         const v1::Section& section);

}  // namespace ddnn

#endif  // DDNN_TESTS_NODE_FAKE_ENGINE_H_

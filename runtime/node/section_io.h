#ifndef DDNN_RUNTIME_NODE_SECTION_IO_H_
#define DDNN_RUNTIME_NODE_SECTION_IO_H_

#include <string>
#include <vector>

#include "models/network_plan.h"

namespace ddnn {

// What the tree and the whole network must do alike around a section.

/// True if the tier's nodes run an engine for a sample's features or scores.
bool RunsSection(const NetworkPlan& plan, int tier);

/// True if the tier's nodes have no layers and hand on what they joined to their parent.
bool HandsOn(const NetworkPlan& plan, int tier);

/// True if a node needs an engine at all: for its section, or for CC of its children's scores.
bool NeedsEngine(const NetworkPlan& plan, int tier);

/// The exit over the children's scores that is decided in this tier and joined by CC's linear
/// layer.
bool JoinsScoresByLayer(const NetworkPlan& plan, int tier);

/// What a node of an upper tier without layers hands on: what it joined, packed.
std::string HandOn(const NetworkPlan& plan, int tier, int index, const std::vector<float>& joined);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NODE_SECTION_IO_H_

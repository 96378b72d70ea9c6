#ifndef DDNN_TOOLS_EXPORT_SECTION_ONNX_H_
#define DDNN_TOOLS_EXPORT_SECTION_ONNX_H_

#include "ddnn/v1/bundle.pb.h"
#include "models/network_plan.h"
#include "tools/export/onnx_graph.h"

namespace ddnn {

/// The section of one node as an ONNX graph, operators of opset 13 only.
///
///   input   `pixels` [batch, C, H, W], 0 to 255 as floats (device tier), or
///           `joined` [batch, C, H, W], the children's features, joined; 0 where a child is missing
///   output  `features` [batch, C, H, W] in the network's units, bits as -1 and +1
///           `scores` [batch, classes] if the section has a head
///
/// Binary layers have weights of -1 and +1. Zero padding, the sides of averages and the sign of 0
/// are as in runtime/core/engine.h's engines: equal bit for bit on binary layers in any runtime
/// that adds floats, 1e-4 relative on float layers.
///
/// \param section  passed CheckSection.
OnnxGraph SectionGraph(const NetworkPlan& plan, const v1::Section& section);

/// The linear layer that joins the children's scores by CC: `joined_scores` [batch, children *
/// classes], 0 where a child is missing, to `scores` [batch, classes]. The section must have one.
OnnxGraph ScoresGraph(const NetworkPlan& plan, const v1::Section& section);

}  // namespace ddnn

#endif  // DDNN_TOOLS_EXPORT_SECTION_ONNX_H_

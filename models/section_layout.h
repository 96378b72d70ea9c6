#ifndef DDNN_MODELS_SECTION_LAYOUT_H_
#define DDNN_MODELS_SECTION_LAYOUT_H_

#include <string>
#include <vector>

#include "ddnn/v1/bundle.pb.h"
#include "models/network_plan.h"

namespace ddnn {

/// One layer as a section file must have it.
struct LayerSlot {
  std::string name;  ///< place in the spec, "device.conv1", for error messages
  v1::SectionLayer::KindCase kind = v1::SectionLayer::KIND_NOT_SET;
  /// The layer of the spec it comes from: for a merged batch_norm and sign, the batch_norm. A
  /// linear layer that is not in the spec for CC of scores.
  v1::Layer spec;
  ValueType in, out;
};

/// The three layer lists of one node's section file, in order: the spec's layers without dropout,
/// with batch_norm followed by sign over integers merged into one `threshold`, and any other
/// batch_norm an `affine`.
struct SectionLayout {
  std::vector<LayerSlot>
      scores;  ///< one linear layer where this node joins scores by CC, else none
  std::vector<LayerSlot> body;
  std::vector<LayerSlot> head;
};

SectionLayout LayOutSection(const NetworkPlan& plan, int tier, int index);

}  // namespace ddnn

#endif  // DDNN_MODELS_SECTION_LAYOUT_H_

#ifndef DDNN_RUNTIME_TORCH_TORCH_LAYERS_H_
#define DDNN_RUNTIME_TORCH_TORCH_LAYERS_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "ddnn/v1/bundle.pb.h"
#include "google/protobuf/repeated_field.h"
#include "models/section_layout.h"

namespace ddnn {

/// A list of section layers with their weights as tensors. Throws what LibTorch throws. Only for
/// runtime/torch: the one header with a Torch type in it.
class TorchLayers {
 public:
  TorchLayers() = default;
  /// `layers` must have been checked against the plan; `slots` comes from LayOutSection.
  TorchLayers(const std::vector<LayerSlot>& slots,
              const google::protobuf::RepeatedPtrField<v1::SectionLayer>& layers);

  bool empty() const { return layers_.empty(); }

  /// [N, C, H, W] float -> [N, C', H', W'] float, in the network's units. Ask for no gradient.
  at::Tensor Forward(at::Tensor x) const;

 private:
  struct Layer {
    v1::SectionLayer::KindCase kind;
    int64_t kernel = 1, stride = 1, padding = 0;
    at::Tensor weight;  // convolution, linear, affine's scale, threshold's bound
    at::Tensor bias;    // undefined: none
    at::Tensor flip;    // threshold: +1, or -1 where the comparison is turned round
  };

  static Layer Make(const LayerSlot& slot, const v1::SectionLayer& layer);
  static at::Tensor Apply(const Layer& layer, const at::Tensor& x);

  std::vector<Layer> layers_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_TORCH_TORCH_LAYERS_H_

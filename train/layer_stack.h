#ifndef DDNN_TRAIN_LAYER_STACK_H_
#define DDNN_TRAIN_LAYER_STACK_H_

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "ddnn/v1/bundle.pb.h"
#include "models/network_plan.h"
#include "train/conv_block.h"
#include "train/module_state.h"
#include "train/ops.h"

namespace ddnn::train {

/// How far from 0 binary weights begin: small against the learning rate, so that signs settle
/// within the first epochs.
constexpr double kBinaryInit = 0.1;

/// What batch norm adds to a variance; PyTorch's unless the network says otherwise.
inline double Epsilon(const v1::BatchNorm& norm) {
  return norm.has_epsilon() ? norm.epsilon() : 1e-5;
}

/// The layers (a tier's body, or its exit's head) of G nodes that are alike, as one grouped
/// computation: node g owns channels g*C .. (g+1)*C-1 of every tensor and its own weights.
class LayerStack {
 public:
  /// \param types  what comes out of each layer, as NodePlan::body and NodePlan::head have it.
  LayerStack(std::vector<v1::Layer> layers, const ValueType& input,
             const std::vector<ValueType>& types, int groups);

  /// The input is pixels, x = (pixel - offset) * scale in the network's units.
  void TakePixels(double offset, double scale);
  /// In training, convolutions with float weights are computed in this.
  void set_precision(v1::Precision precision) { precision_ = precision; }
  /// From now on batch norm in training takes its statistics over all ranks. Not owned.
  void JoinRanks(Ranks* ranks);

  /// \param x     [B, G*C, H, W] float in the network's units, or after TakePixels uint8
  /// \param mask  [B, G], or undefined: which nodes are present; see MaskedBatchNorm.
  /// Outside training it computes what the exported layers will: batch norm is folded first.
  /// What comes out where a node is absent means nothing.
  at::Tensor Forward(at::Tensor x, const at::Tensor& mask, bool training) const;

  /// Whether what comes out of Forward is zero where a node is absent.
  bool ZeroesAbsent(const at::Tensor& x, bool training) const;

  /// Everything the optimiser moves; all leaves.
  std::vector<at::Tensor> parameters() const;
  /// All that training changes, in an order that the layers alone decide. See module_state.h.
  void AppendState(const std::string& name, std::vector<StateTensor>* state) const;
  /// The reverse of Export, for layers that CheckSection passed: afterwards Export gives them
  /// again. Binary weights begin at +-kBinaryInit.
  void Import(int group, const google::protobuf::RepeatedPtrField<v1::SectionLayer>& layers);
  /// While set, and outside training, each batch norm takes over the statistics of the batch that
  /// comes through it and changes gamma and beta so that its folded function stays. Once behind
  /// Import: a section file has only the folded function.
  void set_adopting(bool adopting) { adopting_ = adopting; }
  void To(const c10::Device& device);

  /// The layers of one node, folded and packed.
  std::vector<v1::SectionLayer> Export(int group) const;

 private:
  struct Step {
    v1::Layer layer;
    ValueType input, output;
    bool binary = false;
    /// This batch norm and the sign behind it become integer comparisons.
    bool folds_sign = false;
    at::Tensor weight, bias;                 // [G*F, C, K, K] or [G, O, I]; [G*F] or [G, O]
    at::Tensor gamma, beta, mean, variance;  // [G*C]
  };

  void ImportStep(const Step& step, int group, const v1::SectionLayer& layer) const;
  void AdoptStatistics(const Step& step, const at::Tensor& x, const at::Tensor& mask) const;
  void Prepare(Step* step) const;
  /// Of what step i computes; kNone where it is another layer or there is none.
  Activation ActivationAt(size_t i) const;
  /// How many steps, from `first` on, one ConvBlock computes; 0: none.
  size_t PlanBlock(size_t first, ConvBlockShape* shape) const;
  at::Tensor Apply(const Step& step, const at::Tensor& x, const at::Tensor& mask,
                   bool training) const;
  at::Tensor ApplyConv(const Step& step, const at::Tensor& x, bool training) const;
  at::Tensor ApplyLinear(const Step& step, const at::Tensor& input) const;
  at::Tensor ApplyFolded(const Step& step, const at::Tensor& x) const;
  v1::SectionLayer ExportStep(const Step& step, int group) const;

  /// Steps that training on a CPU computes as one operation.
  struct Block {
    size_t steps = 0;
    ConvBlockShape shape;
  };

  int groups_;
  Ranks* ranks_ = nullptr;
  bool adopting_ = false;
  bool pixels_ = false;
  v1::Precision precision_ = v1::FLOAT32;
  double offset_ = 0, scale_ = 1;
  std::vector<Step> steps_;
  std::vector<Block> blocks_;  ///< by first step
  bool ends_in_block_ = false;
};

/// A float linear layer of one node: weight [O, I], bias [O].
v1::SectionLayer ExportFloatLinear(const at::Tensor& weight, const at::Tensor& bias);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_LAYER_STACK_H_

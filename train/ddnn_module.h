#ifndef DDNN_TRAIN_DDNN_MODULE_H_
#define DDNN_TRAIN_DDNN_MODULE_H_

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include "ddnn/v1/bundle.pb.h"
#include "models/network_plan.h"
#include "train/layer_stack.h"

namespace ddnn::train {

/// What one exit said about a batch; n nodes compute its scores, one decides.
struct ExitBatch {
  at::Tensor node_scores;  ///< [B, n, C]
  at::Tensor node_mask;    ///< [B, n] float, 1 = present; undefined = all
  at::Tensor scores;       ///< [B, C], joined; zeros where nobody was present
  at::Tensor mask;         ///< [B] float, 1 = somebody was present; undefined = everywhere
};

/// The whole network of a plan as one differentiable computation. The nodes of a tier whose inputs
/// have one shape run as one grouped operation, in channels-last memory.
///
/// Drawing the first weights uses LibTorch's default generator: seed it before. Not safe to call
/// from several threads. Errors inside LibTorch arrive as c10::Error.
class DdnnModule {
 public:
  explicit DdnnModule(const NetworkPlan& plan);

  /// \param pixels    uint8 [B, V, C, H, W]
  /// \param presence  bool [B, V]. What absent views show is of no consequence.
  /// \return          one entry per exit of the plan, bottom up.
  std::vector<ExitBatch> Forward(const at::Tensor& pixels, const at::Tensor& presence) const;

  /// Batch statistics and dropout, or what the exported sections will compute.
  void set_training(bool training) { training_ = training; }
  void To(const c10::Device& device);
  /// Batch norm in training takes its statistics over all ranks. Not owned.
  void JoinRanks(Ranks* ranks);
  std::vector<at::Tensor> parameters() const;
  /// Everything that training changes, in an order that the plan alone decides: copied into a
  /// module of the same plan it makes that one the same.
  std::vector<StateTensor> state() const;

  /// Starts from sections that CheckSection passed, one per node: afterwards it computes what they
  /// compute. Their batch norms are folded and have no statistics: those are taken from a batch of
  /// samples (as Forward has them), so that training goes on from the same function.
  void Import(const std::vector<v1::Section>& sections, const at::Tensor& pixels,
              const at::Tensor& presence);
  /// One section per node, tier by tier.
  std::vector<v1::Section> Export() const;
  const NetworkPlan& plan() const { return plan_; }

 private:
  /// Nodes of one tier that are alike.
  struct Group {
    std::vector<int> nodes;
    LayerStack body, head;
  };
  struct TierModule {
    std::vector<Group> groups;
    /// CC of the children's scores; undefined elsewhere. [C, n*C] and [C].
    at::Tensor scores_weight, scores_bias;
  };
  struct TierBatch {
    std::vector<at::Tensor> features;  ///< by node, [B, C, H, W]; zero where absent
    at::Tensor whole;                  ///< instead of these, if all nodes are one group: stacked
    at::Tensor mask;                   ///< [B, nodes] float, or undefined

    at::Tensor Features(int node, int nodes) const;
  };

  TierBatch FirstInputs(const at::Tensor& pixels, const at::Tensor& presence) const;
  at::Tensor JoinedInput(int tier, const NodePlan& node, const TierBatch& below) const;
  TierBatch RunTier(int tier, const TierBatch& below, std::vector<ExitBatch>* exits) const;
  void DecideExit(int exit, ExitBatch* batch) const;

  NetworkPlan plan_;
  bool training_ = true;
  std::vector<TierModule> tiers_;
};

/// Joint loss of a batch: for every exit, `weight` times the cross entropy of its joined scores
/// plus, where several nodes compute them, `each_weight` times that of each node against its own
/// label. Means over what is present; a label of C ("absent") counts nowhere, and a batch in which
/// nobody is present costs 0.
///
/// \param labels       int64 [B], of the samples
/// \param view_labels  int64 [B, V]
/// \param exit_losses  unless null: the cross entropy of each exit's joined scores, unweighted and
///                     without gradient, is put there.
/// \param class_weights  float [C]: how much a sample of each class counts in the means;
///                       undefined: all the same
at::Tensor JointLoss(const NetworkPlan& plan, const std::vector<ExitBatch>& exits,
                     const at::Tensor& labels, const at::Tensor& view_labels,
                     std::vector<at::Tensor>* exit_losses = nullptr,
                     const at::Tensor& class_weights = {});

/// How many samples an exit counts, and how many of these it got right: {counted, right}.
std::pair<int64_t, int64_t> CountRight(const NetworkPlan& plan, const ExitBatch& exit,
                                       const at::Tensor& labels);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_DDNN_MODULE_H_

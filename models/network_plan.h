#ifndef DDNN_MODELS_NETWORK_PLAN_H_
#define DDNN_MODELS_NETWORK_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ddnn/v1/network.pb.h"

namespace ddnn {

struct Shape {
  int channels = 0;
  int height = 1;
  int width = 1;

  int size() const { return channels * height * width; }
  friend bool operator==(const Shape& a, const Shape& b) {
    return a.channels == b.channels && a.height == b.height && a.width == b.width;
  }
};

/// "16x8x8"
std::string ToString(const Shape& shape);

/// What the values of a tensor can be; decides how it is computed with and how it travels.
enum class ValueKind {
  kPixel,    ///< (p - offset) * scale for p in 0..255; travels as one byte
  kBit,      ///< -1 or +1 (0 in the slot of a missing child); travels as one bit
  kInteger,  ///< n * unit for an integer n, from a binary layer over pixels or bits
  kFloat,    ///< anything; travels as float32
};

struct ValueType {
  Shape shape;
  ValueKind kind = ValueKind::kFloat;
  float unit = 1.0f;  ///< kInteger and kPixel: a power of two, or kPixel's scale
};

/// One node of the tree: a section with its place, its input and what comes out of it.
struct NodePlan {
  int tier = 0;
  int index = 0;  ///< within the tier
  std::vector<int>
      children;        ///< indices in the tier below, in slot order; empty in the device tier
  int parent = -1;     ///< index in the tier above; -1 for the root
  int slot = 0;        ///< this node's position among its parent's children
  uint64_t views = 0;  ///< bit v: view v is under this node
  /// Joined input of the section. Pixels joined above the device tier are kInteger (kFloat where
  /// the scale is no power of two): only devices hold pixels as bytes.
  ValueType input;
  /// What travels up: what the body gives, but kFloat where that is bits among which a missing
  /// child's zeros can be; without layers what was joined, packed as the children pack it.
  ValueType features;
  /// Types behind each layer of the tier's body and of its exit's head (dropout included).
  std::vector<ValueType> body;
  std::vector<ValueType> head;
};

/// Where an exit's scores are computed and where they are decided.
struct ExitPlan {
  std::string name;
  int tier = 0;          ///< its nodes compute the scores
  int decided_tier = 0;  ///< == tier if that tier has one node, else tier + 1
  v1::Aggregator scores = v1::AGGREGATOR_UNSPECIFIED;  ///< if decided_tier != tier
  float weight = 1;
  float each_weight = 1;
  v1::ScoreCode score_code;  ///< bits 0: float32
};

struct TierPlan {
  std::string name;
  std::vector<NodePlan> nodes;
  v1::Aggregation features;  ///< how children's features are joined; unset in the device tier
  int exit = -1;             ///< index of the exit whose scores this tier's nodes compute
  int children_exit = -1;    ///< index of the exit over the children's scores that is decided here
};

/// A checked network spec with all shapes inferred. Immutable; copies share nothing.
class NetworkPlan {
 public:
  /// INVALID_ARGUMENT names the layer, what was found and what was expected.
  static absl::StatusOr<NetworkPlan> Create(const v1::NetworkSpec& spec);

  const v1::NetworkSpec& spec() const { return spec_; }
  const std::vector<TierPlan>& tiers() const { return tiers_; }
  const std::vector<ExitPlan>& exits() const { return exits_; }
  const NodePlan& node(int tier, int index) const { return tiers_[tier].nodes[index]; }
  int root_tier() const { return static_cast<int>(tiers_.size()) - 1; }
  int views() const { return spec_.views(); }
  int classes() const { return spec_.class_name_size(); }
  Shape view_shape() const;
  /// Index of the exit of that name, or NOT_FOUND listing the names there are.
  absl::StatusOr<int> FindExit(const std::string& name) const;
  absl::StatusOr<int> FindTier(const std::string& name) const;
  /// Bit v set for every view of the network.
  uint64_t all_views() const;

 private:
  friend class PlanBuilder;

  v1::NetworkSpec spec_;
  std::vector<TierPlan> tiers_;
  std::vector<ExitPlan> exits_;
};

/// Reads a text-format spec from a file and plans it; errors name the file.
absl::StatusOr<NetworkPlan> LoadNetwork(const std::string& path);

}  // namespace ddnn

#endif  // DDNN_MODELS_NETWORK_PLAN_H_

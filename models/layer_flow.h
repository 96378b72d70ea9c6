#ifndef DDNN_MODELS_LAYER_FLOW_H_
#define DDNN_MODELS_LAYER_FLOW_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "models/network_plan.h"

namespace ddnn {

/// Bounds on what a spec may ask for, so that a hostile one cannot make anybody allocate without
/// end.
inline constexpr int64_t kMaxTensorValues = int64_t{1} << 24;
inline constexpr int64_t kMaxSectionWeights = int64_t{1} << 26;
inline constexpr int kMaxLayers = 256;
/// Sums of integers stay exact in a float below this.
inline constexpr double kMaxExactInteger = 1 << 24;

/// A value type on its way through a section, with what only planning needs to know about it.
struct Flow {
  ValueType type;
  double bound = 0;        ///< kPixel, kInteger, kBit: |n| is at most this
  bool has_zeros = false;  ///< kBit: slots of missing children hold 0
  int64_t weights = 0;     ///< in the section so far
};

/// What comes out of a layer. INVALID_ARGUMENT starts with `where` and names the shape found and
/// what the layer expects.
absl::StatusOr<Flow> ThroughLayer(const v1::Layer& layer, const std::string& where, const Flow& in);

/// What comes out of joining the children's features. A missing child's slot is zero.
/// \param where  names the tier, for errors.
absl::StatusOr<Flow> ThroughJoin(const v1::Aggregation& aggregation, const std::string& where,
                                 const std::vector<Flow>& children);

/// True for 2^k, k any integer.
bool IsPowerOfTwo(float value);

/// "binary_conv", as the field is called in the spec.
std::string LayerKindName(const v1::Layer& layer);

}  // namespace ddnn

#endif  // DDNN_MODELS_LAYER_FLOW_H_

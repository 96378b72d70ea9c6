#ifndef DDNN_CLOUD_QUERY_REQUESTS_H_
#define DDNN_CLOUD_QUERY_REQUESTS_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cloud/hard_database.h"
#include "ddnn/v1/query.pb.h"
#include "ddnn/v1/tier.pb.h"
#include "models/network_plan.h"
#include "runtime/core/answer.h"
#include "runtime/node/whole_network.h"

namespace ddnn {

/// The requests of QueryService, checked. All errors are INVALID_ARGUMENT and name the field, what
/// was found and what was expected; nothing is allocated from a number that a peer gave.

/// Pictures of one sample, put in their places. Each view once, with exactly the network's size.
absl::StatusOr<WholeInput> CheckClassify(const NetworkPlan& plan,
                                         const v1::ClassifyRequest& request);

struct ListQuery {
  HardFilter filter;
  int page_size = 50;  ///< 1 to 1000
  std::optional<HardCursor> after;
};
/// A page token is good only for the filter it was given for.
absl::StatusOr<ListQuery> CheckList(const NetworkPlan& plan, const v1::ListHardRequest& request);
std::string PageToken(const HardFilter& filter, const HardCursor& cursor);

absl::Status CheckLabel(const NetworkPlan& plan, const v1::LabelHardRequest& request);

/// As the store takes it, with the bundle if it is another than this; `kept` must have passed
/// CheckKept.
absl::StatusOr<HardAlone> FromProto(const NetworkPlan& plan, const v1::KeptSample& kept);

/// As QueryService sends it: `whole` adds features and pictures.
v1::HardSample ToProto(const HardRecord& record, bool whole);
/// With softmax probabilities of the answer's scores; none where a score is not finite.
v1::ClassifyResponse ToProto(const NetworkPlan& plan, const Answer& answer);

}  // namespace ddnn

#endif  // DDNN_CLOUD_QUERY_REQUESTS_H_

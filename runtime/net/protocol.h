#ifndef DDNN_RUNTIME_NET_PROTOCOL_H_
#define DDNN_RUNTIME_NET_PROTOCOL_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ddnn/v1/tier.pb.h"
#include "models/network_plan.h"
#include "runtime/core/answer.h"

namespace ddnn {

inline constexpr int kProtocolVersion = 3;
/// Samples (or answers, or requests) in one message, at most.
inline constexpr int kMaxPerMessage = 64;
/// What queued up is merged into one message up to this size, bytes; one large sample may exceed
/// it.
inline constexpr size_t kMergeBytes = 64 << 10;
/// Largest Up.clock_us: the end of the year 9999.
inline constexpr int64_t kMaxClockUs = 253402300799999999;
/// Longest reason in an answer, bytes.
inline constexpr size_t kMaxReason = 200;

/// "device.3": tier name and index, as messages and logs call a node.
std::string NodeName(const NetworkPlan& plan, int tier, int index);

/// Largest UpSample that this node may send, bytes: scores, features and the pictures of all its
/// views.
size_t MaxUpSampleBytes(const NetworkPlan& plan, int tier, int index);
/// Largest KeptSample of the device of this view, bytes.
size_t MaxKeptBytes(const NetworkPlan& plan, int view);
/// Largest Up that the children of this node may send: the receive limit of its server.
size_t MaxUpBytes(const NetworkPlan& plan, int tier, int index);
/// The same for a server that also takes questions (`asked`): pictures of all views of one sample
/// may come in one.
size_t MaxReceiveBytes(const NetworkPlan& plan, int tier, int index, bool asked);
/// Largest Down: the receive limit of a child.
size_t MaxDownBytes();

/// Whose place a Hello asks for: the slot among the children of node (tier, index).
///
/// FAILED_PRECONDITION for another protocol version or bundle (naming both hashes), OUT_OF_RANGE
/// for a node that is not a child here (naming the range), INVALID_ARGUMENT for a malformed hash.
absl::StatusOr<int> CheckHello(const NetworkPlan& plan, int tier, int index,
                               absl::string_view bundle_sha256, const v1::Hello& hello);

/// That a sample from this child fits the spec: sizes, presence mask, pictures' views, and that it
/// says something at all. INVALID_ARGUMENT names child, field, found and expected. Nothing is
/// decoded before. A device's absent presence mask is filled in.
absl::Status CheckUpSample(const NetworkPlan& plan, int tier, int index, v1::UpSample* sample);

/// Bytes of KeptSample.log.
inline constexpr size_t kLogBytes = 16;
/// Longest names in a KeptSample, bytes.
inline constexpr size_t kMaxKeptName = 100;

/// That a kept sample from this child is of a view under it and fits the spec: number, class, exit,
/// and the sizes of scores, features and picture, of which it has one of the last two; the picture
/// where the answer is another bundle's.
/// INVALID_ARGUMENT names child, field, found and expected.
absl::Status CheckKept(const NetworkPlan& plan, int tier, int index, const v1::KeptSample& kept);

/// That an acknowledgement is of a view under this node. INVALID_ARGUMENT likewise.
absl::Status CheckKeptAck(const NetworkPlan& plan, int tier, int index, const v1::KeptAck& ack);

v1::DownAnswer ToProto(const Answer& answer);
/// INVALID_ARGUMENT for a class, exit or view that the network does not have.
absl::StatusOr<Answer> FromProto(const NetworkPlan& plan, const v1::DownAnswer& answer);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_PROTOCOL_H_

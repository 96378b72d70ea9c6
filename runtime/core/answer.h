#ifndef DDNN_RUNTIME_CORE_ANSWER_H_
#define DDNN_RUNTIME_CORE_ANSWER_H_

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "absl/time/time.h"

namespace ddnn {

/// Names one event seen by up to V views.
struct SampleKey {
  uint32_t stream = 0;
  uint64_t sequence = 0;

  friend bool operator==(const SampleKey& a, const SampleKey& b) {
    return a.stream == b.stream && a.sequence == b.sequence;
  }
  friend bool operator<(const SampleKey& a, const SampleKey& b) {
    return std::tie(a.stream, a.sequence) < std::tie(b.stream, b.sequence);
  }
  template <typename H>
  friend H AbslHashValue(H h, const SampleKey& k) {
    return H::combine(std::move(h), k.stream, k.sequence);
  }
};

/// How a sample ended. Each sample that entered a node ends exactly once.
enum class Outcome { kAnswered, kShed, kExpired };

struct Answer {
  SampleKey sample;
  Outcome outcome = Outcome::kAnswered;
  int class_index = 0;
  int exit = 0;           ///< index into NetworkPlan::exits()
  float entropy = 1;      ///< normalised, of the scores it was decided on
  uint64_t presence = 0;  ///< bit v: view v contributed to those scores
  bool degraded =
      false;  ///< given below the exit that should have, because the parent was gone or late
  bool hard = false;   ///< the root was unsure too
  std::string reason;  ///< why it was shed or expired, or answered degraded

  // Known only where the answer is reported, never sent:
  uint64_t payload_bytes = 0;  ///< scores and features sent up (root: received) for this sample
  absl::Duration latency;      ///< since the sample entered this node
  std::vector<float> scores;   ///< [C]; empty where the answer came from above
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_CORE_ANSWER_H_

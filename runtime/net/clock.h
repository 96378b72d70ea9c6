#ifndef DDNN_RUNTIME_NET_CLOCK_H_
#define DDNN_RUNTIME_NET_CLOCK_H_

#include <functional>

#include "absl/time/time.h"

namespace ddnn {

/// Tells the time. Safe to call from several threads.
using Clock = std::function<absl::Time()>;

/// The wall's time when it was made, and from then on never backwards.
Clock SteadyClock();

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_CLOCK_H_

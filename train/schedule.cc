#include "train/schedule.h"

#include <algorithm>
#include <cmath>

namespace ddnn::train {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kWarmUp = 0.3, kStart = 0.04;

// From `from` at 0 to `to` at 1, flat at both ends.
double CosineBetween(double from, double to, double at) {
  return to + (from - to) * 0.5 * (1 + std::cos(kPi * at));
}

}  // namespace

double ScheduleFactor(const v1::Schedule& schedule, int epochs, double done) {
  const double share = std::clamp(done / epochs, 0.0, 1.0);
  switch (schedule.kind_case()) {
    case v1::Schedule::kConstant:
      return 1;
    case v1::Schedule::kStep:
      return std::pow(schedule.step().factor(), std::floor(done / schedule.step().epochs()));
    case v1::Schedule::kOneCycle: {
      const v1::OneCycleSchedule& cycle = schedule.one_cycle();
      const double warm_up = cycle.has_warm_up() ? cycle.warm_up() : kWarmUp;
      const double start = cycle.has_start() ? cycle.start() : kStart;
      if (share < warm_up) return CosineBetween(start, 1, share / warm_up);
      return CosineBetween(1, cycle.end(), warm_up < 1 ? (share - warm_up) / (1 - warm_up) : 0);
    }
    case v1::Schedule::kCosine:
    case v1::Schedule::KIND_NOT_SET:
      break;
  }
  return CosineBetween(1, schedule.cosine().end(), share);
}

}  // namespace ddnn::train

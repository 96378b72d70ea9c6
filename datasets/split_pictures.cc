#include "datasets/split_pictures.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "datasets/counter_rng.h"
#include "datasets/dataset.h"

namespace ddnn {
namespace {

constexpr int64_t kCalibrationPictures = 5000;
constexpr uint64_t kSplitSeed = 0x5eed5711u;

absl::string_view Row(const PictureRows& rows, int64_t index) {
  return absl::string_view(reinterpret_cast<const char*>(rows.first + index * rows.stride),
                           static_cast<size_t>(rows.bytes));
}

}  // namespace

std::array<std::vector<uint32_t>, 3> SplitPictures(const PictureRows& train,
                                                   const PictureRows& test) {
  std::array<std::vector<uint32_t>, 3> members;
  absl::flat_hash_set<absl::string_view> taken;
  for (uint32_t i = 0; i < test.count; ++i) {
    members[static_cast<int>(Split::kTest)].push_back(i);
    taken.insert(Row(test, i));
  }

  std::vector<std::pair<uint64_t, uint32_t>> order;
  for (uint32_t i = 0; i < train.count; ++i) {
    if (!taken.contains(Row(train, i))) order.emplace_back(CounterRng({kSplitSeed, i}).Word(0), i);
  }
  const size_t wanted = std::min<size_t>(
      order.size(),
      static_cast<size_t>(std::min<int64_t>(kCalibrationPictures, (train.count + 9) / 10)));
  std::partial_sort(order.begin(), order.begin() + wanted, order.end());
  std::vector<uint32_t>& calibration = members[static_cast<int>(Split::kCalibration)];
  for (size_t i = 0; i < wanted; ++i) {
    calibration.push_back(order[i].second);
    taken.insert(Row(train, order[i].second));
  }
  std::sort(calibration.begin(), calibration.end());
  for (uint32_t i = 0; i < train.count; ++i) {
    if (!taken.contains(Row(train, i))) members[static_cast<int>(Split::kTrain)].push_back(i);
  }
  return members;
}

}  // namespace ddnn

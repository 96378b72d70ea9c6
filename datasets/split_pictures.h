#ifndef DDNN_DATASETS_SPLIT_PICTURES_H_
#define DDNN_DATASETS_SPLIT_PICTURES_H_

#include <array>
#include <cstdint>
#include <vector>

namespace ddnn {

/// Pictures of one size that lie in one block of memory, `stride` bytes from one to the next.
struct PictureRows {
  const uint8_t* first = nullptr;
  int64_t bytes = 0, stride = 0, count = 0;
};

/// Makes three splits of a set that comes with two, a train and a test file.
///
/// test is all of `test`; calibration is 5,000 pictures (a tenth, if that is less) of `train`,
/// chosen by a hash of their index; train is the rest. Pictures of `train` that are bit for bit one
/// of `test` are in no split, and what calibration holds is not in train.
///
/// \return  by Split: indices, rising, into `test` for kTest and into `train` otherwise
std::array<std::vector<uint32_t>, 3> SplitPictures(const PictureRows& train,
                                                   const PictureRows& test);

}  // namespace ddnn

#endif  // DDNN_DATASETS_SPLIT_PICTURES_H_

#ifndef DDNN_RUNTIME_LITE_TRANSPOSE_H_
#define DDNN_RUNTIME_LITE_TRANSPOSE_H_

#include <algorithm>
#include <cstddef>

namespace ddnn {
namespace lite {

/// [rows, columns] -> [columns, rows], each value through `convert`; in squares whose lines all
/// stay in the first cache: rows that are a power of 2 apart would throw each other out.
template <typename From, typename To, typename Convert>
void Transpose(const From* from, int rows, int columns, To* to, Convert convert) {
  constexpr int kSquare = 16;
  for (int r0 = 0; r0 < rows; r0 += kSquare) {
    const int r1 = std::min(rows, r0 + kSquare);
    for (int c0 = 0; c0 < columns; c0 += kSquare) {
      const int c1 = std::min(columns, c0 + kSquare);
      for (int c = c0; c < c1; ++c) {
        To* line = to + size_t{1} * c * rows;
        for (int r = r0; r < r1; ++r) line[r] = convert(from[size_t{1} * r * columns + c]);
      }
    }
  }
}

inline void Transpose(const float* from, int rows, int columns, float* to) {
  Transpose(from, rows, columns, to, [](float x) { return x; });
}

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_TRANSPOSE_H_

#ifndef DDNN_RUNTIME_LITE_BINARY_BLOCK_H_
#define DDNN_RUNTIME_LITE_BINARY_BLOCK_H_

#include <memory>

#include "ddnn/v1/bundle.pb.h"
#include "runtime/lite/op.h"

namespace ddnn {
namespace lite {

/// A binary convolution, a max pool where there is one, and the threshold behind it, as one
/// operation: sums are compared as they arise and never written, and the larger of several sums
/// reaches the threshold where one of them does, so that pooling is an OR of bits. Gives the same
/// bits as the layers one by one.
struct BinaryBlock {
  const v1::SectionConv* conv;
  const v1::Pool* pool;  ///< null: none
  const v1::Threshold* threshold;
  Shape sums;  ///< of the convolution
  Shape out;   ///< of the block
};

/// kPixels of `in` -> kPixelBits of block.out
std::unique_ptr<Op> MakePixelBlock(const BinaryBlock& block, const Values& in);

/// kPixelBits of `in` -> kPixelBits of block.out
std::unique_ptr<Op> MakeBitBlock(const BinaryBlock& block, const Shape& in);

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_BINARY_BLOCK_H_

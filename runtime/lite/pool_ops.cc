#include "runtime/lite/pool_ops.h"

#include <algorithm>
#include <vector>

#include "runtime/lite/pool_window.h"

namespace ddnn {
namespace lite {
namespace {

// Joins the rows of each window first, over the whole width, then the columns.
template <typename T, typename Join>
void Slide(const PoolWindow& window, const Shape& in, const Shape& out, const std::vector<T>& from,
           std::vector<T>* row, std::vector<T>* to, Join join) {
  row->resize(in.width);
  for (int c = 0; c < out.channels; ++c) {
    const T* plane = &from[size_t{1} * c * in.height * in.width];
    for (int y = 0; y < out.height; ++y) {
      const int y0 = window.Begin(y), y1 = window.End(y, in.height);
      T* r = row->data();
      std::copy_n(plane + size_t{1} * y0 * in.width, in.width, r);
      for (int iy = y0 + 1; iy < y1; ++iy) {
        const T* line = plane + size_t{1} * iy * in.width;
        for (int x = 0; x < in.width; ++x) r[x] = join(r[x], line[x]);
      }
      T* target = &(*to)[(size_t{1} * c * out.height + y) * out.width];
      for (int x = 0; x < out.width; ++x) {
        const int x0 = window.Begin(x), x1 = window.End(x, in.width);
        T value = r[x0];
        for (int ix = x0 + 1; ix < x1; ++ix) value = join(value, r[ix]);
        target[x] = value;
      }
    }
  }
}

class MaxPoolOp : public Op {
 public:
  explicit MaxPoolOp(const v1::Pool& layer) : window_(layer) {}

  absl::Status Run(const Values& in, Values* out) override {
    const auto larger = [](auto a, auto b) { return a < b ? b : a; };
    if (in.form == Form::kIntegers) {
      Slide(window_, in.shape, out->shape, in.integers, &integers_, &out->integers, larger);
    } else {
      Slide(window_, in.shape, out->shape, in.floats, &floats_, &out->floats, larger);
    }
    return absl::OkStatus();
  }

 private:
  const PoolWindow window_;
  std::vector<int32_t> integers_;
  std::vector<float> floats_;
};

class AveragePoolOp : public Op {
 public:
  explicit AveragePoolOp(const v1::Pool& layer) : window_(layer) {}

  absl::Status Run(const Values& in, Values* out) override {
    const auto sum = [](float a, float b) { return a + b; };
    Slide(window_, in.shape, out->shape, in.floats, &row_, &out->floats, sum);
    size_t i = 0;
    for (int c = 0; c < out->shape.channels; ++c) {
      for (int y = 0; y < out->shape.height; ++y) {
        const int rows = window_.End(y, in.shape.height) - window_.Begin(y);
        for (int x = 0; x < out->shape.width; ++x, ++i) {
          const int columns = window_.End(x, in.shape.width) - window_.Begin(x);
          out->floats[i] /= static_cast<float>(rows * columns);
        }
      }
    }
    return absl::OkStatus();
  }

 private:
  const PoolWindow window_;
  std::vector<float> row_;
};

}  // namespace

std::unique_ptr<Op> MakeMaxPool(const v1::Pool& layer) {
  return std::make_unique<MaxPoolOp>(layer);
}

std::unique_ptr<Op> MakeAveragePool(const v1::Pool& layer) {
  return std::make_unique<AveragePoolOp>(layer);
}

}  // namespace lite
}  // namespace ddnn

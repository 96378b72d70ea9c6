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

// The same in the order [H, W, C]: all channels of a window's pixels, one pixel after the other.
template <typename Join>
void SlidePixels(const PoolWindow& window, const Shape& in, const Shape& out, const float* from,
                 float* to, Join join) {
  const size_t channels = in.channels;
  for (int y = 0; y < out.height; ++y) {
    const int y0 = window.Begin(y), y1 = window.End(y, in.height);
    for (int x = 0; x < out.width; ++x, to += channels) {
      const int x0 = window.Begin(x), x1 = window.End(x, in.width);
      std::copy_n(from + (size_t{1} * y0 * in.width + x0) * channels, channels, to);
      for (int iy = y0; iy < y1; ++iy) {
        for (int ix = iy == y0 ? x0 + 1 : x0; ix < x1; ++ix) {
          const float* pixel = from + (size_t{1} * iy * in.width + ix) * channels;
          for (size_t c = 0; c < channels; ++c) to[c] = join(to[c], pixel[c]);
        }
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
    } else if (in.form == Form::kPixelFloats) {
      SlidePixels(window_, in.shape, out->shape, in.floats.data(), out->floats.data(), larger);
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
    const Shape& shape = out->shape;
    if (in.form == Form::kPixelFloats) {
      SlidePixels(window_, in.shape, shape, in.floats.data(), out->floats.data(), sum);
      Divide(in.shape, shape, shape.channels, out->floats.data());
      return absl::OkStatus();
    }
    Slide(window_, in.shape, shape, in.floats, &row_, &out->floats, sum);
    const size_t plane = size_t{1} * shape.height * shape.width;
    for (int c = 0; c < shape.channels; ++c) Divide(in.shape, shape, 1, &out->floats[c * plane]);
    return absl::OkStatus();
  }

 private:
  // By the number of values in each window; `channels` lie behind each other.
  void Divide(const Shape& in, const Shape& out, int channels, float* at) const {
    for (int y = 0; y < out.height; ++y) {
      const int rows = window_.End(y, in.height) - window_.Begin(y);
      for (int x = 0; x < out.width; ++x) {
        const int columns = window_.End(x, in.width) - window_.Begin(x);
        for (int c = 0; c < channels; ++c) *at++ /= static_cast<float>(rows * columns);
      }
    }
  }

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

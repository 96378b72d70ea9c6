#include "train/plane_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/random_network.h"
#include "train/conv_planes.h"

namespace ddnn::train {
namespace {

constexpr int64_t kSlack = PlaneKernels::kSlack;

// Those that this processor can run, but for the portable ones.
std::vector<const PlaneKernels*> WideKernels() {
  std::vector<const PlaneKernels*> all;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (Avx2Kernels() != nullptr && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    all.push_back(Avx2Kernels());
  }
#endif
  if (&Kernels() != PortableKernels()) all.push_back(&Kernels());
  return all;
}

// What a kernel gave, by its name. With whole numbers in, sums are exact in any order.
using Results = std::vector<std::pair<std::string, std::vector<float>>>;

std::vector<float> Copy(AlignedFloats* from, int64_t size) {
  return {from->data(), from->data() + size};
}

// Whole numbers from -4 to 4, then zeros up to `whole`.
AlignedFloats WholeNumbers(int64_t size, int64_t whole, Random* random) {
  AlignedFloats values(whole, 0.0f);
  for (int64_t i = 0; i < size; ++i) {
    values.data()[i] = static_cast<float>(RandomInt(-4, 4, random));
  }
  return values;
}

void RunConvolutions(const PlaneKernels& k, Random* random, Results* results) {
  const int64_t channels = RandomInt(1, 5, random), filters = RandomInt(1, 9, random);
  const int64_t kernel = RandomInt(1, 4, random), fours = (filters + 3) / 4 * 4;
  const int64_t height = RandomInt(4, 20, random), pitch = RandomInt(4, 40, random);
  const int64_t rows = height - kernel + 1, width = pitch - kernel + 1, length = rows * pitch;
  const int64_t taps = channels * kernel * kernel, plane = height * pitch + kernel + kSlack;
  AlignedFloats in = WholeNumbers(channels * plane, channels * plane, random);
  AlignedFloats weights = WholeNumbers(fours * taps, fours * taps, random);
  const int64_t out_plane = length + kSlack;
  AlignedFloats out(filters * out_plane, 0.0f), dy(fours * out_plane, 0.0f);
  k.convolve(in.data(), plane, weights.data(), channels, kernel, pitch, length, filters, out.data(),
             out_plane);
  std::vector<float> kept;
  for (int64_t f = 0; f < filters; ++f) {
    for (int64_t y = 0; y < rows; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        kept.push_back(out.data()[f * out_plane + y * pitch + x]);
        dy.data()[f * out_plane + y * pitch + x] = static_cast<float>(RandomInt(-3, 3, random));
      }
    }
  }
  results->emplace_back("convolve", kept);
  AlignedFloats sums(fours * taps * k.lanes, 0.0f), totals(fours * taps, 0.0f);
  k.weight_gradient(in.data(), plane, dy.data(), out_plane, channels, kernel, pitch, length,
                    filters, sums.data());
  const float* chunks[] = {sums.data(), sums.data()};
  k.sum_lanes(chunks, 2, 0, fours * taps, totals.data());
  results->emplace_back("weight_gradient", Copy(&totals, fours * taps));
}

void RunPool(const PlaneKernels& k, Random* random, Results* results) {
  const int64_t kernel = RandomInt(1, 4, random), stride = RandomInt(1, 3, random);
  const int64_t height = RandomInt(1, 9, random), width = RandomInt(1, 40, random);
  const int64_t pitch = (width - 1) * stride + kernel + RandomInt(0, 2, random);
  const int64_t size = ((height - 1) * stride + kernel) * pitch;
  AlignedFloats in = WholeNumbers(size, size + kSlack, random);
  AlignedFloats row(2 * (pitch + kSlack), 0.0f), largest(height * width + kSlack, 0.0f);
  std::vector<uint8_t> where(height * width + kSlack);
  k.max_pool(in.data(), pitch, height, width, kernel, stride, row.data(), largest.data(),
             where.data());
  results->emplace_back("largest", Copy(&largest, height * width));
  results->emplace_back("where", std::vector<float>(where.begin(), where.begin() + height * width));
}

void RunProducts(const PlaneKernels& k, Random* random, Results* results) {
  const int64_t batch = RandomInt(1, 5, random), inputs = RandomInt(1, 300, random);
  const int64_t outputs = RandomInt(1, 11, random);
  AlignedFloats x = WholeNumbers(batch * inputs, batch * inputs + kSlack, random);
  AlignedFloats w = WholeNumbers(outputs * inputs, outputs * inputs + kSlack, random);
  AlignedFloats dy = WholeNumbers(batch * outputs, batch * outputs + kSlack, random);
  AlignedFloats y(outputs + kSlack, 0.0f), dx(inputs + kSlack, 0.0f);
  AlignedFloats dw(outputs * inputs + kSlack, 0.0f);
  k.dots(x.data(), w.data(), inputs, outputs, y.data());
  k.combine(w.data(), dy.data(), inputs, outputs, dx.data());
  k.outer(x.data(), inputs, dy.data(), outputs, batch, inputs, outputs, 0, inputs, dw.data());
  results->emplace_back("dots", Copy(&y, outputs));
  results->emplace_back("combine", Copy(&dx, inputs));
  results->emplace_back("outer", Copy(&dw, outputs * inputs));
}

void RunPlanes(const PlaneKernels& k, Random* random, Results* results) {
  const int64_t size = RandomInt(1, 700, random);
  AlignedFloats x = WholeNumbers(size, size + kSlack, random);
  AlignedFloats dy = WholeNumbers(size, size + kSlack, random);
  AlignedFloats y(size + kSlack, 0.0f), dx(size + kSlack, 0.0f);
  std::vector<float> sums(4);
  k.moments(x.data(), size, &sums[0], &sums[1]);
  const Activation activation = static_cast<Activation>(RandomInt(0, 2, random));
  const NormTerms norm{0.5f, 0.25f, 0.125f, activation};
  k.normalise(x.data(), size, norm, y.data());
  k.gradient_sums(x.data(), dy.data(), size, norm, &sums[2], &sums[3]);
  k.gradient(x.data(), dy.data(), size, norm, 0.5f, 0.25f, 0.125f, dx.data());
  results->emplace_back("sums", sums);
  results->emplace_back("normalise", Copy(&y, size));
  results->emplace_back("gradient", Copy(&dx, size));
}

void RunRows(const PlaneKernels& k, Random* random, Results* results) {
  const int64_t rows = RandomInt(1, 40, random), channels = RandomInt(1, 50, random);
  const int64_t size = rows * channels;
  AlignedFloats x = WholeNumbers(size, size + kSlack, random);
  AlignedFloats dy = WholeNumbers(size, size + kSlack, random);
  AlignedFloats y(size + kSlack, 0.0f), dx(size + kSlack, 0.0f), turned(size + kSlack, 0.0f);
  std::vector<AlignedFloats> per_channel;
  for (int i = 0; i < 4; ++i) {
    per_channel.push_back(WholeNumbers(channels, channels + kSlack, random));
  }
  const auto at = [&](int i) { return per_channel[i].data(); };
  AlignedFloats sum(channels + kSlack, 0.0f), squares(channels + kSlack, 0.0f);
  AlignedFloats g_sum(channels + kSlack, 0.0f), moment(channels + kSlack, 0.0f);
  k.row_sums(x.data(), rows, channels, sum.data());
  k.row_squares(x.data(), rows, channels, at(0), squares.data());
  const Activation activation = static_cast<Activation>(RandomInt(0, 2, random));
  const RowNorm norm{at(0), at(1), at(2), activation};
  k.normalise_rows(x.data(), rows, channels, norm, y.data());
  k.row_gradient_sums(x.data(), dy.data(), rows, channels, norm, g_sum.data(), moment.data());
  k.row_gradient(x.data(), dy.data(), rows, channels, norm, {at(1), at(2), at(3)}, dx.data());
  k.transpose(x.data(), rows, channels, turned.data());
  results->emplace_back("row_sums", Copy(&sum, channels));
  results->emplace_back("row_squares", Copy(&squares, channels));
  results->emplace_back("normalise_rows", Copy(&y, size));
  results->emplace_back("row_gradient_sums", Copy(&g_sum, channels));
  results->emplace_back("row_gradient_moments", Copy(&moment, channels));
  results->emplace_back("row_gradient", Copy(&dx, size));
  results->emplace_back("transpose", Copy(&turned, size));
}

void RunBfloat16(const PlaneKernels& k, Random* random, Results* results) {
  const int64_t size = RandomInt(1, 300, random);
  AlignedFloats x(size + kSlack, 0.0f), back(size + kSlack, 0.0f);
  for (int64_t i = 0; i < size; ++i) x.data()[i] = RandomFloat(-9, 9, random);
  std::vector<uint16_t> narrow(size + kSlack);
  k.narrow(x.data(), size, narrow.data());
  k.widen(narrow.data(), size, back.data());
  results->emplace_back("narrow", std::vector<float>(narrow.begin(), narrow.begin() + size));
  results->emplace_back("widen", Copy(&back, size));
}

void RunCopies(const PlaneKernels& k, Random* random, Results* results) {
  const int64_t height = RandomInt(1, 9, random), width = RandomInt(1, 60, random);
  const int64_t pitch = width + RandomInt(0, 5, random), to_pitch = width + RandomInt(0, 5, random);
  AlignedFloats from = WholeNumbers(height * pitch, height * pitch + kSlack, random);
  AlignedFloats to(height * to_pitch + kSlack, 7.0f), pixels(height * to_pitch + kSlack, 7.0f);
  std::vector<uint8_t> bytes(height * width + kSlack);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(RandomInt(0, 255, random));
  k.copy_rows(from.data(), pitch, height, width, to.data(), to_pitch);
  k.copy_pixels(bytes.data(), height, width, 121, 0.0078125f, pixels.data(), to_pitch);
  results->emplace_back("copy_rows", Copy(&to, height * to_pitch));
  results->emplace_back("copy_pixels", Copy(&pixels, height * to_pitch));
}

void RunAdam(const PlaneKernels& k, Random* random, Results* results) {
  const int64_t size = RandomInt(1, 500, random);
  AlignedFloats gradient = WholeNumbers(size, size + kSlack, random);
  AlignedFloats value(size + kSlack, 0.0f), first(size + kSlack, 0.1f), second(size + kSlack, 0.2f);
  for (int64_t i = 0; i < size; ++i) value.data()[i] = RandomFloat(-1, 1, random);
  const bool binary = RandomInt(0, 1, random) == 1;
  const AdamTerms terms{0.99f, 0.9f, 0.1f, 0.999f, 0.001f, 0.05f, 1.5f, 1e-8f, binary};
  const int64_t flipped =
      k.adam(terms, gradient.data(), size, value.data(), first.data(), second.data());
  results->emplace_back("flipped", std::vector<float>{static_cast<float>(flipped)});
  results->emplace_back("value", Copy(&value, size));
  results->emplace_back("first", Copy(&first, size));
  results->emplace_back("second", Copy(&second, size));
}

Results RunAll(const PlaneKernels& kernels, int seed) {
  Random random(seed);
  Results results;
  RunConvolutions(kernels, &random, &results);
  RunPool(kernels, &random, &results);
  RunProducts(kernels, &random, &results);
  RunPlanes(kernels, &random, &results);
  RunRows(kernels, &random, &results);
  RunBfloat16(kernels, &random, &results);
  RunCopies(kernels, &random, &results);
  RunAdam(kernels, &random, &results);
  return results;
}

// The widest alone would leave the others, which somebody else's processor takes, untried.
TEST(PlaneKernels, AreTheSameInEveryInstructionSet) {
  for (const PlaneKernels* wide : WideKernels()) {
    for (int seed = 0; seed < 60; ++seed) {
      const Results expected = RunAll(*PortableKernels(), seed), found = RunAll(*wide, seed);
      ASSERT_EQ(found.size(), expected.size());
      for (size_t i = 0; i < found.size(); ++i) {
        SCOPED_TRACE(std::string(wide->name) + " " + found[i].first + " " + std::to_string(seed));
        const std::vector<float>&a = found[i].second, &b = expected[i].second;
        ASSERT_EQ(a.size(), b.size());
        for (size_t j = 0; j < a.size(); ++j) {
          ASSERT_NEAR(a[j], b[j], 1e-5f * std::max(1.0f, std::fabs(b[j]))) << j;
        }
      }
    }
  }
}

}  // namespace
}  // namespace ddnn::train

// Samples of six color pictures for bench/link.sh: the six cameras' pictures of three kinds of
// clothing, 3x32x32, each item in a color of its own.
//
//   link_pictures FOLDER TRAIN TEST    how many samples of each split; FOLDER is made
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cloud/pictures.h"
#include "datasets/counter_rng.h"
#include "datasets/dataset.h"

namespace ddnn {
namespace {

constexpr int kClasses = 3;

// Which share of the light each channel gets, in 256ths.
std::array<int, 3> ColorOf(int64_t item) {
  const CounterRng random({static_cast<uint64_t>(item)});
  std::array<int, 3> color;
  for (size_t c = 0; c < color.size(); ++c) color[c] = 96 + static_cast<int>(random.Word(c) % 161);
  return color;
}

std::string Colored(const std::string& grey, const std::array<int, 3>& color) {
  std::string pixels;
  for (int share : color) {
    for (char pixel : grey) {
      pixels += static_cast<char>(static_cast<uint8_t>(pixel) * share / 256);
    }
  }
  return pixels;
}

absl::Status WriteSplit(const Dataset& data, Split split, int64_t samples,
                        const std::string& folder) {
  const DatasetInfo& info = data.info();
  const size_t size = static_cast<size_t>(info.height) * info.width;
  DatasetSample sample;
  int64_t written = 0;
  for (int64_t i = 0; written < samples; ++i) {
    absl::Status read = data.Read(split, i, &sample);
    if (!read.ok()) return read;
    if (sample.label >= kClasses) continue;
    const std::string path = absl::StrFormat("%s/%s/%s/%06d", folder, ToString(split),
                                             info.class_names[sample.label], i);
    std::filesystem::create_directories(path);
    for (int view = 0; view < info.views; ++view) {
      if ((sample.presence >> view & 1) == 0) continue;
      const std::string pixels = Colored(sample.pixels.substr(view * size, size), ColorOf(i));
      absl::Status saved = SavePicture(absl::StrCat(path, "/", view, ".png"),
                                       Shape{3, info.height, info.width}, pixels);
      if (!saved.ok()) return saved;
    }
    ++written;
  }
  return absl::OkStatus();
}

absl::Status Run(const std::string& folder, int64_t train, int64_t test) {
  absl::StatusOr<std::unique_ptr<Dataset>> data = OpenDataset("six-cameras:fashion-mnist");
  if (!data.ok()) return data.status();
  absl::Status status = WriteSplit(**data, Split::kTrain, train, folder);
  if (status.ok()) status = WriteSplit(**data, Split::kTest, test, folder);
  return status;
}

}  // namespace
}  // namespace ddnn

int main(int argc, char** argv) {
  int64_t train = 0, test = 0;
  if (argc != 4 || !absl::SimpleAtoi(argv[2], &train) || !absl::SimpleAtoi(argv[3], &test)) {
    std::fprintf(stderr, "usage: link_pictures FOLDER TRAIN TEST\n");
    return 2;
  }
  const absl::Status status = ddnn::Run(argv[1], train, test);
  if (!status.ok()) std::fprintf(stderr, "link_pictures: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}

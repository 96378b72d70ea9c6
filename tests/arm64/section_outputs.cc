// What the device's engine gives for a section of random weights and random pixels, for one device
// of every network that comes with the source, as text: arm64_answers_test compares processors by
// it.
//
//   NETWORK exact|float SCORES FEATURES    bytes as they travel, in hexadecimal digits; "-" for
//   none
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "runtime/core/float_bytes.h"
#include "runtime/lite/lite_engine.h"
#include "tests/support/random_network.h"

namespace ddnn {
namespace {

constexpr int kSamples = 8;

// Sums of binary layers are exact in any order; those of float layers are not.
bool Exact(const v1::Section& section) {
  const auto binary = [](const v1::SectionLayer& layer) {
    return !layer.has_conv() && !layer.has_linear();
  };
  return std::all_of(section.body().begin(), section.body().end(), binary) &&
         std::all_of(section.head().begin(), section.head().end(), binary);
}

std::string Digits(const std::string& bytes) {
  return bytes.empty() ? "-" : std::string(absl::BytesToHexString(bytes));
}

absl::Status Print(const std::string& path) {
  auto plan = LoadNetwork(path);
  if (!plan.ok()) return plan.status();
  Random random(5);
  const v1::Section section = RandomSection(*plan, 0, 0, &random);
  auto engine = CreateLiteEngine(*plan, section);
  if (!engine.ok()) return engine.status();
  for (int i = 0; i < kSamples; ++i) {
    SectionInput input;
    input.pixels = RandomPixels(*plan, &random);
    auto output = (*engine)->Run({input});
    if (!output.ok()) return output.status();
    std::cout << plan->spec().name() << (Exact(section) ? " exact " : " float ")
              << Digits(FloatBytes(output->front().scores)) << " "
              << Digits(output->front().features) << "\n";
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace ddnn

int main() {
  std::vector<std::string> paths;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(ddnn::SourcePath("models"))) {
    if (entry.path().extension() == ".textproto") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    if (const absl::Status status = ddnn::Print(path); !status.ok()) {
      std::cerr << path << ": " << status.message() << "\n";
      return 1;
    }
  }
  return 0;
}

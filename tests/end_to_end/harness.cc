#include "tests/end_to_end/harness.h"

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "datasets/dataset.h"
#include "runtime/core/exit_criterion.h"
#include "runtime/lite/lite_engine.h"
#include "runtime/node/whole_network.h"
#include "tests/support/random_network.h"

namespace ddnn {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(1);
constexpr int kCalibrationSamples = 64;

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}

void WriteAll(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string BigEndian(uint32_t n) {
  return {static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8),
          static_cast<char>(n)};
}

// A bright bar whose place depends on the class, over noise.
std::string Picture(int label, Random* random) {
  std::string pixels(28 * 28, '\0');
  const int x = 2 + 5 * (label % 5), y = label < 5 ? 2 : 14;
  for (int i = 0; i < 28 * 28; ++i) {
    const bool bar = i % 28 >= x && i % 28 < x + 6 && i / 28 >= y && i / 28 < y + 12;
    pixels[i] =
        static_cast<char>(RandomInt(0, 60, random) + (bar ? RandomInt(120, 190, random) : 0));
  }
  return pixels;
}

void WriteIdxPair(const std::string& prefix, int items, Random* random) {
  std::string images =
      std::string("\0\0\x08\x03", 4) + BigEndian(items) + BigEndian(28) + BigEndian(28);
  std::string labels = std::string("\0\0\x08\x01", 4) + BigEndian(items);
  for (int i = 0; i < items; ++i) {
    const int label = i % 10;
    images += Picture(label, random);
    labels.push_back(static_cast<char>(label));
  }
  WriteAll(prefix + "-images-idx3-ubyte", images);
  WriteAll(prefix + "-labels-idx1-ubyte", labels);
}

// Sets each early exit's threshold to the quantile `stay` of the entropies that come to it.
void ChooseThresholds(const Dataset& dataset, double stay, Bundle* bundle) {
  auto whole = WholeNetwork::Create(*bundle, &CreateLiteEngine);
  ASSERT_TRUE(whole.ok()) << whole.status();
  std::vector<WholeInput> inputs;
  for (int i = 0; i < std::min<int64_t>(kCalibrationSamples, dataset.size(Split::kTest)); ++i) {
    DatasetSample sample;
    ASSERT_TRUE(dataset.Read(Split::kTest, i, &sample).ok());
    inputs.push_back({sample.pixels, sample.presence});
  }
  auto outputs = (*whole)->Run(inputs);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  std::vector<const WholeOutput*> left;
  for (const WholeOutput& output : *outputs) left.push_back(&output);
  for (size_t exit = 0; exit < bundle->thresholds.size(); ++exit) {
    std::vector<float> entropies;
    for (const WholeOutput* output : left) {
      entropies.push_back(NormalizedEntropy(output->exit_scores[exit]));
    }
    std::sort(entropies.begin(), entropies.end());
    ASSERT_FALSE(entropies.empty());
    const float threshold = entropies[static_cast<size_t>(stay * (entropies.size() - 1))];
    bundle->thresholds[exit] = threshold;
    std::vector<const WholeOutput*> unsure;
    for (const WholeOutput* output : left) {
      if (!Exits(NormalizedEntropy(output->exit_scores[exit]), threshold)) unsure.push_back(output);
    }
    left = unsure;
  }
}

template <typename Message>
Message FromJson(const std::string& text, const std::string& origin) {
  Message message;
  const auto parsed = google::protobuf::util::JsonStringToMessage(text, &message);
  EXPECT_TRUE(parsed.ok()) << origin << ": " << parsed.ToString() << "\n" << text;
  return message;
}

}  // namespace

TestFolder::TestFolder() {
  std::string name = testing::TempDir() + "ddnn-end-to-end-XXXXXX";
  path_ = mkdtemp(name.data());
}

TestFolder::~TestFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string Program(const std::string& name) {
  const char* folder = getenv("DDNN_BIN_DIR");
  return absl::StrCat(folder == nullptr ? "build/bin" : folder, "/", name);
}

Running::Running(const std::vector<std::string>& argv) {
  auto process = ChildProcess::Start(argv, folder_ / "errors");
  EXPECT_TRUE(process.ok()) << process.status();
  if (process.ok()) process_ = *std::move(process);
}

std::string Running::WaitForLine(const std::string& part) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (process_ != nullptr) {
    for (; next_ < lines_.size(); ++next_) {
      if (absl::StrContains(lines_[next_], part)) return lines_[next_++];
    }
    if (process_->output_fd() < 0 || absl::Now() > deadline) break;
    pollfd wait{process_->output_fd(), POLLIN, 0};
    poll(&wait, 1, 100);
    for (std::string& line : process_->ReadLines()) lines_.push_back(std::move(line));
  }
  ADD_FAILURE() << "no line with '" << part << "'; stdout:\n"
                << absl::StrJoin(lines_, "\n") << "\nstderr:\n"
                << ReadAll(folder_ / "errors");
  return "";
}

std::string Running::Errors() const { return ReadAll(folder_ / "errors"); }

void Running::SkipLines() {
  if (process_ == nullptr) return;
  for (std::string& line : process_->ReadLines()) lines_.push_back(std::move(line));
  next_ = lines_.size();
}

Ran Running::Finish(absl::Duration patience) {
  Ran ran;
  if (process_ == nullptr) return ran;
  const absl::Time deadline = absl::Now() + patience;
  while (process_->output_fd() >= 0 && absl::Now() < deadline) {
    pollfd wait{process_->output_fd(), POLLIN, 0};
    poll(&wait, 1, 100);
    for (std::string& line : process_->ReadLines()) lines_.push_back(std::move(line));
  }
  const bool ended = process_->WaitForEnd(deadline - absl::Now());
  ran.output = lines_;
  ran.errors = ReadAll(folder_ / "errors");
  EXPECT_TRUE(ended) << "did not end; stderr:\n" << ran.errors;
  if (ended) ran.exit_code = process_->exit_code();
  return ran;
}

Ran Run(const std::vector<std::string>& argv, absl::Duration patience) {
  return Running(argv).Finish(patience);
}

std::string AddressOf(Running* node) {
  const std::string marker = "listening on ";
  const std::string line = node->WaitForLine(marker);
  const size_t at = line.find(marker);
  if (at == std::string::npos) return "";
  const std::string rest = line.substr(at + marker.size());
  return rest.substr(0, rest.find(' '));
}

std::string WriteItems(const TestFolder& folder, int test_items) {
  Random random(7);
  const std::string dir = folder / "items";
  std::filesystem::create_directories(dir);
  WriteIdxPair(dir + "/t10k", test_items, &random);
  WriteIdxPair(dir + "/train", 5 * test_items, &random);
  return "fashion-mnist:" + dir;
}

Bundle MakeBundle(const std::string& network, const std::string& data, double stay, uint64_t seed) {
  auto plan = LoadNetwork(SourcePath(network));
  EXPECT_TRUE(plan.ok()) << plan.status();
  Random random(seed);
  Bundle bundle = RandomBundle(*plan, 0.5f, &random);
  auto dataset = OpenDataset(data);
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  if (dataset.ok()) ChooseThresholds(**dataset, stay, &bundle);
  for (size_t exit = 0; exit < bundle.thresholds.size(); ++exit) {
    bundle.manifest.mutable_threshold(static_cast<int>(exit))
        ->set_entropy(bundle.thresholds[exit].entropy);
  }
  return bundle;
}

std::string SaveRandomBundle(const TestFolder& folder, const std::string& name,
                             const std::string& network, const std::string& data, double stay,
                             uint64_t seed) {
  const Bundle bundle = MakeBundle(network, data, stay, seed);
  const absl::Status saved = SaveBundleTo(folder / name, bundle);
  EXPECT_TRUE(saved.ok()) << saved;
  return folder / name;
}

v1::RunSummary ReadSummary(const std::string& path) {
  return FromJson<v1::RunSummary>(ReadAll(path), path);
}

v1::NodeStats ReadStats(const std::string& path) {
  return FromJson<v1::NodeStats>(ReadAll(path), path);
}

std::vector<v1::AnswerRecord> ReadAnswers(const std::string& path) {
  std::vector<v1::AnswerRecord> answers;
  std::istringstream in(ReadAll(path));
  for (std::string line; std::getline(in, line);) {
    answers.push_back(FromJson<v1::AnswerRecord>(line, path));
  }
  return answers;
}

std::vector<pid_t> ProcessesWith(const std::string& part) {
  std::vector<pid_t> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    int pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    // A process that has ended but was not reaped yet has an empty command line.
    if (absl::StrContains(ReadAll((entry.path() / "cmdline").string()), part)) found.push_back(pid);
  }
  return found;
}

}  // namespace ddnn

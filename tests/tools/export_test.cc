// ddnn-export as people start it, and the Python example on a bundle.
#include <gmock/gmock.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "onnx/onnx_pb.h"
#include "runtime/core/feature_codec.h"
#include "tests/support/random_network.h"
#include "tests/support/shell.h"
#include "tools/export/section_onnx.h"

namespace ddnn {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

std::string Contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::map<std::string, std::string> Metadata(const std::string& file) {
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromString(file));
  std::map<std::string, std::string> said;
  for (const auto& entry : model.metadata_props()) said[entry.key()] = entry.value();
  return said;
}

constexpr float kThird = 1.0f / 3;

class ExportTest : public ::testing::Test {
 protected:
  ExportTest() {
    std::string name = ::testing::TempDir() + "/ddnn_export.XXXXXX";
    folder_ = mkdtemp(&name[0]);
    const auto plan = LoadNetwork(SourcePath("models/mnist_grid.textproto"));
    EXPECT_TRUE(plan.ok()) << plan.status();
    Random random(5);
    bundle_ = RandomBundle(*plan, 0.25f, &random);
    v1::ExitThreshold* root = &*bundle_.manifest.mutable_threshold()->rbegin();
    root->set_entropy(kThird);
    root->add_missing(kThird / 10);
    root->add_missing(-1);
    EXPECT_TRUE(SaveBundleTo(folder_ + "/bundle", bundle_).ok());
  }
  ~ExportTest() override { fs::remove_all(folder_); }

  Ended Export(const std::string& flags) const {
    return Shell(absl::StrCat("cd ", folder_, " && ", getenv("DDNN_BIN_DIR"), "/ddnn-export ",
                              flags, " 2>&1"));
  }
  std::map<std::string, std::string> Files() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(folder_ + "/onnx")) {
      files[entry.path().filename().string()] = Contents(entry.path().string());
    }
    return files;
  }

  std::string folder_;
  Bundle bundle_;
};

TEST_F(ExportTest, WritesOneModelForEachNodeThatSaysWhatItIs) {
  const Ended ended = Export("--bundle bundle --onnx onnx");
  ASSERT_EQ(ended.code, 0) << ended.out;
  EXPECT_THAT(ended.out, AllOf(HasSubstr("device-5.onnx"), HasSubstr("pixels 1x10x16 -> features"),
                               HasSubstr("scores 10")));
  const auto files = Files();
  EXPECT_EQ(files.size(),
            bundle_.sections.size() + (bundle_.sections.at({1, 0}).scores().empty() ? 0 : 1));
  const std::string root = bundle_.plan.tiers()[1].name;
  const auto manifest = LoadBundle(folder_ + "/bundle");
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  std::map<std::string, std::string> said = Metadata(files.at(root + "-0.onnx"));
  EXPECT_EQ(said["ddnn.bundle"], manifest->sha256_hex());
  EXPECT_EQ(said["ddnn.network"], "mnist_grid");
  EXPECT_EQ(said["ddnn.tier"], root);
  EXPECT_EQ(said["ddnn.node"], "0");
  EXPECT_EQ(said["ddnn.children"], "0,1,2,3,4,5");
  EXPECT_EQ(said["ddnn.features_join"], "CC 3x2");
  EXPECT_EQ(said["ddnn.classes"], "0,1,2,3,4,5,6,7,8,9");
  EXPECT_EQ(said["ddnn.exit"], bundle_.plan.exits().back().name);
  EXPECT_EQ(said["ddnn.criterion"], "ENTROPY");
  EXPECT_EQ(said["ddnn.temperature"], "1");
  EXPECT_EQ(std::stof(said["ddnn.threshold"]), kThird);
  EXPECT_EQ(std::stof(said["ddnn.threshold_missing"]), kThird / 10);
  EXPECT_THAT(said["ddnn.threshold_missing"], EndsWith(",-1"));
}

TEST_F(ExportTest, AModelThatJoinsScoresSaysHowTheChildrensExitIsDecided) {
  const auto plan = LoadNetwork(SourcePath("models/six_cameras.textproto"));
  ASSERT_TRUE(plan.ok()) << plan.status();
  Random random(6);
  Bundle six = RandomBundle(*plan, 0.25f, &random);
  six.manifest.mutable_threshold(0)->set_entropy(0.125f);
  ASSERT_TRUE(SaveBundleTo(folder_ + "/six", six).ok());
  ASSERT_EQ(Export("--bundle six --onnx onnx").code, 0);
  const auto files = Files();
  for (const char* name : {"edge-0.scores.onnx", "device-0.onnx"}) {
    auto said = Metadata(files.at(name));
    EXPECT_EQ(said["ddnn.exit"], "local") << name;
    EXPECT_EQ(said["ddnn.exit_decided_by"], "edge") << name;
    EXPECT_EQ(said["ddnn.threshold"], "0.125") << name;
  }
  EXPECT_EQ(Metadata(files.at("edge-0.onnx"))["ddnn.exit"], "edge");
}

// What onnx_section_test runs in OpenCV's dnn is what stands in the files.
TEST_F(ExportTest, TheFilesHoldTheModelsThatAreTestedInOpenCv) {
  ASSERT_EQ(Export("--bundle bundle --onnx onnx").code, 0);
  const auto files = Files();
  for (const auto& [place, section] : bundle_.sections) {
    const std::string name = absl::StrCat(section.tier(), "-", section.node(), ".onnx");
    onnx::ModelProto model;
    ASSERT_TRUE(model.ParseFromString(files.at(name))) << name;
    EXPECT_EQ(model.graph().SerializeAsString(),
              SectionGraph(bundle_.plan, section).model().graph().SerializeAsString())
        << name;
    EXPECT_EQ(model.opset_import(0).version(), 13);
  }
}

TEST_F(ExportTest, AnExportIsReplacedAndTheSameAgain) {
  fs::create_directories(folder_ + "/onnx.tmp-2000000000/left-by-a-killed-one");
  ASSERT_EQ(Export("--bundle bundle --onnx onnx").code, 0);
  const auto first = Files();
  fs::rename(folder_ + "/onnx/device-0.onnx", folder_ + "/onnx/device-9.onnx");
  const Ended again = Export("--bundle bundle --onnx onnx/");
  ASSERT_EQ(again.code, 0) << again.out;
  EXPECT_TRUE(Files() == first);
  int left = 0;
  for (const auto& entry : fs::directory_iterator(folder_)) left += entry.exists() ? 1 : 0;
  EXPECT_EQ(left, 2) << "nothing but the bundle and the export";
}

TEST_F(ExportTest, LeavesAloneWhatItDidNotWrite) {
  fs::create_directory(folder_ + "/onnx");
  const auto refused = [&](const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ + "/onnx/" + name) << bytes;
    const Ended ended = Export("--bundle bundle --onnx onnx");
    EXPECT_EQ(ended.code, 1);
    EXPECT_THAT(ended.out, AllOf(HasSubstr("onnx: holds " + name), HasSubstr("did not write")));
    EXPECT_EQ(Contents(folder_ + "/onnx/" + name), bytes);
    fs::remove(folder_ + "/onnx/" + name);
  };
  refused("notes.txt", "mine");
  onnx::ModelProto other;
  other.set_ir_version(7);
  other.set_producer_name("pytorch");
  refused("model.onnx", other.SerializeAsString());
  fs::remove(folder_ + "/onnx");
  std::ofstream(folder_ + "/onnx") << "mine";
  EXPECT_THAT(Export("--bundle bundle --onnx onnx").out, HasSubstr("is there and no folder"));
  EXPECT_EQ(Contents(folder_ + "/onnx"), "mine");
}

TEST_F(ExportTest, NamesWhatIsWrong) {
  EXPECT_THAT(Export("--onnx onnx").out, HasSubstr("--bundle is missing"));
  EXPECT_THAT(Export("--bundle bundle").out, HasSubstr("--onnx is missing"));
  EXPECT_THAT(Export("--bundle nowhere --onnx onnx").out, HasSubstr("nowhere/bundle.textproto"));
  EXPECT_THAT(Export("bundle").out, HasSubstr("what is \"bundle\""));
  const Ended help = Export("--help");
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, AllOf(HasSubstr("ddnn-export --bundle out/six --onnx"),
                              HasSubstr("metadata_props"), HasSubstr("joined_scores"),
                              HasSubstr("\n  --bundle                the bundle, as ddnn-train")));
  std::string section = Contents(folder_ + "/bundle/sections/device-3.section");
  section.back() = static_cast<char>(section.back() ^ 1);
  std::ofstream(folder_ + "/bundle/sections/device-3.section", std::ios::binary) << section;
  const Ended damaged = Export("--bundle bundle --onnx onnx");
  EXPECT_EQ(damaged.code, 1);
  EXPECT_THAT(damaged.out, HasSubstr("device-3.section"));
  EXPECT_FALSE(fs::exists(folder_ + "/onnx"));
}

class PythonExample : public ExportTest {
 protected:
  PythonExample() {
    const Ended made =
        Shell(absl::StrCat("protoc --python_out=", folder_, " -I ", SourcePath("proto"), " ",
                           SourcePath("proto/ddnn/v1/network.proto"), " ",
                           SourcePath("proto/ddnn/v1/bundle.proto"), " 2>&1"));
    EXPECT_EQ(made.code, 0) << made.out;
  }
  Ended Run(const std::string& program) const {
    // Debian's Python is the one that has Debian's modules.
    return Shell(absl::StrCat("PYTHONPATH=", folder_, " PYTHONDONTWRITEBYTECODE=1 ",
                              "/usr/bin/python3 ", program, " ", folder_, "/bundle 2>&1"));
  }
  Ended Run() const { return Run(SourcePath("tools/examples/load_bundle.py")); }
};

TEST_F(PythonExample, LoadsABundleAndReadsItsWeights) {
  const Ended ended = Run();
  ASSERT_EQ(ended.code, 0) << ended.out;
  EXPECT_THAT(ended.out, AllOf(HasSubstr("mnist_grid: 6 views, classes 0, 1, 2"),
                               HasSubstr("up to an entropy of 0.250000")));
  const v1::Section& section = bundle_.sections.at({0, 4});
  ASSERT_TRUE(section.body(0).has_binary_conv());
  const v1::SectionConv& conv = section.body(0).binary_conv();
  const int count = conv.filters() * conv.kernel() * conv.kernel();
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += BitAt(conv.weights(), i) ? 1 : -1;
  char line[200];
  snprintf(line, sizeof line, "device-4 looks with weights (%d, 1, %d, %d), sum %.4f\n",
           conv.filters(), conv.kernel(), conv.kernel(), sum);
  EXPECT_THAT(ended.out, HasSubstr(line));
}

TEST_F(PythonExample, NoticesADamagedSection) {
  std::ofstream(folder_ + "/bundle/sections/device-2.section", std::ios::app) << "x";
  const Ended ended = Run();
  EXPECT_NE(ended.code, 0);
  EXPECT_THAT(ended.out, HasSubstr("sections/device-2.section is damaged"));
}

// What docs/python.md shows before it speaks of the example, typed in as it stands there.
TEST_F(PythonExample, SnippetsOfTheDocsRunAsTheyStand) {
  const std::string page = Contents(SourcePath("docs/python.md")), fence = "```python\n";
  std::string typed;
  size_t end = 0;
  for (int snippet = 0; snippet < 2; ++snippet) {
    const size_t begin = page.find(fence, end);
    ASSERT_NE(begin, std::string::npos);
    end = page.find("```\n", begin + fence.size());
    ASSERT_NE(end, std::string::npos);
    typed += page.substr(begin + fence.size(), end - begin - fence.size());
  }
  // The count on the page is that of six_cameras, more than there are here: the rest are padding.
  std::ofstream(folder_ + "/typed.py") << typed << "print(*(int(bit) for bit in bits[:8]))\n";
  const Ended ended = Run(folder_ + "/typed.py");
  ASSERT_EQ(ended.code, 0) << ended.out;
  const v1::SectionConv& conv = bundle_.sections.at({0, 0}).body(0).binary_conv();
  std::string expected;
  for (int i = 0; i < 8; ++i) expected += BitAt(conv.weights(), i) ? "1 " : "-1 ";
  expected.back() = '\n';
  EXPECT_EQ(ended.out, expected);
}

TEST(PythonDocs, ShowTheTenLinesOfTheExample) {
  const std::string example = Contents(SourcePath("tools/examples/load_bundle.py"));
  const size_t begin = example.find("import hashlib"), end = example.find("\nimport numpy");
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const std::string lines = example.substr(begin, end - begin);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 10) << lines;
  EXPECT_THAT(Contents(SourcePath("docs/python.md")), HasSubstr(lines));
}

}  // namespace
}  // namespace ddnn

#include <gmock/gmock.h>
#include <zip.h>

#include <cstring>
#include <limits>
#include <set>

#include "datasets/data_spec.h"
#include "datasets/dataset.h"
#include "datasets/loaders.h"
#include "datasets/npy.h"
#include "tests/datasets/test_files.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Npy(const std::string& type, const std::string& shape, const std::string& data,
                const std::string& order = "False") {
  std::string header =
      "{'descr': '" + type + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
  header.resize((header.size() + 10 + 64) / 64 * 64 - 10, ' ');
  header.back() = '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 255);
  bytes += static_cast<char>(header.size() >> 8);
  return bytes + header + data;
}

template <typename T>
std::string Bytes(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

void WriteNpz(const std::string& path, const std::vector<std::pair<std::string, std::string>>& in) {
  int code = 0;
  zip_t* zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  ASSERT_NE(zip, nullptr) << code;
  for (const auto& [name, data] : in) {
    zip_source_t* source = zip_source_buffer(zip, data.data(), data.size(), 0);
    ASSERT_GE(zip_file_add(zip, name.c_str(), source, ZIP_FL_OVERWRITE), 0);
  }
  ASSERT_EQ(zip_close(zip), 0);
}

// 20 samples of 2 views 1x2x2 and 3 classes. Sample i has label i % 3; view 1 of every fourth is
// absent; pixels of sample i, view v are all (i + 1) / 100 + v / 2.
struct Example {
  std::vector<float> pixels;
  std::vector<int32_t> labels;

  Example() {
    for (int i = 0; i < 20; ++i) {
      for (int v = 0; v < 2; ++v) {
        const bool absent = v == 1 && i % 4 == 0;
        labels.push_back(absent ? 3 : i % 3);
        for (int p = 0; p < 4; ++p) pixels.push_back(absent ? 0 : (i + 1) / 100.0f + v / 2.0f);
      }
    }
  }
  void Write(const std::string& path) const {
    WriteNpz(path, {{"X.npy", Npy("<f4", "(20, 2, 1, 2, 2)", Bytes(pixels))},
                    {"y.npy", Npy("<i4", "(20, 2)", Bytes(labels))}});
  }
};

class MvmcTest : public ::testing::Test {
 protected:
  std::string OpenError() {
    const std::string text = InvalidText(OpenDataset("mvmc:" + path_).status());
    EXPECT_THAT(text, HasSubstr(path_));
    return text;
  }
  std::string ErrorOf(const Example& example) {
    example.Write(path_);
    return OpenError();
  }
  std::string ErrorOf(const std::string& pixels, const std::string& labels) {
    WriteNpz(path_, {{"X.npy", pixels}, {"y.npy", labels}});
    return OpenError();
  }

  TempFolder folder_;
  const std::string path_ = folder_ / "train.npz";
};

TEST_F(MvmcTest, ReadsEverySampleInJustOneSplit) {
  Example().Write(path_);
  absl::StatusOr<std::unique_ptr<Dataset>> dataset = OpenDataset("mvmc:" + path_);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->info().views, 2);
  EXPECT_EQ((*dataset)->info().height, 2);
  EXPECT_THAT((*dataset)->info().class_names, ElementsAre("0", "1", "2"));
  EXPECT_EQ((*dataset)->size(Split::kTrain), 14);
  EXPECT_EQ((*dataset)->size(Split::kCalibration), 2);
  EXPECT_EQ((*dataset)->size(Split::kTest), 4);
  std::set<int> seen;
  DatasetSample sample;
  for (Split split : {Split::kTrain, Split::kCalibration, Split::kTest}) {
    for (int64_t at = 0; at < (*dataset)->size(split); ++at) {
      ASSERT_TRUE((*dataset)->Read(split, at, &sample).ok());
      ASSERT_EQ(sample.pixels.size(), 8u);
      const int level = static_cast<uint8_t>(sample.pixels[0]);
      const int i = static_cast<int>(level / 2.55 + 0.5) - 1;
      EXPECT_TRUE(seen.insert(i).second) << i;
      EXPECT_EQ(sample.label, i % 3);
      EXPECT_EQ(sample.presence, i % 4 == 0 ? 1u : 3u);
      EXPECT_THAT(sample.view_labels, ElementsAre(i % 3, i % 4 == 0 ? 3 : i % 3));
      const uint8_t second = i % 4 == 0 ? 0 : static_cast<uint8_t>((i + 1) * 2.55f + 128);
      EXPECT_NEAR(static_cast<uint8_t>(sample.pixels[7]), second, 1);
    }
    EXPECT_TRUE(absl::IsOutOfRange((*dataset)->Read(split, -1, &sample)));
    EXPECT_TRUE(absl::IsOutOfRange((*dataset)->Read(split, (*dataset)->size(split), &sample)));
  }
  EXPECT_EQ(seen.size(), 20u);
}

TEST_F(MvmcTest, ATestFileIsTheTestSplit) {
  Example().Write(path_);
  Example().Write(folder_ / "test.npz");
  const auto dataset = OpenDataset("mvmc:" + path_ + "," + (folder_ / "test.npz"));
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->size(Split::kTrain), 18);
  EXPECT_EQ((*dataset)->size(Split::kCalibration), 2);
  EXPECT_EQ((*dataset)->size(Split::kTest), 20);
  WriteNpz(folder_ / "test.npz", {{"X.npy", Npy("|u1", "(1, 1, 1, 2, 2)", "abcd")},
                                  {"y.npy", Npy("<i8", "(1, 1)", Bytes<int64_t>({1}))}});
  EXPECT_THAT(InvalidText(OpenDataset("mvmc:" + path_ + "," + (folder_ / "test.npz")).status()),
              HasSubstr("1x1x2x2, expected 2x1x2x2"));
}

TEST_F(MvmcTest, ReadsBytesAndWideLabelsWhereEveryViewIsPresent) {
  WriteNpz(path_, {{"X.npy", Npy("|u1", "(4, 1, 1, 1, 2)", "abcdefgh")},
                   {"y.npy", Npy("<i8", "(4, 1)", Bytes<int64_t>({0, 1, 2, 1}))}});
  const auto dataset = OpenDataset("mvmc:" + path_);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->info().class_names.size(), 3u);
  DatasetSample sample;
  ASSERT_TRUE((*dataset)->Read(Split::kTest, 0, &sample).ok());
  EXPECT_THAT(std::string("abcdefgh"), HasSubstr(sample.pixels));
  EXPECT_EQ(OpenDataset("mvmc:" + path_ + "?classes=5").value()->info().class_names.size(), 5u);
  EXPECT_THAT(InvalidText(OpenDataset("mvmc:" + path_ + "?classes=1").status()),
              HasSubstr("1 classes, expected 2"));
}

TEST_F(MvmcTest, ADeviceReadsTheSameTestSamplesInAnyOrder) {
  Example().Write(path_);
  const absl::StatusOr<DataSpec> spec = ParseDataSpec("mvmc:" + path_);
  ASSERT_TRUE(spec.ok());
  const auto held = OpenDatasetSplits(*spec, /*only_test=*/false);
  const auto rows = OpenDatasetSplits(*spec, /*only_test=*/true);
  ASSERT_TRUE(held.ok() && rows.ok()) << rows.status();
  ASSERT_EQ((*rows)->size(Split::kTest), 4);
  EXPECT_EQ((*rows)->info().class_names, (*held)->info().class_names);
  DatasetSample a, b;
  for (const int64_t at : {0, 1, 2, 3, 3, 0, 2, 1}) {
    ASSERT_TRUE((*held)->Read(Split::kTest, at, &a).ok());
    ASSERT_TRUE((*rows)->Read(Split::kTest, at, &b).ok());
    EXPECT_EQ(a.pixels, b.pixels);
    EXPECT_EQ(a.view_labels, b.view_labels);
    EXPECT_EQ(a.presence, b.presence);
  }
}

TEST_F(MvmcTest, ADeviceIsToldOfAPixelOutOfRangeWhenItComesToIt) {
  Example example;
  for (int p = 0; p < 4; ++p) example.pixels[19 * 8 + p] = 2;
  example.Write(path_);
  Example().Write(folder_ / "train.npz.good");
  const absl::StatusOr<DataSpec> spec =
      ParseDataSpec("mvmc:" + (folder_ / "train.npz.good") + "," + path_ + "?classes=3");
  ASSERT_TRUE(spec.ok());
  const auto dataset = OpenDatasetSplits(*spec, /*only_test=*/true);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  DatasetSample sample;
  for (int64_t at = 0; at < 19; ++at) {
    ASSERT_TRUE((*dataset)->Read(Split::kTest, at, &sample).ok()) << at;
  }
  EXPECT_THAT(InvalidText((*dataset)->Read(Split::kTest, 19, &sample)),
              AllOf(HasSubstr(path_), HasSubstr("sample 19 has a pixel of 2")));
}

TEST_F(MvmcTest, NamesTheSampleWhoseLabelsDoNotFit) {
  Example disagree;
  disagree.labels[5 * 2] = 1;
  EXPECT_THAT(ErrorOf(disagree), HasSubstr("sample 5: its views disagree: labels 1 and 2"));
  Example nobody;
  nobody.labels[8 * 2] = 3;
  std::fill_n(nobody.pixels.begin() + 8 * 8, 4, 0.0f);
  EXPECT_THAT(ErrorOf(nobody), HasSubstr("sample 8 has no view that is present"));
  Example negative;
  negative.labels[3] = -1;
  EXPECT_THAT(ErrorOf(negative), HasSubstr("sample 1, view 1 has label -1"));
  Example huge;
  huge.labels[3] = 1 << 30;
  EXPECT_THAT(ErrorOf(huge), HasSubstr("sample 1, view 1 has label 1073741824"));
}

TEST_F(MvmcTest, NamesTheSampleWhosePixelsAreOutOfRange) {
  for (float bad : {-0.01f, 1.01f, 255.0f, std::numeric_limits<float>::quiet_NaN(),
                    std::numeric_limits<float>::infinity()}) {
    Example example;
    example.pixels[13 * 8 + 5] = bad;
    EXPECT_THAT(ErrorOf(example), AllOf(HasSubstr("X.npy: sample 13"), HasSubstr("0 to 1")));
  }
}

TEST_F(MvmcTest, RefusesOtherTypesOrdersAndShapes) {
  const Example e;
  const std::string x = Npy("<f4", "(20, 2, 1, 2, 2)", Bytes(e.pixels));
  const std::string y = Npy("<i4", "(20, 2)", Bytes(e.labels));
  EXPECT_THAT(ErrorOf(Npy(">f4", "(20, 2, 1, 2, 2)", Bytes(e.pixels)), y), HasSubstr("'>f4'"));
  EXPECT_THAT(ErrorOf(Npy("<f8", "(10, 2, 1, 2, 2)", Bytes(e.pixels)), y), HasSubstr("'<f8'"));
  EXPECT_THAT(ErrorOf(Npy("|O", "(20, 2, 1, 2, 2)", "x"), y), HasSubstr("'|O'"));
  EXPECT_THAT(ErrorOf(Npy("<i4", "(20, 2, 1, 2, 2)", Bytes(e.pixels)), y), HasSubstr("'<i4'"));
  EXPECT_THAT(ErrorOf(Npy("<f4", "(20, 2, 1, 2, 2)", Bytes(e.pixels), "True"), y),
              HasSubstr("Fortran"));
  EXPECT_THAT(ErrorOf(Npy("<f4", "(20, 8)", Bytes(e.pixels)), y), HasSubstr("shape (20, 8)"));
  EXPECT_THAT(ErrorOf(Npy("<f4", "(0, 2, 1, 2, 2)", ""), y), HasSubstr("shape (0,"));
  EXPECT_THAT(ErrorOf(x, Npy("<i4", "(2, 20)", Bytes(e.labels))), HasSubstr("expected (20, 2)"));
  EXPECT_THAT(ErrorOf(x, Npy("<f4", "(20, 2)", Bytes(e.labels))), HasSubstr("expected int32"));
}

TEST_F(MvmcTest, RefusesClaimsThatTheFileDoesNotHold) {
  const Example e;
  const std::string y = Npy("<i4", "(20, 2)", Bytes(e.labels));
  EXPECT_THAT(ErrorOf(Npy("<f4", "(21, 2, 1, 2, 2)", Bytes(e.pixels)), y),
              HasSubstr("by its header"));
  EXPECT_THAT(ErrorOf(Npy("<f4", "(19, 2, 1, 2, 2)", Bytes(e.pixels)), y),
              HasSubstr("by its header"));
  EXPECT_THAT(ErrorOf(Npy("<f4", "(4000000000, 4000000000, 4000000000, 2, 2)", ""), y),
              HasSubstr("claims more"));
  EXPECT_THAT(ErrorOf(Npy("<f4", "(99999999999999999999, 2, 1, 2, 2)", ""), y),
              HasSubstr("header is not"));
  EXPECT_THAT(ErrorOf("short", y), HasSubstr("truncated"));
  EXPECT_THAT(ErrorOf("not a numpy file", y), HasSubstr("is not a .npy file"));
  EXPECT_THAT(ErrorOf(std::string("\x93NUMPY\x02\x00\xff\xff\xff\x7f", 12), y),
              HasSubstr("header claims"));
  EXPECT_THAT(ErrorOf(std::string("\x93NUMPY\x09\x00\x01\x00", 10), y), HasSubstr("version 9"));
}

TEST_F(MvmcTest, RefusesAContainerThatIsNoneOrDamaged) {
  EXPECT_THAT(ErrorText(OpenDataset("mvmc:" + path_).status(), absl::StatusCode::kNotFound),
              HasSubstr(path_));
  for (const char* bytes : {"", "PK", "this is no zip file at all"}) {
    WriteFile(path_, bytes);
    OpenError();
  }
  Example().Write(path_);
  std::ifstream in(path_, std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  for (size_t size : {good.size() - 1, good.size() / 2, size_t{40}}) {
    WriteFile(path_, good.substr(0, size));
    OpenError();
  }
  // A changed byte of the packed pixels: the checksum finds it if nothing else does.
  for (size_t at = 60; at < 160; at += 10) {
    std::string bad = good;
    bad[at] ^= 0x40;
    WriteFile(path_, bad);
    OpenError();
  }
  WriteNpz(path_, {{"X.npy", "x"}});
  OpenError();
  WriteNpz(path_, {{"z.npy", "x"}});
  EXPECT_THAT(ErrorText(OpenDataset("mvmc:" + path_).status(), absl::StatusCode::kNotFound),
              HasSubstr("has no array X.npy"));
}

TEST(NpyHeader, ReadsWhatNumPyWritesAndNothingElse) {
  const auto header =
      ParseNpyHeader("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }      \n", "f");
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->type, "<f4");
  EXPECT_THAT(header->shape, ElementsAre(3, 2));
  EXPECT_THAT(ParseNpyHeader("{'shape': (7,), 'fortran_order': False, 'descr': '<i8'}", "f")->shape,
              ElementsAre(7));
  EXPECT_TRUE(
      ParseNpyHeader("{'shape': (), 'fortran_order': False, 'descr': '<i8'}", "f")->shape.empty());
  for (const char* text :
       {"", "{", "{}", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} x",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}"}) {
    EXPECT_THAT(InvalidText(ParseNpyHeader(text, "f").status()), HasSubstr("header is not"))
        << text;
  }
}

}  // namespace
}  // namespace ddnn

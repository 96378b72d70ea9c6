#include "datasets/idx.h"

#include <gmock/gmock.h>
#include <zlib.h>

#include "datasets/dataset.h"
#include "tests/datasets/test_files.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Gzip(const std::string& bytes) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(&out[0]);
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

class Idx : public ::testing::Test {
 protected:
  std::string Error(const std::string& bytes, const std::vector<int64_t>& dims) {
    WriteFile(path_, bytes);
    const std::string text = InvalidText(ReadIdx(path_, dims).status());
    EXPECT_THAT(text, HasSubstr(path_));
    return text;
  }
  TempFolder folder_;
  const std::string path_ = folder_ / "file";
};

TEST_F(Idx, ReadsTheSamePlainAndGzipped) {
  const std::string data = RandomBytes(3 * 300 * 200, 7);
  for (bool gzip : {false, true}) {
    const std::string bytes = IdxBytes({3, 300, 200}, data);
    WriteFile(path_, gzip ? Gzip(bytes) : bytes);
    const absl::StatusOr<IdxArray> array = ReadIdx(path_, {-1, 300, 200});
    ASSERT_TRUE(array.ok()) << array.status();
    EXPECT_THAT(array->dims, ElementsAre(3, 300, 200));
    EXPECT_EQ(array->bytes, data);
  }
}

TEST_F(Idx, SaysWhatIsWrongWithAHeader) {
  EXPECT_THAT(Error("", {-1}), HasSubstr("is empty"));
  EXPECT_THAT(Error("abc", {-1}), HasSubstr("has 3 bytes, expected an IDX header of 8"));
  EXPECT_THAT(Error(IdxBytes({2, 1, 1}, "ab"), {-1}),
              AllOf(HasSubstr("0x00000803"), HasSubstr("expected 0x00000801")));
  EXPECT_THAT(Error(BigEndian32(0x0d01) + BigEndian32(1) + "abcd", {-1}), HasSubstr("0x00000d01"));
  EXPECT_THAT(Error(IdxBytes({1, 28, 27}, std::string(756, 'x')), {-1, 28, 28}),
              HasSubstr("dimension 2 is 27, expected 28"));
  EXPECT_THAT(Error(IdxBytes({0}, ""), {-1}), HasSubstr("dimension 0 is 0"));
}

TEST_F(Idx, RefusesAnotherLengthThanTheHeaderSays) {
  EXPECT_THAT(Error(IdxBytes({4}, "abc"), {-1}), HasSubstr("truncated: 3 bytes"));
  EXPECT_THAT(Error(IdxBytes({2}, "abc"), {-1}), HasSubstr("trailing bytes: 3 bytes"));
  // Claims of 2^96 bytes and of 4 GiB must neither overflow nor be allocated.
  EXPECT_THAT(Error(IdxBytes({~0u, ~0u, ~0u}, "abc"), {-1, -1, -1}), HasSubstr("claims more"));
  EXPECT_THAT(Error(IdxBytes({~0u}, "abc"), {-1}), HasSubstr("claims more"));
}

TEST_F(Idx, RefusesDamagedGzip) {
  const std::string good = Gzip(IdxBytes({5000}, RandomBytes(5000, 3)));
  for (size_t size : {size_t{2}, size_t{10}, good.size() / 2, good.size() - 1}) {
    EXPECT_THAT(Error(good.substr(0, size), {-1}), HasSubstr("truncated"));
  }
  EXPECT_THAT(Error(good + "x", {-1}), HasSubstr("behind the end"));
  std::string wrong_sum = good;
  wrong_sum[good.size() - 6] ^= 1;
  EXPECT_THAT(Error(wrong_sum, {-1}), HasSubstr("damaged gzip"));
  EXPECT_THAT(Error("\x1f\x8b" + RandomBytes(100, 5), {-1}), HasSubstr("damaged gzip"));
}

TEST_F(Idx, StopsUnpackingAtTheLimit) {
  WriteFile(path_, Gzip(std::string(1 << 20, 'x')));
  EXPECT_THAT(InvalidText(ReadFileMaybeGzip(path_, 100000).status()),
              HasSubstr("more than 100000 bytes"));
}

TEST_F(Idx, ReadsRowsInAnyOrder) {
  const std::string data = RandomBytes(50 * 30 * 20, 7);
  for (bool gzip : {false, true}) {
    const std::string bytes = IdxBytes({50, 30, 20}, data);
    WriteFile(path_, gzip ? Gzip(bytes) : bytes);
    auto rows = IdxRows::Open(path_, {30, 20});
    ASSERT_TRUE(rows.ok()) << rows.status();
    EXPECT_EQ((*rows)->count(), 50);
    for (const int i : {0, 1, 2, 7, 49, 49, 3, 0, 48, 49}) {
      std::string row(600, '\0');
      ASSERT_TRUE((*rows)->Read(i, reinterpret_cast<uint8_t*>(&row[0])).ok()) << i;
      EXPECT_EQ(row, data.substr(600 * i, 600)) << i;
    }
  }
}

TEST_F(Idx, ReadingRowsFindsWhatIsWrongWithTheFile) {
  const auto error = [this](const std::string& bytes) {
    WriteFile(path_, bytes);
    auto rows = IdxRows::Open(path_, {100});
    if (!rows.ok()) return InvalidText(rows.status());
    uint8_t row[100];
    absl::Status status;
    for (int64_t i = 0; i < (*rows)->count(); ++i) status.Update((*rows)->Read(i, row));
    EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
    return InvalidText(status);
  };
  // More than zlib reads at once, so that damage is met on the way.
  const std::string data = RandomBytes(500000, 3);
  const std::string packed = Gzip(IdxBytes({5000, 100}, data));
  EXPECT_THAT(error(""), HasSubstr("is empty"));
  EXPECT_THAT(error(IdxBytes({5000, 99}, data)), HasSubstr("dimension 1 is 99, expected 100"));
  EXPECT_THAT(error(IdxBytes({5001, 100}, data)), HasSubstr("is truncated in row 5000 of 5001"));
  EXPECT_THAT(error(IdxBytes({4999, 100}, data)), HasSubstr("has trailing bytes"));
  for (const size_t size : {size_t{2}, packed.size() / 2, packed.size() - 8, packed.size() - 1}) {
    EXPECT_THAT(error(packed.substr(0, size)), HasSubstr("is truncated"));
  }
  EXPECT_THAT(error(packed + "x"), HasSubstr("behind the end"));
  std::string wrong_sum = packed;
  wrong_sum[packed.size() - 6] ^= 1;
  EXPECT_THAT(error(wrong_sum), HasSubstr("damaged gzip"));
  std::string wrong_data = packed;
  wrong_data[packed.size() / 2] ^= 0x55;
  EXPECT_THAT(error(wrong_data), HasSubstr("damaged gzip"));
}

TEST(MnistLike, NamesTheFileThatIsMissingOrMislabelled) {
  TempFolder folder;
  const std::string spec = "mnist:" + folder.path();
  EXPECT_THAT(ErrorText(OpenDataset(spec).status(), absl::StatusCode::kNotFound),
              AllOf(HasSubstr(folder.path()), HasSubstr("t10k-images-idx3-ubyte.gz")));
  WriteMnistLike(folder.path(), 100, 20);
  ASSERT_TRUE(OpenDataset(spec).ok());

  WriteFile(folder / "train-labels-idx1-ubyte", IdxBytes({99}, std::string(99, '\1')));
  EXPECT_THAT(InvalidText(OpenDataset(spec).status()),
              AllOf(HasSubstr("train-labels-idx1-ubyte: has 99 labels, expected 100")));
  std::string labels(100, '\1');
  labels[42] = 10;
  WriteFile(folder / "train-labels-idx1-ubyte", IdxBytes({100}, labels));
  EXPECT_THAT(InvalidText(OpenDataset(spec).status()),
              HasSubstr("train-labels-idx1-ubyte: label of item 42 is 10, expected 0 to 9"));
}

TEST(MnistLike, SaysHowToGetMnistWhereThereIsNone) {
  TempFolder folder;
  setenv("XDG_CACHE_HOME", folder.path().c_str(), 1);
  EXPECT_THAT(ErrorText(OpenDataset("mnist").status(), absl::StatusCode::kNotFound),
              AllOf(HasSubstr(folder / "ddnn/mnist"), HasSubstr("tools/fetch_mnist.sh")));
}

}  // namespace
}  // namespace ddnn

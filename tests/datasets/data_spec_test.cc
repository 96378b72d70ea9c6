#include "datasets/data_spec.h"

#include <gmock/gmock.h>

#include "datasets/dataset.h"
#include "tests/datasets/test_files.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(DataSpec, TakesKindArgumentAndOptionsApart) {
  const absl::StatusOr<DataSpec> spec = ParseDataSpec("six-cameras:mnist:/a:b?params=x&seed=3");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->kind, "six-cameras");
  EXPECT_EQ(spec->argument, "mnist:/a:b");
  EXPECT_THAT(spec->options, ElementsAre(Pair("params", "x"), Pair("seed", "3")));
}

TEST(DataSpec, IsText) {
  for (const char* text :
       {"folder:caf\xc3\xa9", "folder:\xe2\x82\xac", "folder:\xf0\x9f\x98\x80"}) {
    EXPECT_TRUE(ParseDataSpec(text).ok()) << text;
  }
  for (const char* text :
       {"folder:caf\xe9", "folder:\xc3", "folder:\xc0\xaf", "folder:\xed\xa0\x80",
        "folder:\xf4\x90\x80\x80", "folder:\xe0\x80\xaf", "\x80"}) {
    EXPECT_THAT(InvalidText(ParseDataSpec(text).status()), HasSubstr("is not UTF-8"));
  }
}

TEST(DataSpec, RefusesWhatIsNotAnOption) {
  for (const char* text : {"", ":x", "?a=b", "mnist?", "mnist?a", "mnist?a=", "mnist?=b",
                           "mnist?a=b&", "mnist?a=1&a=2"}) {
    EXPECT_THAT(InvalidText(ParseDataSpec(text).status()), HasSubstr(text));
  }
}

TEST(OpenDataset, ListsTheFormsForAnUnknownKind) {
  for (const char* text : {"", "imagenet", "fashion_mnist:/x"}) {
    EXPECT_THAT(InvalidText(OpenDataset(text).status()),
                AllOf(HasSubstr(text), HasSubstr("six-cameras:BASE"), HasSubstr("folder:DIR"),
                      HasSubstr("mvmc:TRAIN.npz")));
  }
}

TEST(OpenDataset, ListsTheOptionsThereAreForAnUnknownOne) {
  EXPECT_THAT(InvalidText(OpenDataset("six-cameras:mnist?parms=x").status()),
              AllOf(HasSubstr("'parms'"), HasSubstr("knows params")));
  EXPECT_THAT(InvalidText(OpenDataset("folder:/x?a=b").status()),
              HasSubstr("knows size, views, classes"));
  EXPECT_THAT(InvalidText(OpenDataset("grid:mnist?a=b").status()), HasSubstr("knows none"));
}

TEST(OpenDataset, RefusesABaseThatIsNoSetOfItems) {
  for (const char* text : {"six-cameras:", "six-cameras:grid:mnist", "grid:folder:/x", "grid"}) {
    EXPECT_THAT(InvalidText(OpenDataset(text).status()), HasSubstr("fashion-mnist[:DIR]"));
  }
}

TEST(Split, NamesParseBack) {
  for (Split split : {Split::kTrain, Split::kCalibration, Split::kTest}) {
    EXPECT_EQ(*ParseSplit(ToString(split)), split);
  }
  EXPECT_THAT(InvalidText(ParseSplit("val").status()), HasSubstr("'val'"));
}

}  // namespace
}  // namespace ddnn

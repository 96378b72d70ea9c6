#include "datasets/framing.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <tuple>

#include "tests/datasets/test_files.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Framing Parsed(const std::string& roi, const std::string& resize) {
  const absl::StatusOr<Framing> framing = ParseFraming(roi, resize);
  EXPECT_TRUE(framing.ok()) << framing.status();
  return *framing;
}

TEST(Framing, IsAllOfThePictureUnlessAskedFor) {
  EXPECT_TRUE(Parsed("", "").is_default());
  EXPECT_TRUE(Parsed("", "stretch").is_default());
  EXPECT_FALSE(Parsed("", "fit").is_default());
  EXPECT_FALSE(Parsed("0,0,1,1", "").is_default());
  EXPECT_EQ(Parsed("1,2,30,40", "").roi, (Rect{1, 2, 30, 40}));
}

TEST(Framing, RefusesWhatItCannotReadNamingTheFlag) {
  for (const char* roi : {"1,2,3", "1,2,3,4,5", "a,b,c,d", "-1,0,5,5", "0,0,0,5", "0,0,5,0", ",,,",
                          "0,0,99999999999,1", "1 2 3 4"}) {
    EXPECT_THAT(InvalidText(ParseFraming(roi, "").status()),
                AllOf(HasSubstr("--roi"), HasSubstr(roi)));
  }
  EXPECT_THAT(InvalidText(ParseFraming("", "zoom").status()),
              AllOf(HasSubstr("--resize"), HasSubstr("zoom"), HasSubstr("stretch, fit or crop")));
}

TEST(Framing, PlacesTheExactPixels) {
  const Shape square = {3, 32, 32};
  struct Case {
    const char* roi;
    const char* resize;
    Rect from, to;
  };
  const Case cases[] = {
      {"", "stretch", {0, 0, 640, 480}, {0, 0, 32, 32}},
      {"", "fit", {0, 0, 640, 480}, {0, 4, 32, 24}},
      {"", "crop", {80, 0, 480, 480}, {0, 0, 32, 32}},
      {"100,200,100,200", "stretch", {100, 200, 100, 200}, {0, 0, 32, 32}},
      {"100,200,100,200", "fit", {100, 200, 100, 200}, {8, 0, 16, 32}},
      {"100,200,100,200", "crop", {100, 250, 100, 100}, {0, 0, 32, 32}},
      {"0,0,640,480", "", {0, 0, 640, 480}, {0, 0, 32, 32}},
      {"639,479,1,1", "", {639, 479, 1, 1}, {0, 0, 32, 32}},
  };
  for (const Case& c : cases) {
    const absl::StatusOr<Placement> place = Place(Parsed(c.roi, c.resize), 640, 480, square);
    ASSERT_TRUE(place.ok()) << place.status();
    EXPECT_EQ(place->from, c.from) << c.roi << " " << c.resize;
    EXPECT_EQ(place->to, c.to) << c.roi << " " << c.resize;
  }
}

TEST(Framing, RefusesARectangleOutsideOfThePictureNamingBothSizes) {
  for (const char* roi : {"600,0,41,10", "0,470,10,11", "640,0,1,1", "2147483647,0,2147483647,1"}) {
    EXPECT_THAT(InvalidText(Place(Parsed(roi, ""), 640, 480, {1, 8, 8}).status()),
                AllOf(HasSubstr(roi), HasSubstr("640x480")));
  }
}

// Whatever the sizes: inside of picture and view, never empty, and in proportion to a pixel.
TEST(Framing, KeepsProportionsToAPixel) {
  std::mt19937_64 random(3);
  const auto upto = [&random](int most) { return 1 + static_cast<int>(random() % most); };
  for (int round = 0; round < 5000; ++round) {
    const int width = upto(4000), height = upto(4000);
    const Shape shape = {1, upto(100), upto(100)};
    Framing framing;
    if (round % 2 == 0) {
      framing.roi.width = upto(width);
      framing.roi.height = upto(height);
      framing.roi.x = static_cast<int>(random() % (width - framing.roi.width + 1));
      framing.roi.y = static_cast<int>(random() % (height - framing.roi.height + 1));
    }
    framing.resize = round % 3 == 0 ? Framing::Resize::kFit : Framing::Resize::kCrop;
    const absl::StatusOr<Placement> place = Place(framing, width, height, shape);
    ASSERT_TRUE(place.ok()) << place.status();
    const Rect& from = place->from;
    const Rect& to = place->to;
    for (const auto& [inner, w, h] :
         {std::tuple(from, width, height), std::tuple(to, shape.width, shape.height)}) {
      EXPECT_GE(inner.x, 0);
      EXPECT_GE(inner.y, 0);
      EXPECT_GE(inner.width, 1);
      EXPECT_GE(inner.height, 1);
      EXPECT_LE(inner.x + inner.width, w);
      EXPECT_LE(inner.y + inner.height, h);
    }
    // One side is exact, the other rounded by half a pixel (or a whole one, where none was left).
    const double ratio = static_cast<double>(from.width) / from.height;
    const bool fit = framing.resize == Framing::Resize::kFit;
    const Rect& rounded = fit ? to : from;
    const double wanted = fit ? ratio : static_cast<double>(to.width) / to.height;
    EXPECT_TRUE(std::abs(rounded.width - rounded.height * wanted) <= std::max(1.0, wanted) ||
                std::abs(rounded.height - rounded.width / wanted) <= std::max(1.0, 1 / wanted));
  }
}

}  // namespace
}  // namespace ddnn

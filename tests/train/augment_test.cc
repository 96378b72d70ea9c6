#include "train/augment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/train/toy_dataset.h"

namespace ddnn::train {
namespace {

using Picture = std::vector<uint8_t>;

Picture RandomPicture(const Shape& shape, Random* random) {
  Picture picture(shape.size());
  for (uint8_t& pixel : picture) pixel = static_cast<uint8_t>(RandomInt(0, 255, random));
  return picture;
}

Picture Changed(Picture picture, const Shape& shape, const PictureChange& change) {
  ChangePicture(change, shape, picture.data());
  return picture;
}

class ChangePictureTest : public ::testing::TestWithParam<int> {
 protected:
  ChangePictureTest() : random_(GetParam()) {
    shape_ = {RandomInt(1, 3, &random_), RandomInt(1, 20, &random_), RandomInt(1, 20, &random_)};
    picture_ = RandomPicture(shape_, &random_);
  }
  uint8_t At(const Picture& picture, int c, int y, int x) const {
    y = std::clamp(y, 0, shape_.height - 1);
    x = std::clamp(x, 0, shape_.width - 1);
    return picture[(c * shape_.height + y) * shape_.width + x];
  }
  Random random_;
  Shape shape_;
  Picture picture_;
};

TEST_P(ChangePictureTest, NothingChangesNothing) {
  EXPECT_EQ(Changed(picture_, shape_, {}), picture_);
}

TEST_P(ChangePictureTest, TwoFlipsAreNone) {
  PictureChange flip;
  flip.flip = true;
  const Picture once = Changed(picture_, shape_, flip);
  EXPECT_EQ(At(once, 0, 0, 0), At(picture_, 0, 0, shape_.width - 1));
  EXPECT_EQ(Changed(once, shape_, flip), picture_);
}

TEST_P(ChangePictureTest, AShiftCopiesPixelsAndRepeatsTheBorder) {
  PictureChange shift;
  shift.shift_x = RandomInt(-5, 5, &random_);
  shift.shift_y = RandomInt(-5, 5, &random_);
  shift.repeat_border = true;
  const Picture moved = Changed(picture_, shape_, shift);
  for (int c = 0; c < shape_.channels; ++c) {
    for (int y = 0; y < shape_.height; ++y) {
      for (int x = 0; x < shape_.width; ++x) {
        EXPECT_EQ(At(moved, c, y, x), At(picture_, c, y - shift.shift_y, x - shift.shift_x));
      }
    }
  }
}

TEST_P(ChangePictureTest, WhatAShiftBringsInIsTheFill) {
  PictureChange shift;
  shift.shift_x = RandomInt(-25, 25, &random_);
  shift.shift_y = RandomInt(-25, 25, &random_);
  shift.brightness = 0.5;  // of the picture, not of the fill
  shift.fill = 201;
  const Picture moved = Changed(picture_, shape_, shift);
  for (int c = 0; c < shape_.channels; ++c) {
    for (int y = 0; y < shape_.height; ++y) {
      for (int x = 0; x < shape_.width; ++x) {
        const int from_y = y - shift.shift_y, from_x = x - shift.shift_x;
        const bool inside =
            from_y >= 0 && from_y < shape_.height && from_x >= 0 && from_x < shape_.width;
        EXPECT_EQ(At(moved, c, y, x), inside ? (At(picture_, c, from_y, from_x) + 1) / 2 : 201);
      }
    }
  }
}

TEST_P(ChangePictureTest, ACropStaysWithinWhatThePictureHas) {
  PictureChange crop;
  crop.crop = 0.6;
  crop.crop_x = 0.3;
  crop.crop_y = 1;
  const auto [least, most] = std::minmax_element(picture_.begin(), picture_.end());
  for (uint8_t pixel : Changed(picture_, shape_, crop)) {
    EXPECT_GE(pixel, *least);
    EXPECT_LE(pixel, *most);
  }
  const Picture grey(shape_.size(), 77);
  EXPECT_EQ(Changed(grey, shape_, crop), grey);
  // At any place: nothing comes in from outside.
  crop.fill = 255;
  for (const double place : {0.0, 0.5, 1.0}) {
    crop.crop_x = crop.crop_y = place;
    EXPECT_EQ(Changed(grey, shape_, crop), grey) << place;
  }
}

TEST_P(ChangePictureTest, BrightnessScalesAndStopsAtWhite) {
  PictureChange dark, bright;
  dark.brightness = 0.5;
  bright.brightness = 2;
  const Picture darker = Changed(picture_, shape_, dark),
                lighter = Changed(picture_, shape_, bright);
  for (int i = 0; i < shape_.size(); ++i) {
    EXPECT_EQ(darker[i], (picture_[i] + 1) / 2);
    EXPECT_EQ(lighter[i], std::min(255, 2 * picture_[i]));
  }
}

TEST_P(ChangePictureTest, ASquareIsFilledAndNothingElseChanges) {
  PictureChange erase;
  erase.erase = RandomInt(1, std::min(shape_.height, shape_.width), &random_);
  erase.erase_x = RandomInt(0, 100, &random_) / 100.0;
  erase.erase_y = RandomInt(0, 100, &random_) / 100.0;
  erase.fill = 201;
  const Picture erased = Changed(picture_, shape_, erase);
  const auto within = [&](int at, double middle, int size) {
    const int begin = static_cast<int>(std::lround(middle * size - erase.erase / 2.0));
    return at >= begin && at < begin + erase.erase;
  };
  for (int c = 0; c < shape_.channels; ++c) {
    for (int y = 0; y < shape_.height; ++y) {
      for (int x = 0; x < shape_.width; ++x) {
        const bool inside =
            within(x, erase.erase_x, shape_.width) && within(y, erase.erase_y, shape_.height);
        EXPECT_EQ(At(erased, c, y, x), inside ? 201 : At(picture_, c, y, x));
      }
    }
  }
  erase.erase_x = erase.erase_y = 0.5;
  const Picture middle = Changed(Picture(shape_.size(), 7), shape_, erase);
  EXPECT_EQ(std::count(middle.begin(), middle.end(), 201),
            shape_.channels * erase.erase * erase.erase);
}

INSTANTIATE_TEST_SUITE_P(Shapes, ChangePictureTest, ::testing::Range(1, 13));

TEST(DrawChange, StaysWithinTheSpec) {
  v1::Augmentation bounds;
  bounds.set_shift(3);
  bounds.set_flip(0.5f);
  bounds.set_crop(0.25f);
  bounds.set_brightness(0.2f);
  bounds.set_erase(4);
  double leftmost = 1, rightmost = 0;
  int flips = 0, most = 0, least = 0;
  for (uint64_t i = 0; i < 400; ++i) {
    const PictureChange change = DrawChange(bounds, CounterRng({i}));
    flips += change.flip;
    most = std::max(most, change.shift_x);
    least = std::min(least, change.shift_y);
    EXPECT_LE(std::abs(change.shift_x), 3);
    EXPECT_LE(std::abs(change.shift_y), 3);
    EXPECT_GE(change.crop, 0.75);
    EXPECT_LE(change.crop, 1);
    EXPECT_GE(change.brightness, 0.8 - 1e-6);
    EXPECT_LE(change.brightness, 1.2 + 1e-6);
    EXPECT_EQ(change.erase, 4);
    leftmost = std::min(leftmost, change.erase_x);
    rightmost = std::max(rightmost, change.erase_x);
  }
  EXPECT_NEAR(flips, 200, 60);
  EXPECT_EQ(most, 3);
  EXPECT_EQ(least, -3);
  EXPECT_LT(leftmost, 0.05);
  EXPECT_GT(rightmost, 0.95);
  bounds.set_flip(1);
  EXPECT_TRUE(DrawChange(bounds, CounterRng({1})).flip);
}

NetworkPlan PlanWith(const std::string& augmentation) {
  return PlanOf(
      absl::StrReplaceAll(TinySpec(), {{"training {", absl::StrCat("training { ", augmentation)}}));
}

class AugmenterTest : public ::testing::Test {
 protected:
  // Views whose pixels a draw changes, as a mask.
  uint64_t Touched(const NetworkPlan& plan, uint64_t presence) {
    Random random(5);
    uint64_t touched = 0;
    const int size = plan.view_shape().size();
    for (int sample = 0; sample < 20; ++sample) {
      const Picture before = RandomPicture({3, 8, 8}, &random);
      Picture after = before;
      Augmenter(plan).Apply(1, 1, sample, presence, after.data());
      for (int v = 0; v < plan.views(); ++v) {
        const bool same = std::equal(before.begin() + v * size, before.begin() + (v + 1) * size,
                                     after.begin() + v * size);
        if (!same) touched |= uint64_t{1} << v;
      }
    }
    return touched;
  }
};

TEST_F(AugmenterTest, ChangesTheViewsItIsAskedToThatArePresent) {
  EXPECT_EQ(Touched(PlanWith(""), 7), 0u);
  EXPECT_EQ(Touched(PlanWith("augmentation { shift: 2 }"), 7), 7u);
  EXPECT_EQ(Touched(PlanWith("augmentation { shift: 2 }"), 5), 5u);
  EXPECT_EQ(Touched(PlanWith("augmentation { view: 1 shift: 2 }"), 7), 2u);
  EXPECT_EQ(Touched(PlanWith("augmentation { view: 0 flip: 1 } "
                             "augmentation { view: 2 brightness: 0.5 }"),
                    7),
            5u);
  EXPECT_EQ(Touched(PlanWith("augmentation { view: 2 erase: 3 }"), 7), 4u);
}

TEST_F(AugmenterTest, BringsInWhatIsZeroToTheNetworkOrTheBorder) {
  for (const bool repeat : {false, true}) {
    const NetworkPlan plan = PlanOf(absl::StrReplaceAll(
        TinySpec(), {{"offset: 0", "offset: 131"},
                     {"training {", absl::StrCat("training { augmentation { shift: 7 ",
                                                 repeat ? "repeat_border: true" : "", "}")}}));
    int others = 0;
    for (int sample = 0; sample < 20; ++sample) {
      Picture pixels(3 * 64, 77);
      Augmenter(plan).Apply(1, 1, sample, 7, pixels.data());
      for (uint8_t pixel : pixels) {
        others += pixel != 77;
        EXPECT_TRUE(pixel == 77 || (!repeat && pixel == 131)) << int{pixel};
      }
    }
    EXPECT_EQ(others > 0, !repeat);
  }
}

TEST_F(AugmenterTest, DependsOnSeedEpochSampleAndViewAlone) {
  const Augmenter augmenter(
      PlanWith("augmentation { shift: 3 flip: 0.5 crop: 0.3 brightness: 0.4 erase: 3 }"));
  Random random(3);
  const Picture one = RandomPicture({1, 8, 8}, &random);
  Picture same;  // the same picture in all views
  for (int v = 0; v < 3; ++v) same.insert(same.end(), one.begin(), one.end());
  const auto run = [&](uint64_t seed, int epoch, int64_t sample) {
    Picture pixels = same;
    augmenter.Apply(seed, epoch, sample, 7, pixels.data());
    return pixels;
  };
  const Picture first = run(1, 1, 1);
  EXPECT_EQ(run(1, 1, 1), first);
  EXPECT_NE(run(2, 1, 1), first);
  EXPECT_NE(run(1, 2, 1), first);
  EXPECT_NE(run(1, 1, 2), first);
  EXPECT_FALSE(std::equal(first.begin(), first.begin() + 64, first.begin() + 64));
}

}  // namespace
}  // namespace ddnn::train

#include "cloud/table.h"

#include "gtest/gtest.h"

namespace ddnn {
namespace {

TEST(DisplayWidth, CountsColumnsNotBytes) {
  EXPECT_EQ(DisplayWidth("boot"), 4);
  EXPECT_EQ(DisplayWidth("Schuhgröße"), 10);
  EXPECT_EQ(DisplayWidth("o\u0308"), 1);
  EXPECT_EQ(DisplayWidth("靴下"), 4);
  EXPECT_EQ(DisplayWidth("🥾"), 2);
}

TEST(Printable, KeepsTextAndDisarmsTheRest) {
  EXPECT_EQ(Printable("größe 靴下 █"), "größe 靴下 █");
  EXPECT_EQ(Printable("\x1b[31mred\n"), "?[31mred?");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "31m"),
            "?31m");  // C1
  EXPECT_EQ(Printable("\u202e"
                      "abc"),
            "?abc");  // right-to-left override
  EXPECT_EQ(Printable("a\xff"
                      "b\xc3"),
            "a?b?");                                      // broken, cut off
  EXPECT_EQ(Printable("\xc0\x80\xed\xa0\x80"), "?????");  // overlong, surrogate
}

TEST(Table, AlignsWideCharactersAndTrailsNothing) {
  Table table({{"NAME"}, {"N", true}, {"NOTE"}});
  table.AddRow({"靴", "1", "x"});
  table.AddRow({"größer", "100", ""});
  EXPECT_EQ(table.ToString(),
            "NAME      N  NOTE\n"
            "靴        1  x\n"
            "größer  100\n");
}

TEST(Table, RowsOfAStreamKeepTheirColumns) {
  const Table table({{"A", false, 4}, {"B", true, 3}});
  EXPECT_EQ(table.TitleLine(), "A       B\n");
  EXPECT_EQ(table.Line({"xy", "1"}), "xy      1\n");
  EXPECT_EQ(table.Line({"long one", "1"}), "long one    1\n");
}

TEST(Ago, UsesTheUnitAPersonWould) {
  const absl::Time now = absl::FromUnixSeconds(10000000);
  EXPECT_EQ(Ago(now, now), "0 s ago");
  EXPECT_EQ(Ago(now - absl::Seconds(99), now), "99 s ago");
  EXPECT_EQ(Ago(now - absl::Seconds(180), now), "3 min ago");
  EXPECT_EQ(Ago(now - absl::Hours(5), now), "5 h ago");
  EXPECT_EQ(Ago(now - absl::Hours(72), now), "3 d ago");
  EXPECT_EQ(Ago(now + absl::Seconds(30), now), "in 30 s");
}

TEST(Ranges, JoinsNeighbours) {
  EXPECT_EQ(Ranges({}), "-");
  EXPECT_EQ(Ranges({3}), "3");
  EXPECT_EQ(Ranges({0, 1}), "0,1");
  EXPECT_EQ(Ranges({0, 1, 2, 5, 7, 8, 9}), "0-2,5,7-9");
}

TEST(Bar, GrowsInEighths) {
  EXPECT_EQ(Bar(0, 4), "");
  EXPECT_EQ(Bar(1, 2), "██");
  EXPECT_EQ(Bar(0.5, 1), "▌");
  EXPECT_EQ(Bar(2, 1), "█");
  EXPECT_EQ(Bar(0.0 / 0.0, 4), "");
}

}  // namespace
}  // namespace ddnn

#include "train/charts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <limits>
#include <regex>

#include "absl/strings/escaping.h"
#include "tests/support/random_network.h"
#include "tests/train/well_formed.h"
#include "train/html_text.h"
#include "train/picture_uri.h"

namespace ddnn::train {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(EscapeHtml, LeavesNothingThatHtmlTakesForItsOwn) {
  EXPECT_EQ(EscapeHtml("<a href=\"x\">&'\n\x7f"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;  ");
  EXPECT_EQ(EscapeHtml("Stövel 靴 👢"), "Stövel 靴 👢");
}

TEST(EscapeHtml, ReplacesWhatIsNoUtf8OrTurnsTheText) {
  EXPECT_EQ(EscapeHtml("a\xff"), "a\uFFFD");
  EXPECT_EQ(EscapeHtml("\xc0\xbc"), "\uFFFD\uFFFD");            // an overlong <
  EXPECT_EQ(EscapeHtml("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");  // half a surrogate pair
  EXPECT_EQ(EscapeHtml("\xe2\x82"), "\uFFFD\uFFFD");            // cut off
  EXPECT_EQ(EscapeHtml("gnp\u202egpj"), "gnp\uFFFDgpj");
  EXPECT_EQ(EscapeHtml("a\u0085b"), "a b");
}

TEST(EscapeHtml, GivesWellFormedTextForAnyBytes) {
  Random random(1);
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    for (int i = 0; i < 20; ++i) bytes.push_back(static_cast<char>(RandomInt(0, 255, &random)));
    const std::string safe = EscapeHtml(bytes);
    EXPECT_EQ(WrongWith("<p title=\"" + safe + "\">" + safe + "</p>"), "");
    EXPECT_EQ(EscapeHtml(safe).find("\uFFFD") != std::string::npos,
              safe.find("\uFFFD") != std::string::npos);  // what comes out is UTF-8
  }
}

TEST(LineChart, DrawsInsideItsFrameWhateverTheNumbers) {
  Random random(3);
  std::uniform_real_distribution<double> draw(-1, 1);
  for (const double scale : {1e-9, 1e-3, 1.0, 1e4, 9e11}) {
    for (int round = 0; round < 20; ++round) {
      std::vector<Series> series = {{"a", {0}, {}}, {"b", {0, Look::kDots}, {}}};
      for (Series& s : series) {
        for (int i = 0; i < 5; ++i) s.points.emplace_back(scale * draw(random), draw(random));
      }
      const std::string svg = LineChart("title", {"x"}, {"y"}, series);
      ASSERT_EQ(WrongWith(svg), "");
      const std::regex dot("<circle class=\"dot\" cx=\"([^\"]*)\" cy=\"([^\"]*)\" r=\"(3|4).0\"");
      int dots = 0;
      for (std::sregex_iterator it(svg.begin(), svg.end(), dot), end; it != end; ++it, ++dots) {
        EXPECT_GE(std::stod((*it)[1]), 49);
        EXPECT_LE(std::stod((*it)[1]), 387);
        EXPECT_GE(std::stod((*it)[2]), 11);
        EXPECT_LE(std::stod((*it)[2]), 209);
      }
      EXPECT_EQ(dots, 10);
      EXPECT_LT(Count(svg, "<text"), 30);
    }
  }
}

TEST(LineChart, EndsForNumbersCloserThanTheirTicks) {
  const std::string svg = LineChart("t", {"x"}, {"y"}, {{"a", {0}, {{9e11, 1}, {9e11 + 1e-3, 1}}}});
  EXPECT_EQ(WrongWith(svg), "");
  EXPECT_LT(Count(svg, "<text"), 30);
}

TEST(LineChart, LeavesOutWhatIsNoNumberAndSaysWhenNothingIsLeft) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_THAT(LineChart("t", {"x"}, {"y"}, {{"a", {0}, {{nan, 1}, {1e300, 1}, {1, -inf}}}}),
              HasSubstr("nothing to show"));
  const std::string svg = LineChart("t", {"x"}, {"y"}, {{"a", {0}, {{1, 1}, {2, nan}, {3, 1}}}});
  EXPECT_EQ(Count(svg, "</circle>"), 3);  // two points and the legend
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(LineChart, NamesItselfItsAxesWithUnitsAndItsSeries) {
  const std::string svg =
      LineChart("Loss <of> it", {"epoch & so"}, {"accuracy", true}, {{"\"a\"", {0}, {{1, 0.5}}}});
  EXPECT_THAT(svg, HasSubstr("aria-label=\"Loss &lt;of&gt; it\""));
  EXPECT_THAT(svg, HasSubstr(">epoch &amp; so</text>"));
  EXPECT_THAT(svg, HasSubstr(">accuracy (%)</text>"));
  EXPECT_THAT(svg, HasSubstr("</svg>&quot;a&quot;</li>"));
  EXPECT_THAT(svg, HasSubstr("accuracy 50.0\u00a0%</title>"));
}

TEST(LineChart, TellsSeriesApartByMoreThanColour) {
  const std::string solid = LineChart("t", {"x"}, {"y"}, {{"a", {0}, {{1, 1}, {2, 2}}}});
  const std::string dashed =
      LineChart("t", {"x"}, {"y"}, {{"a", {0, Look::kDashed}, {{1, 1}, {2, 2}}}});
  EXPECT_THAT(solid, Not(HasSubstr("stroke-dasharray")));
  EXPECT_EQ(Count(dashed, "stroke-dasharray"), 2);  // in the chart and in the legend
  const std::string other = LineChart("t", {"x"}, {"y"}, {{"a", {1}, {{1, 1}, {2, 2}}}});
  EXPECT_THAT(other, Not(HasSubstr("<circle")));
}

TEST(BarChart, DrawsEachFractionAsLongAsItIs) {
  const std::string html =
      BarChart("accuracy", {{"<x>", 0.25}, {"wild", 7}, {"none", std::nan("")}}, 0.5);
  EXPECT_EQ(WrongWith(html), "");
  EXPECT_THAT(html, HasSubstr("&lt;x&gt;"));
  EXPECT_THAT(html, HasSubstr("width:25.00%"));
  EXPECT_THAT(html, HasSubstr("<td>25.0\u00a0%</td>"));
  EXPECT_THAT(html, HasSubstr("width:100.00%"));
  EXPECT_THAT(html, HasSubstr("width:0.00%"));
  EXPECT_EQ(Count(html, "left:50.00%"), 3);
  EXPECT_THAT(html, HasSubstr("accuracy (%)"));
  EXPECT_EQ(Count(BarChart("accuracy", {{"x", 1}}, -1), "reference"), 0);
}

std::string Png(const std::string& uri) {
  const std::string head = "data:image/png;base64,";
  std::string png;
  EXPECT_EQ(uri.substr(0, head.size()), head);
  EXPECT_TRUE(absl::Base64Unescape(uri.substr(head.size()), &png));
  return png;
}

// The chunks' data by kind, with their CRCs checked.
std::map<std::string, std::string> Chunks(const std::string& png) {
  EXPECT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
  std::map<std::string, std::string> chunks;
  const auto number = [&](size_t at) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(png.at(at + i));
    return value;
  };
  for (size_t at = 8; at < png.size();) {
    const uint32_t size = number(at);
    const std::string body = png.substr(at + 4, 4 + size);
    EXPECT_EQ(number(at + 8 + size), crc32(0, reinterpret_cast<const Bytef*>(body.data()),
                                           static_cast<uInt>(body.size())));
    chunks[body.substr(0, 4)] = body.substr(4);
    at += 12 + size;
  }
  return chunks;
}

std::string Lines(const std::string& packed) {
  std::string lines(1 << 16, '\0');
  uLongf size = lines.size();
  EXPECT_EQ(uncompress(reinterpret_cast<Bytef*>(&lines[0]), &size,
                       reinterpret_cast<const Bytef*>(packed.data()), packed.size()),
            Z_OK);
  lines.resize(size);
  return lines;
}

TEST(PictureUri, IsAPngOfThePixels) {
  const uint8_t rgb[] = {1, 2, 3, 4, 5, 6};  // 3 channels, 2 rows, 1 column
  auto chunks = Chunks(Png(PictureUri(rgb, 3, 2, 1)));
  EXPECT_EQ(chunks.at("IHDR"), std::string("\0\0\0\1\0\0\0\2\x8\2\0\0\0", 13));
  EXPECT_EQ(Lines(chunks.at("IDAT")), std::string("\0\1\3\5\0\2\4\6", 8));
  EXPECT_EQ(chunks.count("IEND"), 1u);
  chunks = Chunks(Png(PictureUri(rgb, 1, 2, 3)));
  EXPECT_EQ(chunks.at("IHDR"), std::string("\0\0\0\3\0\0\0\2\x8\0\0\0\0", 13));
  EXPECT_EQ(Lines(chunks.at("IDAT")), std::string("\0\1\2\3\0\4\5\6", 8));
}

TEST(PictureUri, ThinsOutLargePictures) {
  std::vector<uint8_t> grey(200 * 10);
  for (size_t i = 0; i < grey.size(); ++i) grey[i] = static_cast<uint8_t>(i % 200);
  const auto chunks = Chunks(Png(PictureUri(grey.data(), 1, 10, 200)));
  EXPECT_EQ(chunks.at("IHDR").substr(0, 8), std::string("\0\0\0\x43\0\0\0\4", 8));  // 67 x 4
  EXPECT_EQ(Lines(chunks.at("IDAT")).substr(1, 3), std::string("\0\3\6", 3));
}

}  // namespace
}  // namespace ddnn::train

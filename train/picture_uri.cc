#include "train/picture_uri.h"

#include <zlib.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace ddnn::train {
namespace {

constexpr int kMostPixels = 96;

void AppendBigEndian(uint32_t value, std::string* to) {
  for (int shift = 24; shift >= 0; shift -= 8) to->push_back(static_cast<char>(value >> shift));
}

// Length, kind, data, and the CRC of kind and data (PNG specification, 5.3).
void AppendChunk(const std::string& kind, const std::string& data, std::string* png) {
  AppendBigEndian(static_cast<uint32_t>(data.size()), png);
  const std::string body = kind + data;
  *png += body;
  const auto* bytes = reinterpret_cast<const Bytef*>(body.data());
  AppendBigEndian(static_cast<uint32_t>(crc32(0, bytes, static_cast<uInt>(body.size()))), png);
}

std::string Deflate(const std::string& data) {
  uLongf size = compressBound(data.size());
  std::string packed(size, '\0');
  compress2(reinterpret_cast<Bytef*>(packed.data()), &size,
            reinterpret_cast<const Bytef*>(data.data()), data.size(), Z_BEST_COMPRESSION);
  packed.resize(size);
  return packed;
}

}  // namespace

std::string PictureUri(const uint8_t* pixels, int channels, int height, int width) {
  const int step = std::max((std::max(height, width) + kMostPixels - 1) / kMostPixels, 1);
  const int rows = (height + step - 1) / step, columns = (width + step - 1) / step;
  const int shown = channels == 3 ? 3 : 1, plane = height * width;
  std::string lines;
  for (int y = 0; y < rows; ++y) {
    lines.push_back(0);  // this line is not filtered
    for (int x = 0; x < columns; ++x) {
      const uint8_t* from = pixels + y * step * width + x * step;
      for (int c = 0; c < shown; ++c) lines.push_back(static_cast<char>(from[c * plane]));
    }
  }
  std::string header;
  AppendBigEndian(columns, &header);
  AppendBigEndian(rows, &header);
  header += {8, static_cast<char>(shown == 3 ? 2 : 0), 0, 0, 0};  // 8 bit; RGB or grey
  std::string png = "\x89PNG\r\n\x1a\n";
  AppendChunk("IHDR", header, &png);
  AppendChunk("IDAT", Deflate(lines), &png);
  AppendChunk("IEND", "", &png);
  return absl::StrCat("data:image/png;base64,", absl::Base64Escape(png));
}

}  // namespace ddnn::train

#include "datasets/video_reader.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "datasets/picture_library.h"
#include "datasets/pictures.h"

namespace ddnn {

absl::StatusOr<std::unique_ptr<VideoReader>> VideoReader::Open(const VideoRequest& request) {
  if (absl::Status status = CheckPictureShape(request.shape); !status.ok()) return status;
  std::error_code error;
  if (request.kind == VideoRequest::Kind::kFile &&
      !std::filesystem::is_regular_file(request.address, error)) {
    return absl::NotFoundError(absl::StrCat(request.address, ": is not a file"));
  }
  const absl::StatusOr<PictureLibrary*> library = LoadPictureLibrary();
  if (!library.ok()) return library.status();
  VideoRequest shown = request;
  shown.shown = ShownUrl(request.address);
  return (*library)->OpenVideo(shown);
}

std::string ShownUrl(const std::string& url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string::npos) return url;
  const size_t begin = scheme + 3;
  // The last @ before the path: a password may have one of its own.
  const size_t at = url.substr(0, url.find('/', begin)).rfind('@');
  const size_t colon = url.find(':', begin);
  if (at == std::string::npos || at < begin || colon > at) return url;
  return absl::StrCat(url.substr(0, colon + 1), "***", url.substr(at));
}

}  // namespace ddnn

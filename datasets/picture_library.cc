#include "datasets/picture_library.h"

#include <dlfcn.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

absl::StatusOr<PictureLibrary*> Load() {
  // By its whole path: what dlopen searches depends on who calls it, sanitizers for one.
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string path = program.parent_path().parent_path() / "lib/ddnn/libddnn-opencv.so";
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* made = library == nullptr ? nullptr : dlsym(library, "DdnnPictureLibrary");
  if (made == nullptr) {
    const char* why = dlerror();
    return absl::UnavailableError(
        absl::StrCat("pictures, videos and cameras need OpenCV: ", why == nullptr ? path : why));
  }
  return reinterpret_cast<decltype(&DdnnPictureLibrary)>(made)();
}

}  // namespace

absl::StatusOr<PictureLibrary*> LoadPictureLibrary() {
  static const absl::StatusOr<PictureLibrary*>* const library =
      new absl::StatusOr<PictureLibrary*>(Load());
  return *library;
}

}  // namespace ddnn

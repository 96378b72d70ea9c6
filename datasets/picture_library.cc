#include "datasets/picture_library.h"

#include <dlfcn.h>

#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

absl::StatusOr<PictureLibrary*> Load() {
  // Found by the program's RUNPATH, see cmake/DdnnSettings.cmake.
  void* library = dlopen("libddnn-opencv.so", RTLD_NOW | RTLD_LOCAL);
  void* made = library == nullptr ? nullptr : dlsym(library, "DdnnPictureLibrary");
  if (made == nullptr) {
    return absl::UnavailableError(absl::StrCat(
        "pictures, videos and cameras need libddnn-opencv.so, in ../lib/ddnn beside the program's "
        "folder: ",
        dlerror()));
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

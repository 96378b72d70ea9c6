# gRPC's CMake config wants re2, which Debian ships without one. Without this it asks pkg-config, which
# on Debian 13 walks Abseil's hundred modules for minutes.
find_library(RE2_LIBRARY re2 REQUIRED)
if(NOT TARGET re2::re2)
  add_library(re2::re2 UNKNOWN IMPORTED)
  set_target_properties(re2::re2 PROPERTIES IMPORTED_LOCATION "${RE2_LIBRARY}")
endif()
set(re2_FOUND TRUE)

# Everything comes from the distribution; tools/install_dependencies.sh names the packages.
find_package(Threads REQUIRED)
find_package(Protobuf REQUIRED)
find_package(absl REQUIRED)
set(re2_DIR "${CMAKE_CURRENT_SOURCE_DIR}/cmake/re2")
find_package(gRPC CONFIG REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
# Its CMake config also wants the zip tools; pkg-config does not.
find_package(PkgConfig REQUIRED)
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)
find_package(spdlog REQUIRED)
find_package(SQLiteCpp REQUIRED)
find_package(XNNPACK REQUIRED)
find_package(OpenCVModules REQUIRED)
find_package(OnnxProto REQUIRED)
find_package(GTest REQUIRED)
# Torch's own config also searches CUDA and prints a lot; only its targets are used.
find_package(Torch REQUIRED)

#!/usr/bin/env bash
# Installs what building ddnn needs from Debian 12 or 13; says what, and does nothing the second time.
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache pkg-config
  libtorch-dev libgloo-dev
  libgrpc++-dev libgrpc-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
  libabsl-dev libssl-dev zlib1g-dev libzip-dev libspdlog-dev
  libsqlitecpp-dev libsqlite3-dev
  libxnnpack-dev libpthreadpool-dev libhwy-dev libbenchmark-dev
  libopencv-core-dev libopencv-imgproc-dev libopencv-imgcodecs-dev libopencv-videoio-dev
  libopencv-dnn-dev libonnx-dev python3-protobuf python3-numpy
  libgtest-dev libgmock-dev
  dataset-fashion-mnist
)

if ! command -v apt-get >/dev/null; then
  echo "install_dependencies: no apt-get here; install the counterparts of: ${packages[*]}" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  # pkgconf provides pkg-config.
  [ "$state" = installed ] || { [ "$package" = pkg-config ] && command -v pkg-config >/dev/null; } ||
    missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "install_dependencies: not root and no sudo; as root, run: apt-get install ${missing[*]}" >&2
    exit 1
  }
  sudo=(sudo)
fi

echo "Installing from Debian: ${missing[*]}"
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  "${missing[@]}" >/dev/null

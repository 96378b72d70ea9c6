#!/usr/bin/env bash
# Installs what building ddnn needs from Debian 12 or 13; says what, and does nothing the second time.
#
#   tools/install_dependencies.sh            all of ddnn
#   tools/install_dependencies.sh --device   ddnn-device alone (cmake -DDDNN_DEVICE_ONLY=ON)
#   tools/install_dependencies.sh --packages what makes and tests Debian packages, besides
#   tools/install_dependencies.sh --arm64    ddnn-device for arm64 (cmake --preset arm64), on another machine
set -euo pipefail
here=$(dirname "$0")

compiler=(g++)
tools=(cmake ninja-build ccache pkg-config python3 protobuf-compiler protobuf-compiler-grpc dataset-fashion-mnist)
device_libraries=(
  libgrpc++-dev libgrpc-dev libprotobuf-dev
  libabsl-dev libssl-dev zlib1g-dev libzip-dev libspdlog-dev
  libxnnpack-dev libpthreadpool-dev libhwy-dev
  libopencv-core-dev libopencv-imgproc-dev libopencv-imgcodecs-dev libopencv-videoio-dev
  libgtest-dev libgmock-dev
)
other_libraries=(
  libtorch-dev libgloo-dev libsqlitecpp-dev libsqlite3-dev libbenchmark-dev
  libopencv-dnn-dev libonnx-dev python3-protobuf python3-numpy
)

case "${1:-}" in
  '') packages=("${compiler[@]}" "${tools[@]}" "${device_libraries[@]}" "${other_libraries[@]}") ;;
  --device) packages=("${compiler[@]}" "${tools[@]}" "${device_libraries[@]}") ;;
  --packages) packages=(dpkg-dev debootstrap systemd-container) ;;
  --arm64) packages=(g++-aarch64-linux-gnu qemu-user-static "${tools[@]}") ;;
  *)
    echo "install_dependencies: $1: expected nothing, --device, --packages or --arm64" >&2
    exit 2
    ;;
esac

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

if [ ${#missing[@]} -gt 0 ]; then
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
fi

if [ "${1:-}" = --arm64 ]; then
  # gRPC's CMake config wants its compiler plugin to be there, and never runs it.
  "$here/make_sysroot.sh" arm64 "$here/../build-arm64/sysroot" "${device_libraries[@]}" \
    protobuf-compiler-grpc
fi

#!/usr/bin/env bash
# Installs what is missing, builds everything and runs all tests.
#
#   ./test.sh [ctest arguments, such as -R node]
#   ./test.sh --arm64 [ctest arguments]   ddnn-device for arm64, cross-compiled: its tests run under qemu, and
#                                         whole trees whose edge and cloud are this machine's
#   ./test.sh --packages                  the Debian packages, in a throw-away system that is booted; as root
set -euo pipefail
cd "$(dirname "$0")"

tools/install_dependencies.sh
cmake --preset release
if [ "${1:-}" = --packages ]; then
  tools/install_dependencies.sh --packages
  rm -f build/packages/*.deb
  cmake --build --preset release --target packages
  exec tools/test_packages.sh
fi
if [ "${1:-}" != --arm64 ]; then
  cmake --build --preset release
  exec ctest --test-dir build --output-on-failure --parallel "$(nproc)" "$@"
fi
shift
tools/install_dependencies.sh --arm64
cmake --build --preset release --target arm64_answers_test
cmake --preset arm64
cmake --build --preset arm64
exec ctest --test-dir build-arm64 --output-on-failure --parallel "$(nproc)" "$@"

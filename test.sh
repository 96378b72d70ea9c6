#!/usr/bin/env bash
# Installs what is missing, builds everything and runs all tests.
#
#   ./test.sh [ctest arguments, such as -R node]
set -euo pipefail
cd "$(dirname "$0")"

tools/install_dependencies.sh
cmake --preset release
cmake --build --preset release
exec ctest --test-dir build --output-on-failure --parallel "$(nproc)" "$@"

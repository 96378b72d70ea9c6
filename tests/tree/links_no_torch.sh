#!/usr/bin/env bash
# usage: links_no_torch.sh FILE [EMULATOR...] - fails if loading FILE loads LibTorch.
set -euo pipefail
# ldd knows this machine's files only.
if [ $# -gt 1 ]; then
  loaded=$(LD_TRACE_LOADED_OBJECTS=1 "${@:2}" "$1")
else
  loaded=$(ldd "$1")
fi
# Some file must be loaded, or ldd did not understand what it was given.
grep -q 'libc\.so' <<<"$loaded"
if found=$(grep -E 'lib(torch|c10|caffe2)' <<<"$loaded"); then
  echo "$1 loads LibTorch:"
  echo "$found"
  exit 1
fi
echo "$1 loads no LibTorch"

#!/usr/bin/env bash
# usage: man_pages_test.sh FOLDER - man and mandoc have nothing to say against FOLDER/*.1.gz. Ends with
# 77 where neither is installed.
set -euo pipefail
tried=77
for page in "$1"/*.1.gz; do
  if command -v man >/dev/null && command -v groff >/dev/null; then
    tried=0
    said=$(LC_ALL=C.UTF-8 MANWIDTH=100 MANROFFSEQ='' man --warnings -l "$page" 2>&1 >/dev/null)
    [ -z "$said" ] || { echo "$page: $said"; exit 1; }
  fi
  if command -v mandoc >/dev/null; then
    tried=0
    mandoc -Tlint -W warning "$page" || exit 1
  fi
done
exit $tried

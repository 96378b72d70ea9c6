#!/usr/bin/env bash
# What a program loads besides itself: bytes of its shared libraries, by Debian package.
#
#   tools/list_libraries.sh build/bin/ddnn-device
set -euo pipefail
[ $# = 1 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }

stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
strip -o "$stripped" "$1"
printf '%9d  %s, stripped\n' "$(stat -c %s "$stripped")" "$(basename "$1")"

ldd "$1" | awk '$3 ~ /^\// {print $3}' | while read -r library; do
  file=$(readlink -f "$library")
  # Debian 12 knows some of its files as /lib, some as /usr/lib.
  package=$(dpkg-query -S "$file" 2>/dev/null || dpkg-query -S "${file#/usr}" 2>/dev/null || echo unknown:)
  echo "$(stat -c %s "$file") ${package%%:*}"
done | awk '{bytes[$2] += $1; files[$2]++}
  END {for (p in bytes) printf "%9d  %s (%d)\n", bytes[p], p, files[p]}' | sort -rn

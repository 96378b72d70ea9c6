#!/usr/bin/env bash
# usage: units_test.sh SOURCE - systemd understands the units in SOURCE/deploy/systemd and finds them no
# more exposed than they were (0: not at all, 10: entirely). Ends with 77 without systemd-analyze.
set -euo pipefail
command -v systemd-analyze >/dev/null || exit 77
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for unit in "$1"/deploy/systemd/*.service; do
  # Programs and pages need not be installed here.
  sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|; /^Documentation=/d' "$unit" >"$work/$(basename "$unit")"
  said=$(systemd-analyze verify "$work/$(basename "$unit")" 2>&1 | grep -F "$(basename "$unit")" || true)
  [ -z "$said" ] || { echo "$said"; exit 1; }
  exposure=$(systemd-analyze security --no-pager --offline=true "$work/$(basename "$unit")" |
    sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p')
  echo "$(basename "$unit"): exposure $exposure"
  awk -v found="$exposure" 'BEGIN {exit !(found != "" && found <= 2.0)}' ||
    { echo "exposure: found $exposure, expected 2.0 at most"; exit 1; }
done

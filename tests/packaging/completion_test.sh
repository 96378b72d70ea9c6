#!/usr/bin/env bash
# usage: completion_test.sh FOLDER PROGRAM... - asks the completions in FOLDER as readline would.
set -euo pipefail
folder=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bundles"
touch "$work/movie.mp4"
cd "$work"
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
bad=0

# proposals LINE: what stands at its end may become.
proposals() {
  COMP_LINE=$1 COMP_POINT=${#1} COMPREPLY=()
  local program=${1%% *}
  "_${program//-/_}"
  echo "${COMPREPLY[*]-}"
}
# expect LINE PATTERN
expect() {
  local found
  found=$(proposals "$1")
  # shellcheck disable=SC2053
  if [[ "$found" != $2 ]]; then
    echo "\"$1\": found \"$found\", expected \"$2\""
    bad=1
  fi
}
# shellcheck disable=SC1090
has() { [ -e "$folder/$1" ] && { source "$folder/$1"; complete -p "$1" >/dev/null; }; }

for program in "$@"; do
  has "$program" || { echo "$folder/$program: no completion, expected one"; exit 1; }
  expect "$program --he" "--help"
done

expect "ddnn-device --wait" "--wait_for_tree"
expect "ddnn-device --nowait" "--nowait_for_tree"
expect "ddnn-device --bun" "--bundle="
expect "ddnn-device --bundle=b" "bundles"
expect "ddnn-device --bundle b" "bundles"
expect "ddnn-device --log_level=w" "warning"
expect "ddnn-device --json --log_level " "trace debug info warning error off"
expect "ddnn-device --source cam" "camera:0"
expect "ddnn-device --source camera:" "0"
expect "ddnn-device --source=video:m" "movie.mp4"
expect "ddnn-device --source=camera:/dev/nul" "/dev/null"
expect "ddnn-device --resize c" "crop"
expect "ddnn-device --state=b" "bundles"
expect "ddnn-device --config m" "movie.mp4"
expect "ddnn-device --view " ""
expect "ddnn-device --rate 10 " "--bundle=*"
if has ddnn-query; then
  expect "ddnn-query " "hard show label export classify watch status"
  expect "ddnn-query --json cl" "classify"
  expect "ddnn-query classify m" "movie.mp4"
  expect "ddnn-query hard --lab" "--labelled"
  expect "ddnn-query watch --lab" ""
  expect "ddnn-query watch --cl" "--cloud="
fi
if has ddnn-train; then
  expect "ddnn-train --prec" "--precision="
  expect "ddnn-train --precision=b" "bfloat16"
  expect "ddnn-train --data six-cameras:fa" "fashion-mnist"
  expect "ddnn-train --data folder:b" "bundles"
  expect "ddnn-train --res" "--restart --resume"
fi
exit $bad

#!/usr/bin/env bash
# What one ddnn-device costs as a process: time to its first answer, memory, processor time; from
# /proc. Starts a cloud and, where the network has one, an edge on this machine beside it.
#
#   bench/device_process.sh BUNDLE SOURCE [SAMPLES [RATE]]
#   bench/device_process.sh out/six six-cameras:fashion-mnist 10000
#   bench/device_process.sh out/six six-cameras:fashion-mnist 600 10    # 10 frames a second
#
# BIN=build/bin says where the programs are.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
bundle=$1 source=$2 samples=${3:-10000} rate=${4:-0}
bin=${BIN:-$(dirname "$0")/../build/bin}

folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$folder"' EXIT

# Starts a daemon at a port of the kernel's choice, which it says; sets `port`.
serve() {  # NAME COMMAND...
  local name=$1
  shift
  "$@" --listen 127.0.0.1:0 >"$folder/$name" 2>&1 &
  pids+=($!)
  port=
  for _ in $(seq 200); do
    port=$(sed -n 's/.*127\.0\.0\.1:\([0-9]*\).*/\1/p' "$folder/$name" | head -1)
    [ -z "$port" ] || return 0
    sleep 0.05
  done
  cat "$folder/$name" >&2
  exit 1
}

serve cloud "$bin/ddnn-cloud" --bundle "$bundle"
tiers=$(grep -c '^  tier {' "$bundle/bundle.textproto")
[ "$tiers" -lt 3 ] || serve edge "$bin/ddnn-edge" --bundle "$bundle" --parent "127.0.0.1:$port"
sleep 1

device=("$bin/ddnn-device" --bundle "$bundle" --view 0 --parent "127.0.0.1:$port" --source "$source")
first() { local begin; begin=$(date +%s%N); "${device[@]}" --samples 1 >/dev/null 2>&1; echo $((($(date +%s%N) - begin) / 1000000)); }
first >/dev/null  # the file cache
first=$(for _ in 1 2 3 4 5; do first; done | sort -n | sed -n 3p)

"${device[@]}" --samples "$samples" --rate "$rate" >/dev/null 2>"$folder/device" &
pid=$!
pids+=("$pid")
begin=$(date +%s%N)
while [ -r "/proc/$pid/status" ]; do
  { cat "/proc/$pid/status" && cat "/proc/$pid/stat"; } >"$folder/now" 2>/dev/null || break
  grep -q '^VmHWM' "$folder/now" && mv "$folder/now" "$folder/last"
  sleep 0.2
done
seconds=$((($(date +%s%N) - begin) / 1000000))
tail -1 "$folder/device"
awk -v ms="$seconds" -v hz="$(getconf CLK_TCK)" -v first="$first" '
  /^VmHWM/ {hwm = $2} /^RssAnon/ {anon = $2} /^[0-9]+ \(/ {ticks = $14 + $15}
  END {
    printf "first answer, and the end, %d ms after exec (median of 5)\n", first
    printf "VmHWM %.1f MB, anonymous %.1f MB\n", hwm / 1024, anon / 1024
    printf "%.2f s of processor time in %.1f s: %.2f %% of a core\n", ticks / hz, ms / 1000, 100000 * ticks / hz / ms
  }' "$folder/last"

#!/usr/bin/env bash
# What a tree sends over one link: six devices in one network namespace, edge and cloud in another, a veth
# pair between them. Counts with the kernel's counters of the pair every byte of both directions, from the
# first SYN to the last ACK: Ethernet, IP and TCP headers and acknowledgements included. Needs root.
#
#   bench/link.sh measure BUNDLE SOURCE [--FLAG=VALUE ...]   one tree; the flags go to every node that has them
#   bench/link.sh idle BUNDLE SOURCE                         a minute of connected nodes with nothing to say
#   bench/link.sh tables [BUNDLE]                            what docs/communication.md shows
#
# From the environment: BUILD (build), OUT (out/link), RATE (100 samples/s of each device), SAMPLES (1500),
# DELAY (50ms, the batching delay), LIMIT (none; 64kbit: each direction of the link has no more).
# What the processes of the last tree said is left in ${TMPDIR:-/tmp}/ddnn-link.*.
set -euo pipefail

cd "$(dirname "$0")/.."
bin=${BUILD:-build}/bin bench=${BUILD:-build}/bench out=${OUT:-out/link}
rate=${RATE:-100} samples=${SAMPLES:-1500} delay=${DELAY:-50ms} limit=${LIMIT:-}
upper=ddnn-upper-$$ lower=ddnn-lower-$$
run= pids=() devices=() before= counted=

stop() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  pids=()
  ip netns del "$upper" 2>/dev/null || true
  ip netns del "$lower" 2>/dev/null || true
}
trap stop EXIT

fail() { echo "link.sh: $*" >&2; exit 1; }

# Segments leave one by one, as on a wire: the kernel would count a bundle of them as one packet.
make_link() {
  local space device
  ip netns add "$upper"
  ip netns add "$lower"
  ip -n "$upper" link add link0 type veth peer name link0 netns "$lower"
  for space in "$upper" "$lower"; do
    ip netns exec "$space" sysctl -q net.ipv6.conf.all.disable_ipv6=1
    ip -n "$space" link set link0 gso_max_segs 1
    ip -n "$space" link set lo up
    ip -n "$space" link set link0 up
    if [ -n "$limit" ]; then
      ip netns exec "$space" tc qdisc add dev link0 root tbf rate "$limit" burst 3000 latency 5s
    fi
  done
  ip -n "$upper" addr add 10.99.0.1/24 dev link0
  ip -n "$lower" addr add 10.99.0.2/24 dev link0
}

# Bytes and packets that the devices' end of the link sent and received.
count() {
  local name
  for name in tx_bytes tx_packets rx_bytes rx_packets; do
    ip netns exec "$lower" cat "/sys/class/net/link0/statistics/$name"
  done | tr '\n' ' '
}

serve() {  # NAME FLAGS: an edge or the cloud, in the background; returns when it serves
  local name=$1
  shift
  ip netns exec "$upper" "$bin/ddnn-$name" "$@" --stats_file "$run/$name.json" >"$run/$name.out" 2>"$run/$name.err" &
  pids+=($!)
  for _ in $(seq 300); do
    if grep -qs listening "$run/$name.out"; then return; fi
    sleep 0.1
  done
  fail "ddnn-$name does not serve: $(tail -1 "$run/$name.err")"
}

# A number that a device's statistics have.
of() { sed -n "s/.*\"$1\":\([0-9.e+]*\).*/\1/p" "$2"; }
sum() { local file; for file in "$run"/device-*.json; do of "$1" "$file"; done | awk '{s += $1} END {print s + 0}'; }

# Starts one tree. What it says goes to $run, the devices' ids to $devices, the link's first count to $before.
start_tree() {  # BUNDLE SOURCE FLAGS
  local bundle=$1 source=$2 parent=10.99.0.1:7200 view
  shift 2
  [ -z "$run" ] || rm -rf "$run"
  run=$(mktemp -d "${TMPDIR:-/tmp}/ddnn-link.XXXXXX")
  make_link
  local slow=(--gather_deadline_ms 1000 --max-batching-delay "$delay" "$@")
  serve cloud --bundle "$bundle" --listen "$parent" "${slow[@]}"
  if [ "$(grep -c '^ *tier {' "$bundle/bundle.textproto")" = 3 ]; then
    serve edge --bundle "$bundle" --listen 10.99.0.1:7100 --parent "$parent" "${slow[@]}"
    parent=10.99.0.1:7100
  fi
  before=$(count) devices=()
  for view in 0 1 2 3 4 5; do
    ip netns exec "$lower" "$bin/ddnn-device" --bundle "$bundle" --view $view --parent "$parent" --source "$source" \
      --rate "$rate" --samples "$samples" --wait_for_tree --max_in_flight 1000 --max-batching-delay "$delay" "$@" \
      --json --stats_file "$run/device-$view.json" >"$run/device-$view.out" 2>"$run/device-$view.err" &
    devices+=($!)
    pids+=($!)
  done
}

# Runs one tree to its end; what the link counted is in $counted.
run_tree() {
  local device
  start_tree "$@"
  for device in "${devices[@]}"; do wait "$device" || fail "a device failed: $(tail -qn1 "$run"/device-*.err)"; done
  counted="$before $(count)"
  stop
}

# The share of samples that stopped at each exit, and what became of them; latency of the slowest view.
print_answers() {
  local exit
  tail -qn1 "$run"/device-*.err | awk '{
    answered += $3; n += $1
    if (match($0, /p50 [0-9.]+/)) { v = substr($0, RSTART + 4, RLENGTH - 4); if (v > p50) p50 = v }
    if (match($0, /p99 [0-9.]+/)) { v = substr($0, RSTART + 4, RLENGTH - 4); if (v > p99) p99 = v }
  } END { printf "  %d of %d answered", answered, n; printf "; latency p50 %.0f ms, p99 %.0f ms\n", p50, p99 }'
  for name in degraded shed expired; do printf '  %s %d' "$name" "$(sum $name)"; done
  for exit in local edge cloud; do
    printf '  %s %.1f %%' "$exit" "$(cat "$run"/device-*.out | grep -c "\"exit\":\"$exit\"" | awk -v n="$samples" '{print 100 * $1 / n / 6}')"
  done
  echo
}

# Where the bytes of the link went, per sample and device.
print_bytes() {
  local name
  {
    echo "$counted"
    for name in payload_bytes message_bytes_sent message_bytes_received messages_sent messages_received wire_bytes_sent \
        wire_bytes_received wire_data_segments_sent wire_data_segments_received; do sum $name; done | tr '\n' ' '
  } | awk -v n=$((samples * 6)) 'NR == 1 { for (i = 1; i <= 4; ++i) c[i] = $(i + 4) - $i }
    NR == 2 { for (i = 1; i <= NF; ++i) s[i] = $i }
    function line(what, up, down) { printf "  %-52s %8.1f %8.1f %8.1f\n", what, up / n, down / n, (up + down) / n }
    END {
      printf "  %-52s %8s %8s %8s\n", "bytes per sample and device", "up", "down", "both"
      line("scores, features", s[1], 0)
      line("protobuf around them; answers and requests", s[2] - s[1], s[3])
      line("message headers: gRPC 5, HTTP/2 DATA 9", 14 * s[4], 14 * s[5])
      line("other HTTP/2: WINDOW_UPDATE, SETTINGS, HEADERS", s[6] - s[2] - 14 * s[4], s[7] - s[3] - 14 * s[5])
      line("Ethernet 14, IP 20, TCP 32 of packets with data", 66 * s[8], 66 * s[9])
      line("packets that only acknowledge, ARP", c[1] - s[6] - 66 * s[8], c[3] - s[7] - 66 * s[9])
      line("all that the link counted", c[1], c[3])
      printf "  %-52s %8.2f %8.2f %8.2f\n", "messages per sample", s[4] / n, s[5] / n, (s[4] + s[5]) / n
      printf "  %-52s %8.2f %8.2f %8.2f\n", "packets per sample", c[2] / n, c[4] / n, (c[2] + c[4]) / n
    }'
  echo "$counted" | awk -v n=$((samples * 6)) '{printf "%.1f\n", ($5 + $7 - $1 - $3) / n}' >"$run/per_sample"
}

measure() {
  run_tree "$@"
  print_answers
  print_bytes
}

# Bytes of a link on which nobody has anything to say: what keeps the connections alive.
idle() {
  rate=0.001 samples=2
  start_tree "$@"
  sleep 25
  before=$(count)
  sleep 60
  counted="$before $(count)"
  stop
  echo "$counted" | awk '{b = $5 + $7 - $1 - $3; printf "%d bytes a minute for six connections: %.0f KB an hour for each\n", b, b * 60 / 6 / 1000}'
}

# The entropy that a share of samples is below at the local exit, so that this share stops there.
threshold_for() {  # SHARE BUNDLE SOURCE
  local rate=0 delay=0
  run_tree "$2" "$3" --threshold local=1
  sed -n 's/.*"entropy":\([0-9.e-]*\).*/\1/p' "$run/device-0.out" | sort -g | awk -v share="$1" '{v[NR] = $1}
    END {print v[int(NR * share)]}'
}

tables() {
  local six=${1:-} a b pictures=$out/pictures
  mkdir -p "$out"
  if [ ! -d "$pictures" ]; then "$bench/link_pictures" "$pictures.tmp" 1200 "$samples" && mv "$pictures.tmp" "$pictures"; fi
  # The paper's network and Figure 2 (a) for these pictures: their size and classes are all that changes.
  local classes='class_name: "t-shirt" class_name: "trouser" class_name: "pullover"'
  sed '/^class_name/d' models/ddnn_mvmc.textproto | sed "s/^views:.*/&\n$classes/" >"$out/mvmc.textproto"
  sed '/^class_name/d; s/channels: 1/channels: 3/; s/outputs: 10/outputs: 3/' models/figure2/a.textproto |
    sed "s/^views:.*/&\n$classes/" >"$out/a_color.textproto"
  train mvmc "$out/mvmc.textproto" "folder:$pictures" --epochs 3
  train a_color "$out/a_color.textproto" "folder:$pictures"
  train a models/figure2/a.textproto six-cameras:fashion-mnist
  if [ -z "$six" ]; then
    train six models/six_cameras.textproto six-cameras:fashion-mnist
    six=$out/six
  fi

  local local_exit
  local_exit=$(threshold_for 0.6 "$out/mvmc" "folder:$pictures")
  echo "Views of 3x32x32, raw (configuration a), $rate samples/s, delay $delay"
  measure "$out/a_color" "folder:$pictures"
  a=$(cat "$run/per_sample")
  echo "Views of 3x32x32, ddnn_mvmc, --threshold local=$local_exit, $rate samples/s, delay $delay"
  measure "$out/mvmc" "folder:$pictures" --threshold "local=$local_exit"
  b=$(cat "$run/per_sample")
  awk -v a="$a" -v b="$b" 'BEGIN {printf "  %.1f times as few bytes as raw\n", a / b}'
  echo "Views of 1x32x32, raw (configuration a), $rate samples/s, delay $delay"
  measure "$out/a" six-cameras:fashion-mnist
  a=$(cat "$run/per_sample")
  echo "Views of 1x32x32, six_cameras with its own thresholds, $rate samples/s, delay $delay"
  measure "$six" six-cameras:fashion-mnist
  b=$(cat "$run/per_sample")
  awk -v a="$a" -v b="$b" 'BEGIN {printf "  %.1f times as few bytes as raw\n", a / b}'
  delay=0
  echo "The same without waiting: delay 0"
  measure "$six" six-cameras:fashion-mnist
  rate=5 samples=300 limit=64kbit
  for delay in 0 50ms 200ms; do
    echo "six_cameras on a link of $limit each way, $rate samples/s, delay $delay"
    measure "$six" six-cameras:fashion-mnist
  done
}

train() {  # NAME NETWORK DATA FLAGS
  if [ -f "$out/$1/bundle.textproto" ]; then return; fi
  "$bin/ddnn-train" --network "$2" --data "$3" --out "$out/$1" "${@:4}" >"$out/$1.log" 2>&1 ||
    fail "training $2 failed: $(tail -1 "$out/$1.log")"
}

case ${1:-} in
  idle) [ $# -eq 3 ] || fail "idle BUNDLE SOURCE"; shift; idle "$@" ;;
  measure) [ $# -ge 3 ] || fail "measure BUNDLE SOURCE"; shift; measure "$@" ;;
  tables) shift; tables "$@" ;;
  *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
esac

#!/usr/bin/env bash
# Trains models/ddnn_mvmc.textproto and the same network written for PyTorch in turns, and compares
# the medians. Both print "... N samples/s".
#
#   bench/train_throughput.sh PEER.py [ROUNDS]
#
# PEER.py takes batch, steps and threads as arguments. From the environment: BUILD (build), PYTHON
# (python3), BATCH (64), STEPS (60), THREADS (2).
set -euo pipefail

if [[ $# -lt 1 || ! -f $1 ]]; then
  sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
peer=$1
rounds=${2:-7}
batch=${BATCH:-64} steps=${STEPS:-60} threads=${THREADS:-2}
source=$(cd "$(dirname "$0")/.." && pwd)
ours_program=${BUILD:-$source/build}/bench/train_throughput

speed() { sed -n 's/.* \([0-9]\{1,\}\) samples\/s.*/\1/p' | tail -1; }

# Of processor time too: where others use the machine, elapsed time says little.
processor_ms() { sed -n 's/.* samples\/s, \([0-9.]*\) ms.*/\1/p' | tail -1; }

median() {
  sort -n | awk '{v[NR] = $1} END {
    print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'
}

ours=() theirs=()
for ((round = 1; round <= rounds; ++round)); do
  out=$("$ours_program" --network "$source/models/ddnn_mvmc.textproto" --batch "$batch" \
    --steps "$steps" --threads "$threads")
  ours+=("$(speed <<<"$out")")
  cpu=$(processor_ms <<<"$out")
  theirs+=("$("${PYTHON:-python3}" "$peer" "$batch" "$steps" "$threads" | speed)")
  echo "round $round: ours ${ours[-1]} samples/s ($cpu ms of processor a sample), peer ${theirs[-1]}"
done
a=$(printf '%s\n' "${ours[@]}" | median)
b=$(printf '%s\n' "${theirs[@]}" | median)
echo "median of $rounds: ours $a samples/s, peer $b, ratio $(awk "BEGIN {printf \"%.2f\", $a / $b}")"

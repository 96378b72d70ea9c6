#!/usr/bin/env bash
# The whole of it on one machine: installs what is missing, builds, trains six_cameras on Fashion-MNIST
# (five minutes at most on two cores; a second run reuses the bundle), then runs one cloud, one edge and
# six devices as processes of their own over the test samples.
#
#   ./demo.sh [--samples N] [--retrain]
#
# Writes out/demo/summary.json, and what each process said to out/demo/log/.
set -euo pipefail
cd "$(dirname "$0")"

samples=2000
retrain=false
while [ $# -gt 0 ]; do
  case "$1" in
    --samples) samples=${2:?"--samples needs a number"}; shift 2 ;;
    --retrain) retrain=true; shift ;;
    -h|--help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) echo "demo.sh: unknown argument '$1'; see ./demo.sh --help" >&2; exit 2 ;;
  esac
done

network=models/six_cameras.textproto
data=six-cameras:fashion-mnist
bundle=out/bundles/six_cameras

step() { printf '\n== %s\n' "$*"; }

step "Installing what is missing"
tools/install_dependencies.sh

step "Building"
mkdir -p out/demo
cmake --preset release >out/demo/configure.log 2>&1 || { cat out/demo/configure.log; exit 1; }
cmake --build --preset release --target ddnn-train ddnn-eval ddnn-calibrate ddnn-device ddnn-edge ddnn-cloud ddnn-query ddnn-local

# The bundle belongs to this network, this data and these cameras; anything else trains anew.
stamp=$(cat "$network" datasets/six_cameras.textproto | sha256sum | cut -d' ' -f1)
if $retrain || [ ! -f "$bundle/bundle.textproto" ] || [ "$(cat out/bundles/six_cameras.stamp 2>/dev/null)" != "$stamp" ]; then
  step "Training $network on $data"
  mkdir -p out/bundles
  # An interrupted training goes on where it was, if it was this one.
  go_on=()
  if [ -f "$bundle.checkpoint" ]; then
    go_on=(--resume)
    if $retrain || [ "$(cat out/bundles/six_cameras.begun 2>/dev/null)" != "$stamp" ]; then go_on=(--restart); fi
  fi
  echo "$stamp" >out/bundles/six_cameras.begun
  build/bin/ddnn-train --network "$network" --data "$data" --out "$bundle" "${go_on[@]}"
  echo "$stamp" >out/bundles/six_cameras.stamp
else
  step "Reusing the bundle in $bundle, described by its report.html (--retrain makes a new one)"
fi

step "Running one cloud, one edge and six devices over $samples samples"
exec build/bin/ddnn-local --topology tools/topologies/six_cameras.textproto --bundle "$bundle" --data "$data" \
  --samples "$samples" --json out/demo/summary.json --log_dir out/demo/log
